//! Committing what a step came to, behind the fence: a worker whose lease was taken over writes nothing.

use std::time::Duration;

use qd_core::{
    error::{Error, Result},
    id::JobId,
    state::JobState,
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{JobError, claim::Claimed, lock};
use crate::{
    engine::clean::text,
    kernel::Kernel,
    mutation::Mutation,
    operation::{Apply, Ending, Operation},
    params,
    store::Backend,
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
    /// Steps that took effect are taken back from now on, the one at `from` first.
    Undo {
        ending: Ending,
        from: usize,
    },
    /// The step's effect is taken back; `next` is the one before it that is still to be, and `ending` is written after the last.
    Undone {
        apply: Option<Apply>,
        next: Option<usize>,
        ending: Option<(Ending, Option<Apply>)>,
    },
    /// Try to take it back again later.
    UndoRetry {
        after: Duration,
        error: String,
    },
    Ended {
        ending: Ending,
        apply: Option<Apply>,
    },
    /// Nobody here knows the operation; not counted as an attempt.
    Unknown {
        after: Duration,
    },
}

impl Commit {
    pub(super) fn ended(operation: &dyn Operation, input: &Value, ending: Ending) -> Self {
        let (ending, apply) = Self::last_words(operation, input, ending);
        Self::Ended { ending, apply }
    }

    pub(super) fn undo(ending: Ending, from: usize) -> Self {
        Self::Undo { ending: said(ending), from }
    }

    /// How the job ends, and what its operation writes then.
    pub(super) fn last_words(
        operation: &dyn Operation,
        input: &Value,
        ending: Ending,
    ) -> (Ending, Option<Apply>) {
        let ending = said(ending);
        let apply = operation.ended(input, &ending);
        (ending, apply)
    }
}

/// What went wrong outside is said in other people's words.
fn said(mut ending: Ending) -> Ending {
    match &mut ending {
        Ending::Failed { message, .. } => text(message),
        Ending::Cancelled { reason } => text(reason),
    }
    ending
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
            Commit::UndoRetry { error: said, .. } => text(said),
            Commit::Done { .. }
            | Commit::Undo { .. }
            | Commit::Undone { .. }
            | Commit::Ended { .. }
            | Commit::Unknown { .. } => {}
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
            if apply.is_some() {
                run_lock(m, job)?;
            }
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
        Commit::Undo { ending, from } => {
            fence(m.tx.exec(
                "UPDATE job_queue SET step = $3 WHERE job_id = $1 AND token = $2",
                params![job.id, job.token, i64::try_from(*from).unwrap_or(0)],
            )?)?;
            settle_step(m, job, index, ending)?;
            job.state.step(JobState::Undoing)?;
            let (code, message) = error_of(ending);
            m.tx.exec_later(
                "UPDATE job SET state = 'undoing', waiting_for = NULL, error_code = $2, error_message = $3 WHERE id = $1",
                params![job.id, code, message],
            )?;
            // Attempts are those of the undo from here on.
            m.tx.exec_later(
                "UPDATE job_step SET attempts = 0 WHERE job_id = $1 AND idx < $2",
                params![job.id, index],
            )?;
            undo_begins(m, job, *from)?;
            let data = json!({ "operation": job.operation, "code": code, "message": message });
            m.event("job.undoing", job.subject(), &data)?;
            Ok(false)
        }
        Commit::Undone { apply, next, ending } => {
            match next {
                Some(next) => fence(m.tx.exec(
                    "UPDATE job_queue SET step = $3 WHERE job_id = $1 AND token = $2",
                    params![job.id, job.token, i64::try_from(*next).unwrap_or(0)],
                )?)?,
                None => leave_queue(m, job)?,
            }
            m.tx.exec_later(
                "UPDATE job_step SET state = 'undone', error = NULL, ended_at = $3 WHERE job_id = $1 AND idx = $2",
                params![job.id, index, m.now],
            )?;
            if let Some(apply) = apply {
                apply(m)?;
            }
            match (next, ending) {
                (Some(next), _) => undo_begins(m, job, *next)?,
                (None, ending) => {
                    let error = match ending {
                        Some((ending, apply)) => {
                            if let Some(apply) = apply {
                                apply(m)?;
                            }
                            Some(error_of(ending))
                        }
                        None => None,
                    };
                    end_job(m, job, JobState::Undone, error)?;
                }
            }
            Ok(false)
        }
        Commit::UndoRetry { after, error } => {
            later(m, job, *after)?;
            m.tx.exec_later(
                "UPDATE job_step SET error = $3 WHERE job_id = $1 AND idx = $2",
                params![job.id, index, &*error],
            )?;
            let waiting_for = format!("another try to undo after: {error}");
            m.tx.exec_later("UPDATE job SET waiting_for = $2 WHERE id = $1", params![job.id, waiting_for])?;
            m.wake_jobs();
            Ok(false)
        }
        Commit::Unknown { after } => {
            later(m, job, *after)?;
            // As it was before the claim: one that never began can be cancelled by anybody.
            let never_began = job.steps.get(job.step).is_some_and(|step| step.started_at.is_none());
            let state = match (job.state, never_began) {
                (JobState::Undoing, _) => "undoing",
                (_, true) => "pending",
                (_, false) => "waiting",
            };
            let started_at = "CASE WHEN $3 = 'pending' THEN NULL ELSE started_at END";
            m.tx.exec_later(
                &format!(
                    "UPDATE job_step SET attempts = attempts - 1, state = $3, started_at = {started_at}
                     WHERE job_id = $1 AND idx = $2"
                ),
                params![job.id, index, state],
            )?;
            let waiting_for = format!("a server that knows the operation {}", job.operation);
            if job.state != JobState::Undoing {
                return wait(m, job, &waiting_for);
            }
            m.tx.exec_later("UPDATE job SET waiting_for = $2 WHERE id = $1", params![job.id, waiting_for])?;
            Ok(false)
        }
        Commit::Ended { ending, apply } => {
            leave_queue(m, job)?;
            settle_step(m, job, index, ending)?;
            if let Some(apply) = apply {
                apply(m)?;
            }
            let state = match ending {
                Ending::Failed { .. } => JobState::Failed,
                Ending::Cancelled { .. } => JobState::Cancelled,
            };
            end_job(m, job, state, Some(error_of(ending)))?;
            Ok(false)
        }
    }
}

