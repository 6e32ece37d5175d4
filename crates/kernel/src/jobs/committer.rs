//! The committer: steps that took effect and write nothing of their own are committed together, in a few statements for all.
//!
//! Nobody is waited for: what has come while the last commit was under way goes into the next. Each result is fenced by itself,
//! so a worker that lost one job's lease loses nothing of its others.

use std::collections::{BTreeMap, BTreeSet};

use qd_core::{
    error::{Error, ErrorKind, Result},
    id::JobId,
    state::JobState,
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{claim::Claimed, commit::Committed, lock};
use crate::{
    events::{self, NewEvent},
    kernel::Kernel,
    mutation::Wake,
    store::{Param, Tx, in_list, padded_rows},
};

/// Results committed together at most.
const BATCH: usize = 64;

/// A step that took effect.
#[derive(Clone)]
struct Done {
    job: Claimed,
    output: String,
    /// It was the job's last.
    last: bool,
}

type Answer = oneshot::Sender<Result<Committed>>;

/// Where workers leave what they have done.
#[derive(Clone)]
pub(super) struct Committer(mpsc::Sender<(Done, Answer)>);

/// The other end, to be run by [`Kernel::committer_run`].
pub(super) struct Results(mpsc::Receiver<(Done, Answer)>);

pub(super) fn committer() -> (Committer, Results) {
    let (sender, receiver) = mpsc::channel(BATCH);
    (Committer(sender), Results(receiver))
}

impl Committer {
    /// Answers once the result is on disk, or was fenced off.
    pub(super) async fn commit(&self, job: &Claimed, output: &Value, last: bool) -> Result<Committed> {
        let (answer, committed) = oneshot::channel();
        let done = Done { job: job.clone(), output: output.to_string(), last };
        let gone = || Error::unavailable("worker_stopping", "this process is stopping");
        self.0.send((done, answer)).await.map_err(|_| gone())?;
        committed.await.map_err(|_| gone())?
    }
}

impl Kernel {
    /// Until the last [`Committer`] is gone.
    pub(super) async fn committer_run(self, mut results: Results) {
        let mut batch = Vec::with_capacity(BATCH);
        while results.0.recv_many(&mut batch, BATCH).await > 0 {
            let (done, answers): (Vec<Done>, Vec<Answer>) = batch.drain(..).unzip();
            let now = self.source.now();
            let held = done.clone();
            let committed = self.store.write(move |tx| write(tx, &held, now)).await;
            let ended = done.iter().any(|done| done.last);
            match committed {
                Ok(committed) => {
                    let unlocked = done.iter().any(|done| done.last && !done.job.locks.is_empty());
                    self.bus.wake(Wake { events: ended, jobs: unlocked, ..Wake::default() });
                    for (done, answer) in done.iter().zip(answers) {
                        let outcome = match committed.get(&done.job.id) {
                            Some(cancel_requested) => Committed::Yes { cancel_requested: *cancel_requested },
                            None => Committed::Fenced,
                        };
                        // Nobody waits any more where the process is stopping.
                        let _ = answer.send(Ok(outcome));
                    }
                }
                // One of them may be to blame: each is tried alone. What was written all the same is seen then.
                Err(error) if done.len() > 1 && error.kind != ErrorKind::Unavailable => {
                    self.commit_alone(done, answers).await;
                }
                Err(error) => {
                    for answer in answers {
                        let _ = answer.send(Err(Error::new(error.kind, error.code, error.detail.clone())));
                    }
                }
            }
        }
    }

    async fn commit_alone(&self, done: Vec<Done>, answers: Vec<Answer>) {
        for (done, answer) in done.into_iter().zip(answers) {
            let (id, now) = (done.job.id, self.source.now());
            let committed = self.store.write(move |tx| write(tx, std::slice::from_ref(&done), now)).await;
            self.bus.wake(Wake { events: true, jobs: true, ..Wake::default() });
            let outcome = committed.map(|committed| match committed.get(&id) {
                Some(cancel_requested) => Committed::Yes { cancel_requested: *cancel_requested },
                None => Committed::Fenced,
            });
            let _ = answer.send(outcome);
        }
    }
}

/// The jobs whose results were written, and of those that go on whether somebody asked to cancel them.
fn write(tx: &mut Tx<'_>, done: &[Done], now: Timestamp) -> Result<BTreeMap<JobId, bool>> {
    let places = places(tx, done)?;
    let place = |done: &&Done| match places.get(&done.job.id) {
        Some((token, step)) if *token == done.job.token => Some(step - index(done)),
        _ => None,
    };
    // One whose answer was lost is here again, and is not counted twice.
    let again: Vec<&Done> = done.iter().filter(|done| place(done) == Some(1)).collect();
    let done: Vec<&Done> = done.iter().filter(|done| place(done) == Some(0)).collect();
    let (ended, going): (Vec<&Done>, Vec<&Done>) = done.iter().copied().partition(|done| done.last);
    steps_done(tx, &done, now)?;
    go_on(tx, &going, now)?;
    end(tx, &ended, now)?;
    let on: Vec<JobId> = going.iter().chain(&again).map(|done| done.job.id).collect();
    let cancelled = asked_to_cancel(tx, &on)?;
    Ok(done.iter().chain(&again).map(|done| (done.job.id, cancelled.contains(&done.job.id))).collect())
}

/// Where the jobs stand in the queue, locked: token and step.
fn places(tx: &mut Tx<'_>, done: &[Done]) -> Result<BTreeMap<JobId, (i64, i64)>> {
    let ids: Vec<JobId> = done.iter().map(|done| done.job.id).collect();
    let (list, args) = in_list(&ids, 1);
    let sql = format!(
        "SELECT job_id, token, step FROM job_queue WHERE job_id IN ({list}) ORDER BY job_id{}",
        tx.backend().for_update()
    );
    Ok(tx.rows(&sql, &args, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.into_iter().collect())
}

/// Which of the jobs somebody asked to cancel, read after their places are held.
fn asked_to_cancel(tx: &mut Tx<'_>, ids: &[JobId]) -> Result<BTreeSet<JobId>> {
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
    let indexes: Vec<i64> = done.iter().map(|done| index(done)).collect();
    let last_index = index(last);
    let mut args: Vec<&dyn Param> = vec![&now];
    for (done, at) in
        done.iter().copied().zip(&indexes).chain(std::iter::repeat((last, &last_index))).take(padded)
    {
        args.extend([&done.job.id as &dyn Param, at, &done.output]);
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
fn go_on(tx: &mut Tx<'_>, going: &[&Done], now: Timestamp) -> Result<()> {
    let Some(last) = going.last().copied() else { return Ok(()) };
    let ids: Vec<JobId> = going.iter().map(|done| done.job.id).collect();
    let (list, args) = in_list(&ids, 1);
    tx.exec_later(&format!("UPDATE job_queue SET step = step + 1 WHERE job_id IN ({list})"), &args)?;
    let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint"], going.len(), 2);
    let next: Vec<i64> = going.iter().map(|done| index(done) + 1).collect();
    let last_next = index(last) + 1;
    let mut step_args: Vec<&dyn Param> = vec![&now];
    for (done, at) in
        going.iter().copied().zip(&next).chain(std::iter::repeat((last, &last_next))).take(padded)
    {
        step_args.extend([&done.job.id as &dyn Param, at]);
    }
    tx.exec_later(
        &format!(
            "WITH v (job_id, idx) AS (VALUES {rows})
             UPDATE job_step SET state = 'running', attempts = 1, started_at = $1
             FROM v WHERE job_step.job_id = v.job_id AND job_step.idx = v.idx"
        ),
        &step_args,
    )?;
    Ok(())
}

fn end(tx: &mut Tx<'_>, ended: &[&Done], now: Timestamp) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<JobId> = ended.iter().map(|done| done.job.id).collect();
    let (list, args) = in_list(&ids, 1);
    tx.exec_later(&format!("DELETE FROM job_queue WHERE job_id IN ({list})"), &args)?;
    let (list, ids) = in_list(&ids, 2);
    let mut args: Vec<&dyn Param> = vec![&now];
    args.extend(ids);
    tx.exec_later(
        &format!(
            "UPDATE job SET state = 'succeeded', waiting_for = NULL, error_code = NULL, error_message = NULL, ended_at = $1
             WHERE id IN ({list})"
        ),
        &args,
    )?;
    let mut said = vec![];
    for done in ended {
        done.job.state.step(JobState::Succeeded)?;
        said.push(NewEvent {
            context: &done.job.context,
            event_type: "job.succeeded",
            subject: done.job.subject(),
            data: json!({ "operation": done.job.operation }),
        });
    }
    events::append_all(tx, now, &said)?;
    let jobs: Vec<&Claimed> = ended.iter().map(|done| &done.job).collect();
    lock::release(tx, &jobs, now)
}

fn index(done: &Done) -> i64 {
    i64::try_from(done.job.step).unwrap_or(0)
}
