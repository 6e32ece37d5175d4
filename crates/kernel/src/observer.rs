//! Observers watch: each active run that an engine has adopted is read from a cursor, and what was learnt is written with
//! the cursor's move in one transaction. An observation taken twice, or by two processes, is stored once. Of several observers
//! one follows a run, by a [`lease`]; a run that only one of them can reach is left to it.
//!
//! The observer changes nothing outside; jobs do that.

mod charts;
mod lease;
mod record;

use std::{collections::HashMap, sync::Arc, time::Duration};

use qd_core::{
    error::Result,
    id::{ProjectId, RunId, TenantId},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub(crate) use lease::{Follow, Handed};

use crate::{
    context::Scope,
    engine::{RunEngine, RunTicket},
    kernel::Kernel,
    params,
};

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

/// The tasks that follow, by run and attempt.
type Watching = HashMap<(RunId, i64), AbortOnDropHandle<()>>;

impl Kernel {
    /// Keeps one task per active run that is this process's to follow, until cancelled.
    pub(crate) async fn observer_run(self, stop: CancellationToken) {
        let mut watched = Watching::new();
        let (mut keep_at, mut look_at) = (Instant::now(), Instant::now());
        let mut failing = false;
        while !stop.is_cancelled() {
            for Follow { run, ticket, .. } in self.handed.take() {
                let Some(engine) = self.registry.find_engine(&run.engine).cloned() else { continue };
                if !watched.contains_key(&(run.run_id, run.attempt)) {
                    self.watch_begin(&mut watched, run, engine, Some(ticket), &stop);
                }
            }
            if look_at <= Instant::now() {
                match self.observer_look(&mut watched, &mut keep_at, &stop).await {
                    Ok(()) => failing = false,
                    Err(error) => {
                        if !failing {
                            tracing::warn!(%error, "look for active runs: will try again");
                        }
                        failing = true;
                    }
                }
                look_at = Instant::now() + POLL.min(self.options.lease / 3);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.handed.came() => {}
                () = self.bus.runs_changed() => look_at = Instant::now(),
                () = tokio::time::sleep_until(look_at) => {}
            }
        }
        let mut followed: Vec<RunId> = watched.keys().map(|(run_id, _)| *run_id).collect();
        followed.extend(self.handed.close().into_iter().map(|follow| follow.run.run_id));
        for (_, task) in watched {
            // Each ends between two transactions; an error says that it panicked, which was logged where it happened.
            let _ = task.await;
        }
        self.runs_leave(followed).await;
    }

    /// Leaves what is over, keeps what is followed, and follows what is new and nobody's.
    async fn observer_look(
        &self,
        watched: &mut Watching,
        keep_at: &mut Instant,
        stop: &CancellationToken,
    ) -> Result<()> {
        let over: Vec<RunId> =
            watched.extract_if(|_, task| task.is_finished()).map(|((run_id, _), _)| run_id).collect();
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
            self.watch_begin(watched, run, engine, None, stop);
        }
        // Of a run that is tried again the next attempt may be followed already, under the same lease.
        let again = |run_id: &RunId| watched.keys().any(|(followed, _)| followed == run_id);
        self.runs_leave(over.into_iter().filter(|run_id| !again(run_id)).collect()).await;
        Ok(())
    }

    /// Starts the task that follows; `ticket` where nobody has observed the attempt yet.
    fn watch_begin(
        &self,
        watched: &mut Watching,
        run: Watched,
        engine: Arc<dyn RunEngine>,
        ticket: Option<RunTicket>,
        stop: &CancellationToken,
    ) {
        let (kernel, stop, id) = (self.clone(), stop.clone(), (run.run_id, run.attempt));
        let task = tokio::spawn(async move { kernel.run_watch(&run, &*engine, ticket, stop).await });
        watched.insert(id, AbortOnDropHandle::new(task));
    }

    /// Runs that go on and that no other process follows.
    async fn runs_active(&self) -> Result<Vec<Watched>> {
        let (me, now, wrong) = (self.process, self.reckoning.now(), self.lease_wrong());
        self.store
            .read(move |tx| -> Result<_> {
                Ok(tx.rows(
                    "SELECT u.tenant_id, u.project_id, u.id, u.attempt, u.engine, a.external_id, COALESCE(j.correlation_id, '') FROM run u
                     JOIN run_attempt a ON a.run_id = u.id AND a.attempt = u.attempt
                     LEFT JOIN job j ON j.id = u.job_id
                     LEFT JOIN run_observer o ON o.run_id = u.id
                     WHERE u.state IN ('queued', 'running') AND a.external_id IS NOT NULL
                       AND (o.run_id IS NULL OR o.holder = $1 OR o.until <= $2 OR o.until > $3)",
                    params![me, now, wrong],
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
    async fn run_watch(
        &self,
        run: &Watched,
        engine: &dyn RunEngine,
        mut fresh: Option<RunTicket>,
        stop: CancellationToken,
    ) {
        let mut wait = BACKOFF_FIRST;
        let mut told = "";
        while !stop.is_cancelled() {
            match self.run_observe(run, engine, fresh.take(), &stop).await {
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
        fresh: Option<RunTicket>,
        stop: &CancellationToken,
    ) -> Result<bool> {
        let (ticket, mut cursor) = match fresh {
            // Nobody has observed it yet.
            Some(ticket) => (ticket, 0),
            None => {
                let (ticket, stored) = self.run_ticket(run.scope, run.run_id).await?;
                if stored.state.is_terminal() || stored.attempt != run.attempt {
                    return Ok(true);
                }
                (ticket, stored.cursor)
            }
        };
        loop {
            let seen = tokio::select! {
                () = stop.cancelled() => return Ok(true),
                seen = engine.observe(&ticket, cursor) => seen?,
            };
            let (next, ended, told) = (seen.cursor, seen.end.is_some(), seen.engine_detail.is_some());
            if next == cursor && !ended && seen.is_silent() {
                continue;
            }
            if !self.run_record(run, cursor, ticket.engine_detail.as_ref(), seen).await? {
                return Ok(false);
            }
            if ended {
                return Ok(true);
            }
            if told {
                // What comes next is told in the light of what is stored now.
                return Ok(false);
            }
            cursor = next;
        }
    }
}
