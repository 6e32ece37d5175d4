//! Observers watch: each active run that an engine has adopted is read from a cursor, and what was learnt is written with
//! the cursor's move in one transaction. An observation taken twice, or by two processes, is stored once. Of several observers
//! one follows a run, by a [`lease`]; a run that only one of them can reach is left to it.
//!
//! The observer changes nothing outside; jobs do that.

mod charts;
mod lease;
mod record;

use std::{collections::HashMap, time::Duration};

use qd_core::{
    error::Result,
    id::{ProjectId, RunId, TenantId},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{context::Scope, engine::RunEngine, kernel::Kernel};

/// Without a call, active runs are looked for this often.
const POLL: Duration = Duration::from_secs(2);
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MOST: Duration = Duration::from_secs(10);

/// An attempt that is to be followed.
#[derive(Clone)]
struct Watched {
    scope: Scope,
    run_id: RunId,
    attempt: i64,
    engine: String,
    /// The engine's own name of the attempt.
    external_id: String,
    /// Of the request that started the run.
    correlation_id: String,
}

impl Kernel {
    /// Keeps one task per active run that is this process's to follow, until cancelled.
    pub(crate) async fn observer_run(self, stop: CancellationToken) {
        let mut watched = HashMap::new();
        let mut keep_at = Instant::now();
        let mut failing = false;
        while !stop.is_cancelled() {
            match self.observer_look(&mut watched, &mut keep_at, &stop).await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "look for active runs: will try again");
                    }
                    failing = true;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bus.runs_changed() => {}
                () = tokio::time::sleep(POLL.min(self.options.lease / 3)) => {}
            }
        }
        let followed = watched.keys().map(|(run_id, _)| *run_id).collect();
        for (_, task) in watched {
            // Each ends between two transactions; an error says that it panicked, which was logged where it happened.
            let _ = task.await;
        }
        self.runs_leave(followed).await;
    }

    /// Leaves what is over, keeps what is followed, and follows what is new and nobody's.
    async fn observer_look(
        &self,
        watched: &mut HashMap<(RunId, i64), AbortOnDropHandle<()>>,
        keep_at: &mut Instant,
        stop: &CancellationToken,
    ) -> Result<()> {
        let over: Vec<RunId> =
            watched.extract_if(|_, task| task.is_finished()).map(|((run_id, _), _)| run_id).collect();
        // Of a run that is tried again the next attempt may be followed already, under the same lease.
        let again = |run_id: &RunId| watched.keys().any(|(followed, _)| followed == run_id);
        self.runs_leave(over.into_iter().filter(|run_id| !again(run_id)).collect()).await;
        if *keep_at <= Instant::now() {
            let followed = watched.keys().map(|(run_id, _)| *run_id).collect();
            let kept = self.runs_keep(followed).await?;
            watched.retain(|(run_id, _), _| kept.contains(run_id));
            *keep_at = Instant::now() + self.options.lease / 3;
        }
        let mut wanted = vec![];
        for run in self.runs_active().await? {
            let Some(engine) = self.registry.find_engine(&run.engine) else { continue };
            if !watched.contains_key(&(run.run_id, run.attempt)) && engine.reaches(&run.external_id).await {
                wanted.push((run, engine.clone()));
            }
        }
        let taken = self.runs_take(wanted.iter().map(|(run, _)| run.run_id).collect()).await?;
        for (run, engine) in wanted.into_iter().filter(|(run, _)| taken.contains(&run.run_id)) {
            let (kernel, stop) = (self.clone(), stop.clone());
            let id = (run.run_id, run.attempt);
            let task = tokio::spawn(async move { kernel.run_watch(&run, &*engine, stop).await });
            watched.insert(id, AbortOnDropHandle::new(task));
        }
        Ok(())
    }

    async fn runs_active(&self) -> Result<Vec<Watched>> {
        self.store
            .read(|tx| -> Result<_> {
                Ok(tx.rows(
                    "SELECT u.tenant_id, u.project_id, u.id, u.attempt, u.engine, a.external_id, j.correlation_id FROM run u
                     JOIN run_attempt a ON a.run_id = u.id AND a.attempt = u.attempt
                     JOIN job j ON j.id = u.job_id
                     WHERE u.state IN ('queued', 'running') AND a.external_id IS NOT NULL",
                    &[],
                    |row| {
                        let (tenant_id, project_id): (TenantId, ProjectId) = (row.get(0)?, row.get(1)?);
                        Ok(Watched {
                            scope: Scope { tenant_id, project_id },
                            run_id: row.get(2)?,
                            attempt: row.get(3)?,
                            engine: row.get(4)?,
                            external_id: row.get(5)?,
                            correlation_id: row.get(6)?,
                        })
                    },
                )?)
            })
            .await
    }

    /// Follows one attempt until it ends, the process stops, or another observer got ahead.
    async fn run_watch(&self, run: &Watched, engine: &dyn RunEngine, stop: CancellationToken) {
        let mut wait = BACKOFF_FIRST;
        let mut told = "";
        while !stop.is_cancelled() {
            match self.run_observe(run, engine, &stop).await {
                Ok(true) => return,
                Ok(false) => wait = BACKOFF_FIRST,
                Err(error) => {
                    // Said once: another server's run, for one, stays that for as long as it lives.
                    if told != error.code {
                        tracing::warn!(run_id = %run.run_id, attempt = run.attempt, %error, "observe a run: will try again");
                        told = error.code;
                    }
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(wait) => {}
                    }
                    wait = (wait * 2).min(BACKOFF_MOST);
                }
            }
        }
    }

    /// Reads on from the stored cursor for as long as nothing interferes; true when there is no more to observe.
    async fn run_observe(
        &self,
        run: &Watched,
        engine: &dyn RunEngine,
        stop: &CancellationToken,
    ) -> Result<bool> {
        let (ticket, stored) = self.run_ticket(run.scope, run.run_id).await?;
        if stored.state.is_terminal() || stored.attempt != run.attempt {
            return Ok(true);
        }
        let mut cursor = stored.cursor;
        loop {
            let seen = tokio::select! {
                () = stop.cancelled() => return Ok(true),
                seen = engine.observe(&ticket, cursor) => seen?,
            };
            let (next, ended) = (seen.cursor, seen.end.is_some());
            if next == cursor && !ended && seen.is_silent() {
                continue;
            }
            if !self.run_record(run, cursor, seen).await? {
                return Ok(false);
            }
            if ended {
                return Ok(true);
            }
            cursor = next;
        }
    }
}
