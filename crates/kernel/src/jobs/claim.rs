//! Claiming: a worker takes due jobs in a batch and holds each by a lease with a new fencing token.

use qd_core::{
    error::Result,
    id::{JobId, ProjectId, ResourceId, RunId, TenantId},
    state::JobState,
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{JobError, JobStep, PRIORITIES, job_error, steps_of};
use crate::{
    context::{Context, RequestIds, Scope},
    events,
    kernel::Kernel,
    mutation::{Subject, Wake},
    params,
    store::{Backend, Row, StoreResult, in_list},
};

/// A job held under a lease.
#[derive(Clone)]
pub(super) struct Claimed {
    pub id: JobId,
    pub token: i64,
    pub step: usize,
    pub operation: String,
    pub input: Value,
    pub cancel_requested: bool,
    pub state: JobState,
    pub resource_id: Option<ResourceId>,
    pub run_id: Option<RunId>,
    pub steps: Vec<JobStep>,
    /// What it waited for before this claim.
    pub waiting_for: Option<String>,
    /// Why it fails once its step is called off.
    pub failure: Option<JobError>,
    pub context: Context,
}

impl Claimed {
    pub(super) fn subject(&self) -> Subject<'static> {
        Subject {
            job_id: Some(self.id),
            run_id: self.run_id,
            resource_id: self.resource_id,
            ..Subject::default()
        }
    }
}

impl Kernel {
    /// Takes up to `n` due jobs.
    pub(super) async fn jobs_claim(&self, n: usize) -> Result<Vec<Claimed>> {
        let now = self.source.now();
        let lease_end = now.checked_add(self.options.lease).unwrap_or(Timestamp::MAX);
        let claimed = self
            .store
            .write(move |tx| -> Result<Vec<Claimed>> {
                let due = "SELECT job_id FROM job_queue WHERE prio = $2 AND due_at <= $3 ORDER BY due_at, job_id LIMIT $4";
                // An array, because Postgres may run a subquery of IN again for each row and so take more than the limit.
                let chosen = match tx.backend() {
                    Backend::Sqlite => format!("IN ({due})"),
                    Backend::Postgres => format!("= ANY(ARRAY({due} FOR UPDATE SKIP LOCKED))"),
                };
                let sql = format!(
                    "UPDATE job_queue SET due_at = $1, token = token + 1 WHERE job_id {chosen} RETURNING job_id, token, step"
                );
                let mut held: Vec<(JobId, i64, i64)> = vec![];
                for prio in PRIORITIES {
                    let left = i64::try_from(n.saturating_sub(held.len())).unwrap_or(0);
                    if left > 0 {
                        held.extend(tx.rows(&sql, params![lease_end, prio, now, left], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?);
                    }
                }
                if held.is_empty() {
                    return Ok(vec![]);
                }
                let ids: Vec<JobId> = held.iter().map(|(id, ..)| *id).collect();
                let mut steps = steps_of(tx, &ids)?;
                let (list, args) = in_list(&ids, 1);
                let jobs = tx.rows(
                    &format!(
                        "SELECT id, tenant_id, project_id, operation, state, resource_id, run_id, input, cancel_requested,
                           created_by, request_id, correlation_id, waiting_for, error_code, error_message FROM job WHERE id IN ({list})"
                    ),
                    &args,
                    job_row,
                )?;
                let mut claimed = vec![];
                for mut job in jobs {
                    let Some((_, token, step)) = held.iter().find(|(id, ..)| *id == job.id) else { continue };
                    (job.token, job.step) = (*token, usize::try_from(*step).unwrap_or(0));
                    job.steps = steps.remove(&job.id).unwrap_or_default();
                    if job.state != JobState::Running {
                        let first = job.state == JobState::Queued;
                        job.state = job.state.step(JobState::Running)?;
                        tx.exec_later(
                            "UPDATE job SET state = 'running', waiting_for = NULL, started_at = COALESCE(started_at, $2) WHERE id = $1",
                            params![job.id, now],
                        )?;
                        if first {
                            let data = json!({ "operation": job.operation });
                            events::append(tx, &job.context, now, "job.running", &job.subject(), &data)?;
                        }
                    }
                    tx.exec_later(
                        "UPDATE job_step SET state = 'running', attempts = attempts + 1, started_at = COALESCE(started_at, $3)
                         WHERE job_id = $1 AND idx = $2",
                        params![job.id, i64::try_from(job.step).unwrap_or(0), now],
                    )?;
                    if let Some(step) = job.steps.get_mut(job.step) {
                        step.attempts += 1;
                    }
                    claimed.push(job);
                }
                Ok(claimed)
            })
            .await?;
        if !claimed.is_empty() {
            self.bus.wake(Wake { events: true, ..Wake::default() });
        }
        Ok(claimed)
    }

    /// The earliest time at which a job is due, if there is any.
    pub(super) async fn jobs_next_due(&self) -> Result<Option<Timestamp>> {
        self.store
            .read(|tx| -> Result<Option<Timestamp>> {
                let mut next: Option<Timestamp> = None;
                for prio in PRIORITIES {
                    let due: Option<Timestamp> =
                        tx.one("SELECT MIN(due_at) FROM job_queue WHERE prio = $1", params![prio], |row| {
                            row.get(0)
                        })?;
                    next = match (next, due) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
                Ok(next)
            })
            .await
    }

    /// Ends every lease at once. Only right where no other process can hold one.
    pub(crate) async fn leases_release(&self) -> Result<()> {
        let now = self.source.now();
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec(
                    "UPDATE job_queue SET due_at = $1
                     WHERE EXISTS (SELECT 1 FROM job WHERE job.id = job_queue.job_id AND job.state = 'running')",
                    params![now],
                )?;
                Ok(())
            })
            .await
    }
}

fn job_row(row: &Row<'_>) -> StoreResult<Claimed> {
    let (tenant_id, project_id): (TenantId, ProjectId) = (row.get(1)?, row.get(2)?);
    let input: String = row.get(7)?;
    Ok(Claimed {
        id: row.get(0)?,
        token: 0,
        step: 0,
        operation: row.get(3)?,
        // One that cannot be read fails by itself, and not all that are claimed with it.
        input: serde_json::from_str(&input).unwrap_or_default(),
        cancel_requested: row.get(8)?,
        state: row.get(4)?,
        resource_id: row.get(5)?,
        run_id: row.get(6)?,
        steps: vec![],
        waiting_for: row.get(12)?,
        failure: job_error(row, 13)?,
        context: Context::system(
            row.get(9)?,
            Scope { tenant_id, project_id },
            RequestIds { request_id: row.get(10)?, correlation_id: row.get(11)?, trace_id: None },
            "job",
        ),
    })
}
