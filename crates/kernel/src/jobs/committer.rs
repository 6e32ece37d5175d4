//! The committer: steps that took effect and write nothing of their own are committed together, in a few statements for all.
//!
//! No time is waited: what has come while the last commit was under way goes into the next, and what is just about to come
//! ([`gather`]). A second one gathers while the first waits for the disk. Each result is fenced by itself, so a worker that lost
//! one job's lease loses nothing of its others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use qd_core::{
    error::{Error, ErrorKind, Result},
    id::JobId,
    state::JobState,
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{claim::Claimed, commit::Committed, lock};
use crate::{
    events::{self, NewEvent},
    kernel::Kernel,
    mutation::Wake,
    reckoning::Times,
    store::{Backend, Param, Row, StoreResult, Tx, in_list, padded_rows},
};

/// Results committed together at most.
const BATCH: usize = 64;

/// A step that took effect.
struct Done {
    id: JobId,
    token: i64,
    /// The step's place among the job's.
    index: i64,
    output: String,
    /// The job, where it was its last step.
    ends: Option<Claimed>,
}

impl Done {
    fn claim(&self) -> Claim {
        (self.id, self.token)
    }
}

type Answer = oneshot::Sender<Result<Committed>>;

/// Where workers leave what they have done.
#[derive(Clone)]
pub(super) struct Committer(mpsc::Sender<(Done, Answer)>);

/// The other end, to be run by [`Kernel::committer_run`] as often as may be under way at once.
#[derive(Clone)]
pub(super) struct Results(Arc<Mutex<mpsc::Receiver<(Done, Answer)>>>);

pub(super) fn committer() -> (Committer, Results) {
    let (sender, receiver) = mpsc::channel(BATCH);
    (Committer(sender), Results(Arc::new(Mutex::new(receiver))))
}

impl Committer {
    /// Answers once the result is on disk, or was fenced off.
    pub(super) async fn commit(&self, job: &Claimed, output: &Value, last: bool) -> Result<Committed> {
        let (answer, committed) = oneshot::channel();
        let done = Done {
            id: job.id,
            token: job.token,
            index: i64::try_from(job.step).unwrap_or(0),
            output: output.to_string(),
            ends: last.then(|| job.clone()),
        };
        let gone = || Error::unavailable("worker_stopping", "this process is stopping");
        self.0.send((done, answer)).await.map_err(|_| gone())?;
        committed.await.map_err(|_| gone())?
    }
}

impl Kernel {
    /// Until the last [`Committer`] is gone.
    pub(super) async fn committer_run(self, results: Results) {
        let mut batch = Vec::with_capacity(BATCH);
        while gather(&results, &mut batch).await {
            let (done, answers): (Vec<Done>, Vec<Answer>) = batch.drain(..).unzip();
            let (done, now) = (Arc::new(done), self.times());
            let held = done.clone();
            let committed = self.store.write(move |tx| write(tx, &held, now)).await;
            match committed {
                Ok(committed) => {
                    let ended = done.iter().any(|done| done.ends.is_some());
                    let unlocked =
                        done.iter().filter_map(|done| done.ends.as_ref()).any(|job| !job.locks.is_empty());
                    self.bus.wake(Wake { events: ended, jobs: unlocked, ..Wake::default() });
                    for (done, answer) in done.iter().zip(answers) {
                        // Nobody waits any more where the process is stopping.
                        let _ = answer.send(Ok(outcome(&committed, done)));
                    }
                }
                // Nothing was written, and one of them may be to blame: each is tried alone.
                Err(error) if done.len() > 1 && error.kind != ErrorKind::Unavailable => {
                    self.commit_alone(&done, answers).await;
                }
                Err(error) => {
                    for answer in answers {
                        let _ = answer.send(Err(Error::new(error.kind, error.code, error.detail.clone())));
                    }
                }
            }
        }
    }

