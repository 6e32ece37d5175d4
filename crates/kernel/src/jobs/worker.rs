//! The worker: claims due jobs, carries out their steps, commits each result before the next step.
//!
//! A job holds a slot only while one of its steps runs. What waits for the world has stored its next look and is gone from
//! memory.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use qd_core::{
    error::{Error, ErrorKind, Result},
    id::{JobId, TenantId},
    state::{JobState, StepState},
};
use serde_json::Value;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    JobError,
    claim::{Claimed, Share},
    commit::{Commit, Committed},
    committer::{Committer, asked_to_cancel, committer, lock_places},
};
use crate::{
    kernel::Kernel,
    operation::{Ending, Operation, Outcome, SUPERSEDED, Step},
    params,
    store::{Param, padded_rows},
};

/// Without a call, the queue is looked at this often.
const POLL: Duration = Duration::from_secs(1);
/// Jobs taken by one claim at most.
const BATCH: usize = 64;
/// One slot in so many is kept free of a tenant that has all the others, so that the next tenant need not wait for one.
const RESERVED: usize = 8;
const COMMITTERS: usize = 2;
/// Where more is due than there are slots, one slot in so many is let come free before the next claim, but not for longer than
/// this: a claim of one job costs nearly what one of many does.
const LET_FREE: usize = 4;
const GATHER: Duration = Duration::from_millis(5);
/// How often a job is looked at whose operation this process does not know.
const UNKNOWN_LOOK: Duration = Duration::from_secs(10);
/// How long a stopping worker waits for steps under way.
const DRAIN: Duration = Duration::from_secs(5);
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MOST: Duration = Duration::from_mins(1);

/// The jobs that this process holds, by which heartbeats and cancels find them.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<BTreeMap<JobId, Flight>>);

struct Flight {
    token: i64,
    tenant_id: TenantId,
    /// The lease is another worker's.
    lost: CancellationToken,
    /// Somebody asked to cancel, or the lease is lost.
    cancel: CancellationToken,
}

/// A job on the list of those in flight, until dropped.
struct Held<'a> {
    list: &'a InFlight,
    id: JobId,
    token: i64,
    lost: CancellationToken,
    cancel: CancellationToken,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut list = self.list.lock();
        if list.get(&self.id).is_some_and(|flight| flight.token == self.token) {
            list.remove(&self.id);
        }
    }
}

/// What a heartbeat learnt.
#[derive(Default)]
struct News {
    /// Claims that are no longer ours.
    lost: Vec<(JobId, i64)>,
    /// Jobs that somebody asked to cancel.
    cancelled: Vec<JobId>,
}

/// What a look at the queue came to.
struct Found {
    claimed: Vec<Claimed>,
    /// How long to sleep when nothing more happens.
    sleep: Duration,
    /// A tenant has as many slots as one may have.
    capped: bool,
}

/// A slot, given back and called out however its job's task ends.
struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    freed: Arc<Notify>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.permit = None;
        self.freed.notify_one();
    }
}

impl InFlight {
    /// An older claim of the same job has lost its lease, and is told so.
    fn hold(&self, job: &Claimed) -> Held<'_> {
        let (id, token, lost) = (job.id, job.token, CancellationToken::new());
        let cancel = lost.child_token();
        let tenant_id = job.context.scope.tenant_id;
        let flight = Flight { token, tenant_id, lost: lost.clone(), cancel: cancel.clone() };
        if let Some(older) = self.lock().insert(id, flight) {
            older.lost.cancel();
        }
        Held { list: self, id, token, lost, cancel }
    }

    /// How many jobs of each tenant there are.
    fn by_tenant(&self) -> BTreeMap<TenantId, usize> {
        let mut counts: BTreeMap<TenantId, usize> = BTreeMap::new();
        for flight in self.lock().values() {
            *counts.entry(flight.tenant_id).or_default() += 1;
        }
        counts
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cancel(&self, id: JobId) {
        if let Some(flight) = self.lock().get(&id) {
            flight.cancel.cancel();
        }
    }

    /// Only the claim with this token: the job may have come back under another one meanwhile.
    fn lose(&self, id: JobId, token: i64) {
        if let Some(flight) = self.lock().get(&id)
            && flight.token == token
        {
            flight.lost.cancel();
        }
    }
}

