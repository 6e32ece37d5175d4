//! Undoing: of a job that failed or was cancelled, the steps that took effect are taken back, the last one first.
//!
//! Each undo is a step of its own: tried again with backoff, its result committed before the next. When one cannot be done, the
//! job has failed and says what is left; nothing further is taken back, because what is left may depend on it.

use qd_core::{
    error::{ErrorKind, Result},
    state::{JobState, StepState},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    JobError,
    claim::Claimed,
    commit::{Commit, Committed},
    worker::guarded,
};
use crate::{
    kernel::Kernel,
    operation::{Ending, Operation},
};

/// How often an undo is tried before it is left to people.
const UNDO_ATTEMPTS: i64 = 10;

impl Claimed {
    /// The last step before `index` that took effect and can be taken back.
    fn undoable_before(&self, operation: &dyn Operation, index: usize) -> Option<usize> {
        let done = |at: &usize| {
            self.steps
                .get(*at)
                .is_some_and(|step| step.state == StepState::Succeeded && operation.undoable(&step.name))
        };
        (0..index.min(self.steps.len())).rev().find(done)
    }

    /// The step that is undone first where the job goes no further.
    pub(super) fn undoable_from(&self, operation: &dyn Operation) -> Option<usize> {
        self.undoable_before(operation, self.step)
    }

    /// Ends the job, after its steps were undone where they can be.
    pub(super) fn end_or_undo(&self, operation: &dyn Operation, ending: Ending) -> Commit {
        match self.undoable_from(operation) {
            Some(from) => Commit::undo(ending, from),
            None => Commit::ended(operation, &self.input, ending),
        }
    }

    /// What was just committed, done to the copy in memory.
    pub(super) fn undo_from(&mut self, from: usize, ending: &Ending) {
        self.state = JobState::Undoing;
        self.failure = Some(match ending {
            Ending::Failed { code, message } => JobError { code: code.clone(), message: message.clone() },
            Ending::Cancelled { reason } => JobError { code: "cancelled".into(), message: reason.clone() },
        });
        for (at, step) in self.steps.iter_mut().enumerate() {
            if at < self.step {
                step.attempts = 0;
            }
        }
        self.undo_at(from);
    }

    fn undo_at(&mut self, index: usize) {
        self.step = index;
        if let Some(step) = self.steps.get_mut(index) {
            step.attempts = 1;
            step.state = StepState::Undoing;
        }
    }

    /// Why it goes no further, or is undone.
    pub(super) fn cause(&self) -> Ending {
        match self.failure.clone() {
            Some(JobError { code, message }) if code == "cancelled" => Ending::Cancelled { reason: message },
            Some(JobError { code, message }) => Ending::Failed { code, message },
            None => Ending::Cancelled { reason: "cancelled on request".into() },
        }
    }

    pub(super) fn outputs_before(&self, index: usize) -> Vec<Value> {
        self.steps.iter().take(index).map(|step| step.output.clone().unwrap_or_default()).collect()
    }
}

impl Kernel {
    /// Undoes as far as it goes now.
    pub(super) async fn undo_steps(
        &self,
        operation: &dyn Operation,
        job: &mut Claimed,
        lost: &CancellationToken,
    ) -> Result<()> {
        loop {
            let at = |job: &Claimed| {
                let name = job.steps.get(job.step).map_or("", |step| step.name.as_str());
                format!("{}/{name}", job.operation)
            };
            self.failpoint(|| format!("undo.before:{}", at(job)));
            let commit = self.undo_attempt(operation, job, lost).await;
            self.failpoint(|| format!("undo.acted:{}", at(job)));
            let next = match &commit {
                Commit::Undone { next, .. } => *next,
                _ => None,
            };
            let (committed, next) = match self.step_commit(job, commit).await {
                Ok(committed) => (committed, next),
                Err(error) if error.kind != ErrorKind::Unavailable => (
                    self.step_commit(job, self.undo_failed(operation, job, error.detail, false)).await?,
                    None,
                ),
                Err(error) => return Err(error),
            };
            if committed == Committed::Fenced {
                tracing::info!(job_id = %job.id, "the lease was taken over; nothing was written");
                return Ok(());
            }
            self.failpoint(|| format!("undo.committed:{}", at(job)));
            let Some(next) = next else { return Ok(()) };
            self.bus.job_moved(job.context.scope, job.id);
            if let Some(step) = job.steps.get_mut(job.step) {
                step.state = StepState::Undone;
            }
            job.undo_at(next);
        }
    }

    async fn undo_attempt(
        &self,
        operation: &dyn Operation,
        job: &Claimed,
        lost: &CancellationToken,
    ) -> Commit {
        let Some(step) = job.steps.get(job.step) else {
            return Commit::ended(operation, &job.input, job.cause());
        };
        if step.attempts > UNDO_ATTEMPTS {
            return self.undo_failed(operation, job, "its worker died each time".into(), true);
        }
        let outputs = job.outputs_before(job.step);
        let output = step.output.clone().unwrap_or_default();
        let context = self.step_context(job, job.step, &outputs, &output, lost);
        let undone =
            guarded(&step.name, operation.timeout(&step.name), operation.undo(&context)).await.flatten();
        match undone {
            Ok(apply) => {
                let next = job.undoable_before(operation, job.step);
                let ending = next.is_none().then(|| Commit::last_words(operation, &job.input, job.cause()));
                Commit::Undone { apply, next, ending }
            }
            Err(error) => self.undo_failed(operation, job, error.detail, true),
        }
    }

    /// Tries again while there are attempts left; then the job has failed, and says what is still done. `last_words` unless it
    /// may be those of the operation that are refused.
    fn undo_failed(
        &self,
        operation: &dyn Operation,
        job: &Claimed,
        error: String,
        last_words: bool,
    ) -> Commit {
        let (title, attempts) =
            job.steps.get(job.step).map_or(("", 0), |step| (step.title.as_str(), step.attempts));
        if attempts < UNDO_ATTEMPTS {
            let after = self.backoff(u32::try_from(attempts).unwrap_or(u32::MAX));
            return Commit::UndoRetry { after, error };
        }
        let mut left = vec![title.to_owned()];
        let mut at = job.step;
        while let Some(before) = job.undoable_before(operation, at) {
            left.extend(job.steps.get(before).map(|step| step.title.clone()));
            at = before;
        }
        let cause = match job.cause() {
            Ending::Failed { message, .. } => format!("it failed ({message})"),
            Ending::Cancelled { reason } => reason,
        };
        let message = format!(
            "{cause}; undoing it stopped at {title:?} after {UNDO_ATTEMPTS} tries: {}. Still done, to be taken back by hand: {}",
            error,
            left.join(", ")
        );
        let ending = Ending::Failed { code: "undo_failed".into(), message };
        match last_words {
            true => Commit::ended(operation, &job.input, ending),
            false => Commit::Ended { ending, apply: None },
        }
    }
}
