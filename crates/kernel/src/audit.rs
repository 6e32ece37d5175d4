//! The audit record: written in the transaction of the mutation, read by object and action.

use qd_core::{
    diff::Change,
    error::Result,
    id::{AuditId, JobId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    context::{Context, Scope},
    kernel::Kernel,
    mutation::{Act, Object},
    page::{Page, PageRequest},
    params,
    query::Query,
    store::{Row, StoreResult, Tx},
};

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AuditObject {
    pub kind: String,
    pub id: Uuid,
    pub name: String,
}

/// Who did what to what, when, from where and why, with the difference it made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AuditRecord {
    pub id: AuditId,
    pub at: Timestamp,
    pub actor: String,
    /// Socket address or internal task.
    pub source: String,
    pub action: String,
    pub object: AuditObject,
    pub outcome: String,
    pub reason: String,
    pub changes: Value,
    pub job_id: Option<JobId>,
    pub request_id: String,
    pub correlation_id: String,
    pub trace_id: Option<String>,
}

#[expect(clippy::too_many_arguments, reason = "one row, written from one place")]
pub(crate) fn append(
    tx: &mut Tx<'_>,
    context: &Context,
    now: Timestamp,
    id: Uuid,
    act: &Act,
    object: &Object<'_>,
    changes: &[Change],
    job_id: Option<JobId>,
) -> Result<()> {
    let changes = serde_json::to_string(changes).unwrap_or_else(|_| "[]".into());
    tx.exec_later(
        "INSERT INTO audit (id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome,
           reason, changes, job_id, request_id, correlation_id, trace_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'success', $11, $12, $13, $14, $15, $16)",
        params![
            id,
            context.scope.tenant_id,
            context.scope.project_id,
            now,
            context.principal.name,
            context.source,
            act.action,
            object.kind,
            object.id,
            object.name,
            act.reason,
            changes,
            job_id,
            context.ids.request_id,
            context.ids.correlation_id,
            context.ids.trace_id
        ],
    )?;
    Ok(())
}

/// Which records to list; empty means all of the scope.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub object_id: Option<Uuid>,
    pub action: Option<String>,
    pub job_id: Option<JobId>,
}

impl Kernel {
    /// Newest first.
    pub async fn audit_list(
        &self,
        scope: Scope,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRecord>> {
        let (before, fetch) = (page.after_uuid("audit")?, page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<AuditRecord>> {
                let mut query = Query::new(
                    "SELECT id, at, actor, source, action, kind, object_id, object_name, outcome, reason, changes, job_id,
                       request_id, correlation_id, trace_id
                     FROM audit WHERE",
                );
                query.push(" project_id = ?", scope.project_id);
                if let Some(id) = filter.object_id {
                    query.push(" AND object_id = ?", id);
                }
                if let Some(action) = &filter.action {
                    query.push(" AND action = ?", action.clone());
                }
                if let Some(id) = filter.job_id {
                    query.push(" AND job_id = ?", id);
                }
                if let Some(before) = before {
                    query.push(" AND id < ?", before);
                }
                query.text(" ORDER BY id DESC").limit(fetch);
                Ok(query.rows(tx, row)?)
            })
            .await?;
        Ok(page.cut("audit", items, |record| record.id.to_string()))
    }
}

fn row(row: &Row<'_>) -> StoreResult<AuditRecord> {
    Ok(AuditRecord {
        id: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        source: row.get(3)?,
        action: row.get(4)?,
        object: AuditObject { kind: row.get(5)?, id: row.get(6)?, name: row.get(7)? },
        outcome: row.get(8)?,
        reason: row.get(9)?,
        changes: row.get(10)?,
        job_id: row.get(11)?,
        request_id: row.get(12)?,
        correlation_id: row.get(13)?,
        trace_id: row.get(14)?,
    })
}