impl Kernel {
    /// Runs until cancelled, then lets steps under way finish for a moment. What has not begun is for other workers.
    pub(crate) async fn worker_run(self, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.options.slots));
        let freed = Arc::new(Notify::new());
        let mut running = JoinSet::new();
        // Ends with the last of the steps that commit by it.
        let (committer, results) = committer();
        let mut committing = JoinSet::new();
        for _ in 0..COMMITTERS {
            committing.spawn(self.clone().committer_run(results.clone()));
        }
        drop(results);
        let mut called = true;
        let mut failing = false;
        let mut capped = false;
        while !stop.is_cancelled() {
            let free = slots.available_permits().min(BATCH);
            let mut full_batch = false;
            let mut sleep = POLL;
            match self.claim_due(free, called).await {
                Ok(found) => {
                    failing = false;
                    full_batch = free > 0 && found.claimed.len() == free;
                    (sleep, capped) = (found.sleep, found.capped);
                    for job in found.claimed {
                        let Ok(permit) = slots.clone().try_acquire_owned() else { continue };
                        let (kernel, slot) =
                            (self.clone(), Slot { permit: Some(permit), freed: freed.clone() });
                        let (committer, stop) = (committer.clone(), stop.clone());
                        running.spawn(async move {
                            kernel.job_run(job, &committer, &stop).await;
                            drop(slot);
                        });
                    }
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "claim jobs: will try again");
                    }
                    failing = true;
                }
            }
            while running.try_join_next().is_some() {}
            if full_batch {
                let some = u32::try_from(self.options.slots.div_ceil(LET_FREE)).unwrap_or(1);
                // What is acquired is only to wait for, and given back; so is the end of the wait.
                let free = tokio::time::timeout(GATHER, slots.acquire_many(some));
                let came = tokio::select! {
                    biased;
                    () = stop.cancelled() => false,
                    free = free => free.is_ok() || slots.available_permits() > 0,
                };
                if came {
                    called = true;
                    continue;
                }
            }
            let exhausted = slots.available_permits() == 0;
            called = tokio::select! {
                biased;
                () = stop.cancelled() => false,
                () = self.bus.jobs_waiting(), if !exhausted => true,
                () = self.bus.jobs_waiting_elsewhere(), if !exhausted => false,
                () = freed.notified(), if exhausted || capped => true,
                () = tokio::time::sleep(sleep), if !exhausted => false,
            };
        }
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::info!("steps still under way are left to their leases");
        }
        drop((running, committer));
        while committing.join_next().await.is_some() {}
    }

    /// Claims what is due; asks first with a read where nobody called, so that an idle process writes nothing.
    async fn claim_due(&self, free: usize, called: bool) -> Result<Found> {
        let nothing = |sleep| Found { claimed: vec![], sleep, capped: false };
        if free == 0 {
            return Ok(nothing(POLL));
        }
        let pause = self.reckoning.claims_pause();
        if !pause.is_zero() {
            return Ok(nothing(pause.min(POLL)));
        }
        let until = |due: Option<qd_core::time::Timestamp>| {
            due.map_or(POLL, |due| due.since(self.reckoning.now()).min(POLL))
        };
        if !called {
            let wait = until(self.jobs_next_due().await?);
            if !wait.is_zero() {
                return Ok(nothing(wait));
            }
        }
        let most = self.options.slots - self.options.slots / RESERVED;
        let share = Share { jobs: free, held: self.in_flight.by_tenant(), most };
        let capped = share.held.values().any(|jobs| *jobs >= most);
        let claimed = self.jobs_claim(share).await?;
        let sleep = match (claimed.is_empty(), capped) {
            (false, _) => Duration::ZERO,
            // What is due is a tenant's that has its fill: one of its slots must come free first.
            (true, true) => POLL,
            (true, false) => until(self.jobs_next_due().await?).max(Duration::from_millis(1)),
        };
        Ok(Found { claimed, sleep, capped })
    }

    /// Carries a claimed job as far as it goes now.
    async fn job_run(&self, mut job: Claimed, committer: &Committer, stop: &CancellationToken) {
        let held = self.in_flight.hold(&job);
        if let Err(error) = self.job_steps(&mut job, committer, &held, stop).await {
            // The lease runs out and the step is tried again, here or elsewhere: nothing is lost by leaving it.
            tracing::warn!(job_id = %job.id, operation = job.operation, %error, "commit a step: left to its lease");
        }
    }

    async fn job_steps(
        &self,
        job: &mut Claimed,
        committer: &Committer,
        held: &Held<'_>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let operation = match self.operation(&job.operation) {
            Ok(operation) => operation,
            // Another version of this program may know it, as while servers are replaced one by one.
            Err(_) => {
                let ending = Ending::Cancelled { reason: "cancelled on request".into() };
                let commit = match job.ends_unbegun() {
                    true => Commit::Ended { ending, apply: None },
                    false => Commit::Unknown { after: UNKNOWN_LOOK },
                };
                self.step_commit(job, commit).await?;
                return Ok(());
            }
        };
        loop {
            if stop.is_cancelled() {
                return self.lease_give_up(job).await;
            }
            if job.state == JobState::Undoing {
                return self.undo_steps(&*operation, job, &held.lost).await;
            }
            let step = || {
                let name = job.steps.get(job.step).map_or("", |step| step.name.as_str());
                format!("{}/{name}", job.operation)
            };
            self.failpoint(|| format!("step.before:{}", step()));
            let commit = self.step_attempt(&*operation, job, held).await;
            self.failpoint(|| format!("step.acted:{}", step()));
            let goes_on = matches!(commit, Commit::Done { last: false, .. });
            let undone_from = match &commit {
                Commit::Undo { from, ending } => Some((*from, ending.clone())),
                _ => None,
            };
            let output = match &commit {
                Commit::Done { output, .. } => output.clone(),
                _ => Value::Null,
            };
            let committed = match &commit {
                Commit::Done { output, apply: None, last } => committer.commit(job, output, *last).await,
                _ => self.step_commit(job, commit).await,
            };
            match committed {
                Ok(Committed::Yes { cancel_requested }) => {
                    if goes_on {
                        self.bus.job_moved(job.context.scope, job.id);
                    }
                    let name = job.steps.get(job.step).map_or("", |step| step.name.as_str());
                    self.failpoint(|| format!("step.committed:{}/{name}", job.operation));
                    job.cancel_requested |= cancel_requested;
                }
                Ok(Committed::Fenced) => {
                    tracing::info!(job_id = %job.id, "the lease was taken over; nothing was written");
                    return Ok(());
                }
                Err(error) if error.code == SUPERSEDED => {
                    let ending = Ending::Cancelled { reason: error.detail };
                    let from = job.undoable_from(&*operation);
                    let commit = job.end_or_undo(&*operation, ending.clone());
                    match (self.step_commit(job, commit).await?, from) {
                        (Committed::Yes { .. }, Some(from)) => job.undo_from(from, &ending),
                        _ => return Ok(()),
                    }
                    continue;
                }
                // Its last words are refused as well: it ends without them.
                Err(error) if refused(&error) && job.failure.is_some() => {
                    tracing::error!(job_id = %job.id, operation = job.operation, %error, "what the end of a job writes is refused");
                    let ending = job.cause();
                    self.step_commit(job, Commit::Ended { ending, apply: None }).await?;
                    return Ok(());
                }
                // What the step wants to write is refused, and would be again: the job fails with that reason.
                Err(error) if refused(&error) => {
                    let failure = JobError { code: error.code.into(), message: error.detail };
                    if !self.failure_keep(job, &failure).await? {
                        return Ok(());
                    }
                    job.failure = Some(failure);
                    continue;
                }
                Err(error) => return Err(error),
            }
            if let Some((from, ending)) = undone_from {
                job.undo_from(from, &ending);
                continue;
            }
            if !goes_on {
                return Ok(());
            }
            if let Some(step) = job.steps.get_mut(job.step) {
                step.output = Some(output);
                step.state = StepState::Succeeded;
            }
            job.waiting_for = None;
            job.step += 1;
            if let Some(step) = job.steps.get_mut(job.step) {
                step.attempts = 1;
                step.state = StepState::Running;
            }
        }
    }

    /// One attempt of the present step, with its time-out, turned into what is to be written.
    async fn step_attempt(&self, operation: &dyn Operation, job: &Claimed, held: &Held<'_>) -> Commit {
        let cancel = &held.cancel;
        let ended = |ending| job.end_or_undo(operation, ending);
        if job.ends_unbegun() {
            return ended(Ending::Cancelled { reason: "cancelled on request".into() });
        }
        let cancelled = match self.cancel_wanted(job, cancel).await {
            Ok(wanted) => wanted,
            Err(error) => return Commit::Retry { after: BACKOFF_FIRST, error: error.detail },
        };
        let Some(step) = job.steps.get(job.step) else {
            return ended(Ending::Failed {
                code: "step_missing".into(),
                message: format!("the job has no step {}", job.step),
            });
        };
        let most = operation.max_attempts(&step.name);
        let attempt = u32::try_from(step.attempts).unwrap_or(u32::MAX);
        let exhausted = || JobError {
            code: "attempts_exhausted".into(),
            message: format!("{} was tried {most} times and its worker died each time", step.name),
        };
        let failure = job.failure.clone().or_else(|| (attempt > most && !cancelled).then(exhausted));
        let outputs = job.outputs_before(job.step);
        let context = self.step_context(job, job.step, &outputs, &Value::Null, cancel);
        let timeout = operation.timeout(&step.name);
        let fail = |error: Error, tried: &str| JobError {
            code: error.code.into(),
            message: format!("{}{tried}", error.detail),
        };
        let failure = match failure {
            Some(failure) => Some(failure),
            None if cancelled => None,
            None => match guarded(&step.name, timeout, operation.run(&context))
                .await
                .unwrap_or_else(Outcome::Retry)
            {
                Outcome::Done { output, apply } => {
                    return Commit::Done { output, apply, last: job.step + 1 == job.steps.len() };
                }
                Outcome::Wait { after, waiting_for } => return Commit::Wait { after, waiting_for },
                Outcome::Superseded { by } => {
                    return ended(Ending::Cancelled { reason: format!("superseded by {by}") });
                }
                Outcome::Fatal(error) => Some(fail(error, "")),
                // One that a cancel interrupted is called off at its next look, whatever its attempts.
                Outcome::Retry(error) if attempt >= most && !cancel.is_cancelled() => {
                    Some(fail(error, &format!(" (tried {attempt} times)")))
                }
                Outcome::Retry(error) => {
                    return Commit::Retry { after: self.backoff(attempt), error: error.detail };
                }
            },
        };
        if let Some(failure) = failure.as_ref().filter(|_| job.failure.is_none()) {
            let lost = match self.failure_keep(job, failure).await {
                Ok(true) => None,
                Ok(false) => Some("another worker holds this job now".to_owned()),
                Err(error) => Some(error.detail),
            };
            if let Some(error) = lost {
                return Commit::Retry { after: BACKOFF_FIRST, error };
            }
        }
        // Neither a failure nor a cancel leaves behind what an attempt may have begun. The cancel is no reason to stop that.
        let context = self.step_context(job, job.step, &outputs, &Value::Null, &held.lost);
        let at = || format!("{}/{}", job.operation, step.name);
        self.failpoint(|| format!("call_off.before:{}", at()));
        let called_off = guarded(&step.name, timeout, operation.call_off(&context)).await.flatten();
        self.failpoint(|| format!("call_off.acted:{}", at()));
        match called_off {
            Ok(()) => ended(match failure {
                Some(failure) => Ending::Failed { code: failure.code, message: failure.message },
                None => Ending::Cancelled { reason: "cancelled on request".into() },
            }),
            Err(error) => Commit::CallOff { after: self.backoff(attempt), error: error.detail, failure },
        }
    }

    pub(super) fn step_context<'a>(
        &'a self,
        job: &'a Claimed,
        index: usize,
        outputs: &'a [Value],
        output: &'a Value,
        cancel: &CancellationToken,
    ) -> Step<'a> {
        let step = job.steps.get(index);
        Step {
            kernel: self,
            context: &job.context,
            job_id: job.id,
            index,
            name: step.map_or("", |step| step.name.as_str()),
            attempt: step.map_or(1, |step| u32::try_from(step.attempts).unwrap_or(u32::MAX)),
            input: &job.input,
            outputs,
            output,
            cancelled: cancel.clone(),
            fencing_token: job.token,
            fences: &job.fences,
            now: self.source.now(),
        }
    }

    /// Whether somebody asked to cancel the job; false where the call only says that its lease is lost.
    async fn cancel_wanted(&self, job: &Claimed, cancel: &CancellationToken) -> Result<bool> {
        if job.cancel_requested || !cancel.is_cancelled() {
            return Ok(job.cancel_requested);
        }
        let (id, token) = (job.id, job.token);
        let wanted = self
            .store
            .read(move |tx| -> Result<Option<bool>> {
                Ok(tx.opt(
                    "SELECT j.cancel_requested FROM job j JOIN job_queue q ON q.job_id = j.id WHERE j.id = $1 AND q.token = $2",
                    params![id, token],
                    |row| row.get(0),
                )?)
            })
            .await?;
        Ok(wanted == Some(true))
    }

    /// Doubles with each attempt, with up to a half of jitter on top, so that many do not come back together.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let base = BACKOFF_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(7)).min(BACKOFF_MOST);
        let mut byte = [0u8; 1];
        self.source.random(&mut byte);
        base + base.mul_f64(f64::from(byte[0]) / 512.0)
    }

    /// Extends the leases of what this process holds, and learns what was cancelled or lost meanwhile.
    pub(crate) async fn heartbeat_run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.reckoning.set_ahead() => {}
                () = tokio::time::sleep(self.options.lease / 3) => {}
            }
            let held: Vec<(JobId, i64)> =
                self.in_flight.lock().iter().map(|(id, flight)| (*id, flight.token)).collect();
            if held.is_empty() {
                continue;
            }
            match self.leases_extend(held).await {
                Ok(news) => {
                    news.lost.into_iter().for_each(|(id, token)| self.in_flight.lose(id, token));
                    news.cancelled.into_iter().for_each(|id| self.in_flight.cancel(id));
                }
                Err(error) => tracing::warn!(%error, "extend leases: will try again"),
            }
        }
    }

    async fn leases_extend(&self, held: Vec<(JobId, i64)>) -> Result<News> {
        let now = self.reckoning.now();
        let lease_end = now.checked_add(self.options.lease);
        self.store
            .write(move |tx| -> Result<News> {
                let Some(last) = held.last() else { return Ok(News::default()) };
                let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint"], held.len(), 3);
                let ids: Vec<JobId> = held.iter().map(|(id, _)| *id).collect();
                lock_places(tx, &ids)?;
                let mut args: Vec<&dyn Param> = vec![&lease_end, &now];
                for (id, token) in held.iter().chain(std::iter::repeat(last)).take(padded) {
                    args.extend([id as &dyn Param, token]);
                }
                let kept: Vec<JobId> = tx.rows(
                    &format!(
                        "WITH v (job_id, token) AS (VALUES {rows})
                         UPDATE job_queue SET due_at = $1, set_at = $2
                         FROM v WHERE job_queue.job_id = v.job_id AND job_queue.token = v.token
                         RETURNING job_queue.job_id"
                    ),
                    &args,
                    |row| row.get(0),
                )?;
                let cancelled = asked_to_cancel(tx, &kept)?.into_iter().collect();
                let lost = held.iter().filter(|(id, _)| !kept.contains(id)).copied().collect();
                Ok(News { lost, cancelled })
            })
            .await
    }
}

/// What somebody wants to write is refused, and would be again; not that the database is away or broken.
fn refused(error: &Error) -> bool {
    !matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal)
}

/// A step that takes too long or panics is one that went wrong, not one that takes its slot and its lease with it.
pub(super) async fn guarded<T>(step: &str, timeout: Duration, run: impl Future<Output = T>) -> Result<T> {
    match tokio::time::timeout(timeout, AssertUnwindSafe(run).catch_unwind()).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) => Err(Error::internal("step_panicked", format!("{step} failed unexpectedly"))),
        Err(_) => Err(Error::unavailable("step_timeout", format!("{step} took longer than {timeout:?}"))),
    }
}
