//! Looking for records: newest first, by whatever of their ids is known.

use std::ops::Deref;

use qd_core::audit::{Hash, Outcome, Record};
use qd_core::{
    error::Result,
    id::{JobId, PlanId, PrincipalId, TenantId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{COLUMN_COUNT, COLUMNS, read};
use crate::{
    access::{deletions::Unseen, sight::Sight},
    context::Scope,
    kernel::Kernel,
    page::{Page, PageRequest},
    query::Query,
    store::{Backend, Row, StoreError, StoreResult},
};

/// A record as it is shown: with its place in the chain, once it has one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AuditRecord {
    #[serde(flatten)]
    pub record: Record,
    /// Absent for about a second after it was written.
    pub seal: Option<Seal>,
}

/// A record's place in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Seal {
    pub seq: i64,
    pub record_hash: Hash,
    pub chain_hash: Hash,
}

impl Deref for AuditRecord {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

/// Whose records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditReach {
    Project(Scope),
    /// All projects of the tenant, and what belongs to none of them.
    Tenant(TenantId),
    /// What belongs to no tenant.
    Platform,
}

/// Which records to list; what is absent does not narrow.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub object_id: Option<Uuid>,
    pub action: Option<String>,
    pub actor: Option<String>,
    pub principal_id: Option<PrincipalId>,
    pub outcome: Option<Outcome>,
    pub job_id: Option<JobId>,
    /// What was done to the plan, and what the job that applied it did.
    pub plan_id: Option<PlanId>,
    pub plan_hash: Option<String>,
    pub request_id: Option<String>,
    pub correlation_id: Option<String>,
    pub trace_id: Option<String>,
    /// About which resources.
    pub sight: Sight,
    pub unseen: Unseen,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
}

impl Kernel {
    /// The records of a project, newest first.
    pub async fn audit_list(
        &self,
        scope: Scope,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRecord>> {
        self.audit_list_of(AuditReach::Project(scope), filter, page).await
    }

    /// The same of a whole tenant, or of the platform.
    pub async fn audit_list_of(
        &self,
        reach: AuditReach,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRecord>> {
        let (before, fetch) = (page.after_uuid("audit")?, page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<AuditRecord>> {
                let mut query = select(reach, &filter);
                narrow(&mut query, tx.backend(), &filter.sight);
                filter.unseen.narrow_audit(&mut query);
                if let Some(before) = before {
                    query.push(" AND a.id < ?", before);
                }
                query.text(" ORDER BY a.id DESC").limit(fetch);
                Ok(query.rows(tx, row)?)
            })
            .await?;
        Ok(page.cut("audit", items, |record| record.id.to_string()))
    }
}

fn select(reach: AuditReach, filter: &AuditFilter) -> Query {
    let mut query = Query::new(&format!(
        "SELECT {COLUMNS}, s.seq, s.record_hash, s.chain_hash FROM audit a LEFT JOIN audit_seal s ON s.audit_id = a.id WHERE"
    ));
    match reach {
        // The tenant besides, because the indexes for ids begin with it.
        AuditReach::Project(scope) => {
            query.push(" a.tenant_id = ?", scope.tenant_id).push(" AND a.project_id = ?", scope.project_id)
        }
        AuditReach::Tenant(tenant) => query.push(" a.tenant_id = ?", tenant),
        AuditReach::Platform => query.text(" a.tenant_id IS NULL"),
    };
    let mut push = |clause: &str, arg: Option<Box<dyn crate::store::Param + Send>>| {
        if let Some(arg) = arg {
            query.push_boxed(clause, arg);
        }
    };
    push(" AND a.object_id = ?", boxed(filter.object_id));
    push(" AND a.action = ?", boxed(filter.action.clone()));
    push(" AND a.actor = ?", boxed(filter.actor.clone()));
    push(" AND a.principal_id = ?", boxed(filter.principal_id));
    push(" AND a.outcome = ?", boxed(filter.outcome.map(|outcome| outcome.as_str().to_owned())));
    push(" AND a.job_id = ?", boxed(filter.job_id));
    push(" AND (a.object_id = ?", boxed(filter.plan_id));
    push(" OR a.job_id = (SELECT job_id FROM plan WHERE id = ?))", boxed(filter.plan_id));
    push(" AND a.plan_hash = ?", boxed(filter.plan_hash.clone()));
    push(" AND a.request_id = ?", boxed(filter.request_id.clone()));
    push(" AND a.correlation_id = ?", boxed(filter.correlation_id.clone()));
    push(" AND a.trace_id = ?", boxed(filter.trace_id.clone()));
    push(" AND a.at >= ?", boxed(filter.since));
    push(" AND a.at < ?", boxed(filter.until));
    query
}

/// To what is about resources that are shown: of them, their runs, and what their jobs did.
fn narrow(query: &mut Query, backend: Backend, sight: &Sight) {
    let Some(ids) = sight.ids() else { return };
    query.text(if matches!(sight, Sight::Only(_)) { " AND (" } else { " AND NOT (" });
    // What names no object is about none of them.
    query.text("COALESCE(").among(backend, "a.object_id", ids.iter().map(|id| id.uuid()));
    query.text(" OR a.object_id IN (SELECT id FROM run WHERE ").among(
        backend,
        "resource_id",
        ids.iter().map(|id| id.uuid()),
    );
    query.text("), false) OR COALESCE(a.job_id IN (SELECT id FROM job WHERE ");
    query.among(backend, "resource_id", ids.iter().map(|id| id.uuid())).text("), false))");
}

fn boxed<P: crate::store::Param + Send + 'static>(
    arg: Option<P>,
) -> Option<Box<dyn crate::store::Param + Send>> {
    arg.map(|arg| Box::new(arg) as Box<dyn crate::store::Param + Send>)
}

fn row(row: &Row<'_>) -> StoreResult<AuditRecord> {
    let seq: Option<i64> = row.get(COLUMN_COUNT)?;
    let seal = match seq {
        None => None,
        Some(seq) => Some(Seal {
            seq,
            record_hash: hash(row, COLUMN_COUNT + 1)?,
            chain_hash: hash(row, COLUMN_COUNT + 2)?,
        }),
    };
    Ok(AuditRecord { record: read(row, 0)?, seal })
}

pub(super) fn hash(row: &Row<'_>, column: usize) -> StoreResult<Hash> {
    let bytes: Vec<u8> = row.get(column)?;
    Hash::from_slice(&bytes).map_err(|error| StoreError::Decode { column, detail: error.detail })
}
