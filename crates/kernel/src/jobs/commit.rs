//! Committing what a step came to, behind the fence: a worker whose lease was taken over writes nothing.

use std::time::Duration;

use qd_core::{
    error::{Error, Result},
    id::{JobId, RunId},
    state::JobState,
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{JobError, claim::Claimed};
use crate::{
    engine::clean::text,
    kernel::Kernel,
    mutation::Mutation,
    operation::{Apply, Ending, Operation},
    params,
};

/// The error that says somebody else holds the job now.
const FENCED: &str = "job_fenced";

/// What is to be written for a step.
pub(super) enum Commit {
    /// The step took effect; `last` ends the job as succeeded.
    Done {
        output: Value,
        apply: Option<Apply>,
        last: bool,
    },
    /// Look again later; not counted as an attempt.
    Wait {
        after: Duration,
        waiting_for: String,
    },
    /// Try again later.
    Retry {
        after: Duration,
        error: String,
    },
    /// Call the step off again later. `failure` is why it is called off where nobody asked for it.
    CallOff {
        after: Duration,
        error: String,
        failure: Option<JobError>,
    },
    Ended {
        ending: Ending,
        apply: Option<Apply>,
    },
}

impl Commit {
    pub(super) fn ended(operation: &dyn Operation, input: &Value, mut ending: Ending) -> Self {
        // What went wrong outside is said in other people's words.
        match &mut ending {
            Ending::Failed { message, .. } => text(message),
            Ending::Cancelled { reason } => text(reason),
        }
        let apply = operation.ended(input, &ending);
        Self::Ended { ending, apply }
    }
}

/// Whether the write took place, or the job turned out to be another worker's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// Also says whether somebody asked meanwhile to cancel the job, where it goes on.
    Yes {
        cancel_requested: bool,
    },
    Fenced,
}

impl Kernel {
    pub(super) async fn step_commit(&self, job: &Claimed, mut commit: Commit) -> Result<Committed> {
        match &mut commit {
            Commit::Wait { waiting_for: said, .. } | Commit::Retry { error: said, .. } => text(said),
            Commit::CallOff { error: said, failure, .. } => {
                text(said);
                failure.iter_mut().for_each(|failure| text(&mut failure.message));
            }
            Commit::Done { .. } | Commit::Ended { .. } => {}
        }
        let (held, context) = (job.clone(), job.context.clone());
        let written = self.carry_out(&context, move |m| write(m, &held, &mut commit)).await;
        match written {
            Ok(cancel_requested) => Ok(Committed::Yes { cancel_requested }),
            Err(error) if error.code == FENCED => Ok(Committed::Fenced),
            Err(error) => Err(error),
        }
    }
}

/// True where the job goes on and somebody asked to cancel it.
fn write(m: &mut Mutation<'_, '_>, job: &Claimed, commit: &mut Commit) -> Result<bool> {
    let index = i64::try_from(job.step).unwrap_or(0);
    match commit {
        Commit::Done { output, apply, last } => {
            if *last {
                fence(m.tx.exec(
                    "DELETE FROM job_queue WHERE job_id = $1 AND token = $2",
                    params![job.id, job.token],
                )?)?;
            } else {
                fence(m.tx.exec(
                    "UPDATE job_queue SET step = $3 WHERE job_id = $1 AND token = $2",
                    params![job.id, job.token, index + 1],
                )?)?;
            }
            m.tx.exec_later(
                "UPDATE job_step SET state = 'succeeded', output = $3, error = NULL, ended_at = $4 WHERE job_id = $1 AND idx = $2",
                params![job.id, index, output.to_string(), m.now],
            )?;
            if let Some(apply) = apply {
                apply(m)?;
            }
            if *last {
                end_job(m, job, JobState::Succeeded, None)?;
                return Ok(false);
            }
            m.tx.exec_later(
                "UPDATE job_step SET state = 'running', attempts = 1, started_at = $3 WHERE job_id = $1 AND idx = $2",
                params![job.id, index + 1, m.now],
            )?;
            cancel_requested(m, job.id)
        }
        Commit::Wait { after, waiting_for } => {
            later_or_cancelled(m, job, *after)?;
            m.tx.exec_later(
                "UPDATE job_step SET state = 'waiting', attempts = 0, error = NULL WHERE job_id = $1 AND idx = $2",
                params![job.id, index],
            )?;
            wait(m, job, waiting_for)
        }
        Commit::Retry { after, error } => {
            later_or_cancelled(m, job, *after)?;
            step_waits(m, job, index, error)?;
            wait(m, job, &format!("another try after: {error}"))
        }
        Commit::CallOff { after, error, failure } => {
            // Whoever asked to cancel is being served: the wait keeps its length.
            later(m, job, *after)?;
            step_waits(m, job, index, error)?;
            if let Some(failure) = failure {
                m.tx.exec_later(
                    "UPDATE job SET error_code = $2, error_message = $3 WHERE id = $1",
                    params![job.id, failure.code, failure.message],
                )?;
            }
            wait(m, job, &format!("its step to be called off after: {error}"))
        }
        Commit::Ended { ending, apply } => {
            run_lock(m, job)?;
            fence(m.tx.exec(
                "DELETE FROM job_queue WHERE job_id = $1 AND token = $2",
                params![job.id, job.token],
            )?)?;
            let (step_state, job_state, error) = match ending {
                Ending::Failed { code, message } => {
                    ("failed", JobState::Failed, Some((code.as_str(), message.as_str())))
                }
                Ending::Cancelled { reason } => {
                    ("cancelled", JobState::Cancelled, Some(("cancelled", reason.as_str())))
                }
            };
            m.tx.exec_later(
                "UPDATE job_step SET state = $3, error = $4, ended_at = $5 WHERE job_id = $1 AND idx = $2",
                params![job.id, index, step_state, error.map(|(_, message)| message), m.now],
            )?;
            m.tx.exec_later(
                "UPDATE job_step SET state = 'skipped' WHERE job_id = $1 AND idx > $2",
                params![job.id, index],
            )?;
            if let Some(apply) = apply {
                apply(m)?;
            }
            end_job(m, job, job_state, error)?;
            Ok(false)
        }
    }
}