    async fn commit_alone(&self, done: &Arc<Vec<Done>>, answers: Vec<Answer>) {
        for (at, (one, answer)) in done.iter().zip(answers).enumerate() {
            let (held, now) = (done.clone(), self.times());
            let committed =
                self.store.write(move |tx| write(tx, held.get(at..=at).unwrap_or_default(), now)).await;
            self.bus.wake(Wake { events: true, jobs: true, ..Wake::default() });
            let _ = answer.send(committed.map(|committed| outcome(&committed, one)));
        }
    }
}

fn outcome(committed: &BTreeMap<Claim, bool>, done: &Done) -> Committed {
    match committed.get(&done.claim()) {
        Some(cancel_requested) => Committed::Yes { cancel_requested: *cancel_requested },
        None => Committed::Fenced,
    }
}

/// The next results; false where none will come. Those who were just answered by the last commit come back within a turn of
/// the runtime, all together, so they are let come as long as each turn brings some.
async fn gather(results: &Results, batch: &mut Vec<(Done, Answer)>) -> bool {
    let mut results = results.0.lock().await;
    if results.recv_many(batch, BATCH).await == 0 {
        return false;
    }
    let mut before = 0;
    while before < batch.len() && batch.len() < BATCH {
        before = batch.len();
        tokio::task::yield_now().await;
        while batch.len() < BATCH
            && let Ok(result) = results.try_recv()
        {
            batch.push(result);
        }
    }
    true
}

/// A claim: a job and the token that it was claimed with. One that lost its lease may stand beside its successor in one batch.
type Claim = (JobId, i64);

/// The claims whose results were written, and of those that go on whether somebody asked to cancel their job.
fn write(tx: &mut Tx<'_>, done: &[Done], now: Times) -> Result<BTreeMap<Claim, bool>> {
    let ids: Vec<JobId> = done.iter().map(|done| done.id).collect();
    lock_places(tx, &ids)?;
    let (mut ended, mut going): (Vec<&Done>, Vec<&Done>) = done.iter().partition(|done| done.ends.is_some());
    let stand: BTreeSet<Claim> = move_on(tx, &going)?.into_iter().chain(leave(tx, &ended)?).collect();
    for some in [&mut ended, &mut going] {
        some.retain(|done| stand.contains(&done.claim()));
    }
    let done: Vec<&Done> = ended.iter().chain(&going).copied().collect();
    steps_done(tx, &done, now.shown)?;
    begin_next(tx, &going, now.shown)?;
    end(tx, &ended, now)?;
    let on: Vec<JobId> = going.iter().map(|done| done.id).collect();
    let cancelled = asked_to_cancel(tx, &on)?;
    Ok(done.iter().map(|done| (done.claim(), cancelled.contains(&done.id))).collect())
}

/// Takes places in the queue in the order of their ids, as everybody does who needs several. It goes with the next statement.
pub(super) fn lock_places(tx: &mut Tx<'_>, ids: &[JobId]) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        let (list, args) = in_list(ids, 1);
        tx.exec_later(
            &format!("SELECT job_id FROM job_queue WHERE job_id IN ({list}) ORDER BY job_id FOR UPDATE"),
            &args,
        )?;
    }
    Ok(())
}

/// Takes those to their next step whose claim still stands.
fn move_on(tx: &mut Tx<'_>, going: &[&Done]) -> Result<Vec<Claim>> {
    let Some(last) = going.last().copied() else { return Ok(vec![]) };
    let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint", "bigint"], going.len(), 1);
    let mut args: Vec<&dyn Param> = vec![];
    for done in going.iter().copied().chain(std::iter::repeat(last)).take(padded) {
        args.extend([&done.id as &dyn Param, &done.token, &done.index]);
    }
    let sql = format!(
        "WITH v (job_id, token, step) AS (VALUES {rows})
         UPDATE job_queue SET step = job_queue.step + 1
         FROM v WHERE job_queue.job_id = v.job_id AND job_queue.token = v.token AND job_queue.step = v.step
         RETURNING job_queue.job_id, job_queue.token"
    );
    Ok(tx.rows(&sql, &args, claim)?)
}

