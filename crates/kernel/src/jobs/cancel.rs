//! Asking a job to end early. Cooperative: a step under way is told, and what it already did stays done.

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::JobId,
    state::JobState,
};
use serde_json::json;

use super::Job;
use crate::{
    access::{self, objects::On},
    context::{Context, Scope},
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    params,
};

impl Kernel {
    pub async fn job_cancel(&self, context: &Context, id: JobId, reason: String) -> Result<Job> {
        let kernel = self.clone();
        let act = Act::new("jobs", "cancel").because(reason).on(On::Job(id));
        self.mutate(context, act, move |m| {
            let scope: Scope = m.context.scope;
            queue_lock(m, id)?;
            let found: Option<(JobState, String)> = m.tx.opt(
                "SELECT state, operation FROM job WHERE project_id = $1 AND id = $2",
                params![scope.project_id, id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let Some((state, operation)) = found else {
                return Err(Error::not_found("job_not_found", format!("there is no job {id} here")));
            };
            if kernel.operation(&operation).is_ok_and(|operation| operation.is_platforms()) {
                access::check_on_platform(m.context, "jobs.cancel")?;
            }
            if state.is_terminal() {
                return Err(Error::conflict("job_ended", format!("the job is {state} already")));
            }
            if state == JobState::Undoing {
                return Err(Error::conflict("job_undoing", "the job is being undone already"));
            }
            request(m, id)?;
            let change = Change::replace("/cancel_requested", false.into(), true.into());
            m.audit(&Object { kind: "Job", id: id.uuid(), name: &operation }, &[change], Some(id))?;
            m.event(
                "job.cancel_requested",
                Subject { job_id: Some(id), ..Subject::default() },
                &json!({ "operation": operation }),
            )
        })
        .await?;
        self.job_get(context.scope, id).await
    }
}

/// Marks the job and makes it due, so that a waiting one is looked at now.
pub(crate) fn request(m: &mut Mutation<'_, '_>, id: JobId) -> Result<()> {
    queue_lock(m, id)?;
    m.tx.exec("UPDATE job SET cancel_requested = $2 WHERE id = $1", params![id, true])?;
    m.cancelled.push(id);
    wake(m, id)
}

/// Makes a queued or waiting job due now; a running one keeps its lease.
pub(crate) fn wake(m: &mut Mutation<'_, '_>, id: JobId) -> Result<()> {
    queue_lock(m, id)?;
    m.tx.exec(
        "UPDATE job_queue SET due_at = $2, set_at = $2
         WHERE job_id = $1 AND EXISTS (SELECT 1 FROM job WHERE job.id = $1 AND job.state IN ('queued', 'waiting'))",
        params![id, m.due_now],
    )?;
    m.wake_jobs();
    Ok(())
}

/// Takes the queue's row before the job's, and after that of a run, as workers do: two that lock in different orders
/// deadlock. What is read afterwards is what a worker that held the row has left.
fn queue_lock(m: &mut Mutation<'_, '_>, id: JobId) -> Result<()> {
    let sql = format!("SELECT job_id FROM job_queue WHERE job_id = $1{}", m.tx.backend().for_update());
    m.tx.opt(&sql, params![id], |row| row.get::<JobId>(0))?;
    Ok(())
}