/// Takes the job's run before its place in the queue, as all do that need both: what the operation writes about the end is
/// written on the run.
fn run_lock(m: &mut Mutation<'_, '_>, job: &Claimed) -> Result<()> {
    if let Some(run_id) = job.run_id {
        let sql = format!("SELECT id FROM run WHERE id = $1{}", m.tx.backend().for_update());
        m.tx.opt(&sql, params![run_id], |row| row.get::<RunId>(0))?;
    }
    Ok(())
}

fn step_waits(m: &mut Mutation<'_, '_>, job: &Claimed, index: i64, error: &str) -> Result<()> {
    m.tx.exec_later(
        "UPDATE job_step SET state = 'waiting', error = $3 WHERE job_id = $1 AND idx = $2",
        params![job.id, index, error],
    )?;
    Ok(())
}

/// A statement of its own, after the queue's row is held: what is read is what a canceller that held it has left.
fn cancel_requested(m: &mut Mutation<'_, '_>, id: JobId) -> Result<bool> {
    Ok(m.tx.one("SELECT cancel_requested FROM job WHERE id = $1", params![id], |row| row.get(0))?)
}

fn fence(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::conflict(FENCED, "another worker holds this job now")) }
}

/// Gives the lease up. The token moves on, so that a heartbeat under way cannot make a lease of the wait.
fn later(m: &mut Mutation<'_, '_>, job: &Claimed, after: Duration) -> Result<()> {
    let due = m.now.checked_add(after).unwrap_or(Timestamp::MAX);
    fence(m.tx.exec(
        "UPDATE job_queue SET due_at = $3, token = token + 1 WHERE job_id = $1 AND token = $2",
        params![job.id, job.token, due],
    )?)
}

/// Whoever asked to cancel while the step ran found a lease to respect; the job is looked at now, not after its wait.
fn later_or_cancelled(m: &mut Mutation<'_, '_>, job: &Claimed, after: Duration) -> Result<()> {
    later(m, job, after)?;
    if cancel_requested(m, job.id)? {
        m.tx.exec_later("UPDATE job_queue SET due_at = $2 WHERE job_id = $1", params![job.id, m.now])?;
    }
    Ok(())
}

/// An event says what is waited for once, however often it is looked at.
fn wait(m: &mut Mutation<'_, '_>, job: &Claimed, waiting_for: &str) -> Result<bool> {
    job.state.step(JobState::Waiting)?;
    m.tx.exec_later(
        "UPDATE job SET state = 'waiting', waiting_for = $2 WHERE id = $1",
        params![job.id, waiting_for],
    )?;
    m.wake_jobs();
    if job.waiting_for.as_deref() != Some(waiting_for) {
        let data = json!({ "operation": job.operation, "waiting_for": waiting_for });
        m.event("job.waiting", job.subject(), &data)?;
    }
    Ok(false)
}

fn end_job(
    m: &mut Mutation<'_, '_>,
    job: &Claimed,
    state: JobState,
    error: Option<(&str, &str)>,
) -> Result<()> {
    job.state.step(state)?;
    m.tx.exec_later(
        "UPDATE job SET state = $2, waiting_for = NULL, error_code = $3, error_message = $4, ended_at = $5 WHERE id = $1",
        params![job.id, state.as_str(), error.map(|(code, _)| code), error.map(|(_, message)| message), m.now],
    )?;
    let mut data = json!({ "operation": job.operation });
    if let Some((code, message)) = error {
        data["code"] = code.into();
        data["message"] = message.into();
    }
    m.event(&format!("job.{state}"), job.subject(), &data)
}
