//! A job with all that belongs to it: its plan, its locks, and what was recorded of it.

use qd_core::{
    error::Result,
    id::{JobId, PlanId},
    plan::Plan,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Job, lock};
use crate::{
    audit::{AuditFilter, AuditRecord},
    context::Scope,
    events::{Event, EventFilter},
    kernel::Kernel,
    operation::plan_of,
    operations::read,
    page::PageRequest,
    params,
    store::Json,
};

/// Events of one job that are shown with it.
const EVENTS: u32 = 200;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JobDetail {
    #[serde(flatten)]
    pub job: Job,
    /// The stored plan that it applies; none where the change was asked for directly.
    pub plan_id: Option<PlanId>,
    pub plan_hash: String,
    pub plan: Plan,
    pub locks: Vec<JobLock>,
    pub audit: Vec<AuditRecord>,
    /// Oldest first, 200 at most.
    pub events: Vec<Event>,
}

/// A key of the job's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JobLock {
    pub key: String,
    /// Whether the job has it.
    pub held: bool,
    /// The job that has it; none where it is free.
    pub holder: Option<JobId>,
}

impl Kernel {
    pub async fn job_detail(&self, scope: Scope, id: JobId) -> Result<JobDetail> {
        let job = self.job_get(scope, id).await?;
        let operation = job.operation.clone();
        let (plan_id, plan_hash, plan, locks) = self
            .store
            .read(move |tx| -> Result<_> {
                let (plan_id, plan_hash, Json(plan)): (_, String, Json<Value>) =
                    tx.one("SELECT plan_id, plan_hash, plan FROM job WHERE id = $1", params![id], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })?;
                // A job that is older than plans has one that says nothing.
                let plan: Plan = match plan_hash.is_empty() {
                    true => plan_of(&operation, &Value::Null, vec![])?,
                    false => read(&plan)?,
                };
                let holders = lock::holders(tx, scope, &plan.locks)?;
                Ok((plan_id, plan_hash, plan, holders))
            })
            .await?;
        let locks = locks
            .into_iter()
            .map(|(key, holder)| JobLock { key, held: holder == Some(id), holder })
            .collect();
        let audit = self
            .audit_list(
                scope,
                AuditFilter { job_id: Some(id), ..AuditFilter::default() },
                PageRequest::default(),
            )
            .await?
            .items;
        let filter = EventFilter { job_id: Some(id), ..EventFilter::default() };
        let events = self.events_after(scope, filter, 0, EVENTS).await?;
        Ok(JobDetail { job, plan_id, plan_hash, plan, locks, audit, events })
    }
}
