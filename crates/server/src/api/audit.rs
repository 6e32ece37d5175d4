//! The audit records of a project, a tenant or the platform, and the chains that they are sealed into.
//!
//! A list is of the project that the request names, unless it asks for all of the tenant or for the platform; a chain is a tenant's
//! as a whole, so who reads one must be allowed to read all of it.

mod chain;
mod export;

pub use chain::{ChainQuery, Verification, VerifyQuery, chain, verify};
pub use export::{ExportQuery, export};

use std::str::FromStr;

use axum::{Json, extract::State};
use qd_core::audit::Outcome;
use qd_core::error::Error;
use qd_core::id::TenantId;
use qd_kernel::{
    access::{deletions::Unseen, sight::Sight},
    audit::{AuditFilter, AuditReach, AuditRecord},
    page::Page,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::kind::resource::PageText;
use crate::{
    http::{caller::Caller, problem::Problem, query::Params},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct AuditQuery {
    #[serde(flatten)]
    pub page: PageText,
    /// `project`, which it is without, `tenant` for all projects of the tenant and what belongs to none, or `platform`.
    pub reach: Option<String>,
    /// The id of what the records are about.
    pub object: Option<String>,
    /// `pipelines.publish`
    pub action: Option<String>,
    /// The name of who acted.
    pub actor: Option<String>,
    /// The id of who acted.
    pub principal: Option<String>,
    /// `success`, `failure` or `denied`.
    pub outcome: Option<String>,
    pub job: Option<String>,
    /// A plan's id: what was done to it, and what the job did that applied it.
    pub plan: Option<String>,
    pub plan_hash: Option<String>,
    pub request: Option<String>,
    pub correlation: Option<String>,
    pub trace: Option<String>,
    /// RFC 3339: from then on.
    pub since: Option<String>,
    /// RFC 3339: before then.
    pub until: Option<String>,
}

impl AuditQuery {
    fn filter(&self) -> Result<AuditFilter, Problem> {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let outcome = text(&self.outcome).map(|word| {
            Outcome::from_word(&word).ok_or_else(|| {
                let detail = format!("{word:?} is no outcome; there are success, failure, denied");
                Error::malformed("bad_outcome", detail)
            })
        });
        let object = text(&self.object).map(|id| {
            id.parse().map_err(|_| Error::malformed("malformed_id", format!("{id:?} is not an id")))
        });
        Ok(AuditFilter {
            object_id: object.transpose()?,
            action: text(&self.action),
            actor: text(&self.actor),
            principal_id: read(&self.principal)?,
            outcome: outcome.transpose()?,
            job_id: read(&self.job)?,
            plan_id: read(&self.plan)?,
            plan_hash: text(&self.plan_hash),
            request_id: text(&self.request),
            correlation_id: text(&self.correlation),
            trace_id: text(&self.trace),
            sight: Sight::All,
            unseen: Unseen::default(),
            since: read(&self.since)?,
            until: read(&self.until)?,
        })
    }
}

/// An id or a time, where there is one.
fn read<T: FromStr<Err: Into<Error>>>(text: &Option<String>) -> Result<Option<T>, Problem> {
    let text = text.as_deref().filter(|text| !text.is_empty());
    Ok(text.map(str::parse).transpose().map_err(Into::<Error>::into)?)
}

/// Whose chain a request means, and that the caller may read all of it.
pub(super) fn whose(caller: &Caller, reach: Option<&str>) -> Result<Option<TenantId>, Problem> {
    match reach.unwrap_or("tenant") {
        "tenant" => {
            caller.may_in_tenant("audit.export")?;
            Ok(Some(caller.scope().tenant_id))
        }
        "platform" => {
            caller.may_on_platform("audit.export")?;
            Ok(None)
        }
        other => match other.strip_prefix("tenant:") {
            // One that is gone has left its chain, and nobody but the platform's own to read it.
            Some(id) => {
                caller.may_on_platform("audit.export")?;
                Ok(Some(id.parse().map_err(|_| bad_reach(other, "tenant:ID"))?))
            }
            None => Err(bad_reach(other, "tenant, tenant:ID or platform")),
        },
    }
}

fn bad_reach(word: &str, known: &str) -> Problem {
    Problem(Error::malformed("bad_reach", format!("{word:?} says not whose audit is meant; say {known}")))
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Page<AuditRecord>>, Problem> {
    let mut filter = query.filter()?;
    let reach = match query.reach.as_deref().unwrap_or("project") {
        "project" => {
            filter.sight = caller.sight(&app, "audit.read").await?;
            filter.unseen = caller.unseen();
            AuditReach::Project(caller.scope())
        }
        word => whose(&caller, Some(word))?.map_or(AuditReach::Platform, AuditReach::Tenant),
    };
    Ok(Json(app.kernel.audit_list_of(reach, filter, query.page.page()?).await?))
}