/// Takes those out of the queue whose claim still stands.
fn leave(tx: &mut Tx<'_>, ended: &[&Done]) -> Result<Vec<Claim>> {
    let Some(last) = ended.last().copied() else { return Ok(vec![]) };
    let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint"], ended.len(), 1);
    let mut args: Vec<&dyn Param> = vec![];
    for done in ended.iter().copied().chain(std::iter::repeat(last)).take(padded) {
        args.extend([&done.id as &dyn Param, &done.token]);
    }
    let sql = format!(
        "WITH v (job_id, token) AS (VALUES {rows})
         DELETE FROM job_queue WHERE (job_id, token) IN (SELECT job_id, token FROM v) RETURNING job_id, token"
    );
    Ok(tx.rows(&sql, &args, claim)?)
}

fn claim(row: &Row<'_>) -> StoreResult<Claim> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Which of the jobs somebody asked to cancel, read after their places are held.
pub(super) fn asked_to_cancel(tx: &mut Tx<'_>, ids: &[JobId]) -> Result<BTreeSet<JobId>> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let (list, args) = in_list(ids, 1);
    let asked =
        tx.rows(&format!("SELECT id, cancel_requested FROM job WHERE id IN ({list})"), &args, |row| {
            Ok((row.get::<JobId>(0)?, row.get::<bool>(1)?))
        })?;
    Ok(asked.into_iter().filter(|(_, asked)| *asked).map(|(id, _)| id).collect())
}

fn steps_done(tx: &mut Tx<'_>, done: &[&Done], now: Timestamp) -> Result<()> {
    let Some(last) = done.last().copied() else { return Ok(()) };
    let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint", "text"], done.len(), 2);
    let mut args: Vec<&dyn Param> = vec![&now];
    for done in done.iter().copied().chain(std::iter::repeat(last)).take(padded) {
        args.extend([&done.id as &dyn Param, &done.index, &done.output]);
    }
    tx.exec_later(
        &format!(
            "WITH v (job_id, idx, output) AS (VALUES {rows})
             UPDATE job_step SET state = 'succeeded', output = v.output, error = NULL, ended_at = $1
             FROM v WHERE job_step.job_id = v.job_id AND job_step.idx = v.idx"
        ),
        &args,
    )?;
    Ok(())
}

/// The next step of each is under way.
fn begin_next(tx: &mut Tx<'_>, going: &[&Done], now: Timestamp) -> Result<()> {
    let Some(last) = going.last().copied() else { return Ok(()) };
    let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint"], going.len(), 2);
    let mut args: Vec<&dyn Param> = vec![&now];
    for done in going.iter().copied().chain(std::iter::repeat(last)).take(padded) {
        args.extend([&done.id as &dyn Param, &done.index]);
    }
    tx.exec_later(
        &format!(
            "WITH v (job_id, idx) AS (VALUES {rows})
             UPDATE job_step SET state = 'running', attempts = 1, started_at = $1
             FROM v WHERE job_step.job_id = v.job_id AND job_step.idx = v.idx + 1"
        ),
        &args,
    )?;
    Ok(())
}

fn end(tx: &mut Tx<'_>, ended: &[&Done], now: Times) -> Result<()> {
    let jobs: Vec<&Claimed> = ended.iter().filter_map(|done| done.ends.as_ref()).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let (list, ids) = in_list(&ids, 2);
    let mut args: Vec<&dyn Param> = vec![&now.shown];
    args.extend(ids);
    tx.exec_later(
        &format!(
            "UPDATE job SET state = 'succeeded', waiting_for = NULL, error_code = NULL, error_message = NULL, ended_at = $1
             WHERE id IN ({list})"
        ),
        &args,
    )?;
    let mut said = vec![];
    for job in &jobs {
        job.state.step(JobState::Succeeded)?;
        said.push(NewEvent {
            context: &job.context,
            event_type: "job.succeeded",
            subject: job.subject(),
            data: json!({ "operation": job.operation }),
        });
    }
    events::append_all(tx, now.shown, &said)?;
    lock::release(tx, &jobs, now.due)
}
