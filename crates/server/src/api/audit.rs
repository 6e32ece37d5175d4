//! The audit records of a scope, newest first.

use axum::{Json, extract::State};
use qd_core::error::Error;
use qd_kernel::{
    audit::{AuditFilter, AuditRecord},
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
    /// The id of what the records are about.
    pub object: Option<String>,
    /// `pipelines.publish`
    pub action: Option<String>,
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Page<AuditRecord>>, Problem> {
    caller.may("audit.read")?;
    let object_id = query
        .object
        .as_deref()
        .map(|id| id.parse().map_err(|_| Error::malformed("malformed_id", format!("{id:?} is not an id"))));
    let filter = AuditFilter { object_id: object_id.transpose()?, action: query.action, job_id: None };
    Ok(Json(app.kernel.audit_list(caller.scope(), filter, query.page.page()?).await?))
}