fn error_of(ending: &Ending) -> (&str, &str) {
    match ending {
        Ending::Failed { code, message } => (code, message),
        Ending::Cancelled { reason } => ("cancelled", reason),
    }
}

fn leave_queue(m: &mut Mutation<'_, '_>, job: &Claimed) -> Result<()> {
    run_lock(m, job)?;
    fence(m.tx.exec("DELETE FROM job_queue WHERE job_id = $1 AND token = $2", params![job.id, job.token])?)
}

/// The step goes no further, and those after it never begin.
fn settle_step(m: &mut Mutation<'_, '_>, job: &Claimed, index: i64, ending: &Ending) -> Result<()> {
    let state = match ending {
        Ending::Failed { .. } => "failed",
        Ending::Cancelled { .. } => "cancelled",
    };
    m.tx.exec_later(
        "UPDATE job_step SET state = $3, error = $4, ended_at = $5 WHERE job_id = $1 AND idx = $2",
        params![job.id, index, state, error_of(ending).1, m.now],
    )?;
    if job.state != JobState::Undoing {
        m.tx.exec_later(
            "UPDATE job_step SET state = 'skipped' WHERE job_id = $1 AND idx > $2",
            params![job.id, index],
        )?;
    }
    Ok(())
}

fn undo_begins(m: &mut Mutation<'_, '_>, job: &Claimed, index: usize) -> Result<()> {
    m.tx.exec_later(
        "UPDATE job_step SET state = 'undoing', attempts = 1 WHERE job_id = $1 AND idx = $2",
        params![job.id, i64::try_from(index).unwrap_or(0)],
    )?;
    Ok(())
}

/// Takes the job's run before its place in the queue, as all do that need both: what the operation writes about the end is
/// written on the run.
fn run_lock(m: &mut Mutation<'_, '_>, job: &Claimed) -> Result<()> {
    if let Some(run_id) = job.run_id
        && m.tx.backend() == Backend::Postgres
    {
        m.tx.exec_later("SELECT id FROM run WHERE id = $1 FOR UPDATE", params![run_id])?;
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
    let due = m.due_now.checked_add(after).unwrap_or(Timestamp::MAX);
    fence(m.tx.exec(
        "UPDATE job_queue SET due_at = $3, set_at = $4, token = token + 1 WHERE job_id = $1 AND token = $2",
        params![job.id, job.token, due, m.due_now],
    )?)
}

/// Whoever asked to cancel while the step ran found a lease to respect; the job is looked at now, not after its wait.
fn later_or_cancelled(m: &mut Mutation<'_, '_>, job: &Claimed, after: Duration) -> Result<()> {
    later(m, job, after)?;
    if cancel_requested(m, job.id)? {
        m.tx.exec_later(
            "UPDATE job_queue SET due_at = $2, set_at = $2 WHERE job_id = $1",
            params![job.id, m.due_now],
        )?;
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
    lock::release(m.tx, &[job], m.due_now)?;
    if !job.locks.is_empty() {
        m.wake_jobs();
    }
    let mut data = json!({ "operation": job.operation });
    if let Some((code, message)) = error {
        data["code"] = code.into();
        data["message"] = message.into();
    }
    m.event(&format!("job.{state}"), job.subject(), &data)
}
