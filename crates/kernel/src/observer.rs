//! Observers watch: each active run that an engine has adopted is read from a cursor, and what was learnt is written with
//! the cursor's move in one transaction. An observation taken twice, or by two processes, is stored once.
//!
//! The observer changes nothing outside; jobs do that.

mod charts;
mod record;

use std::{collections::HashMap, time::Duration};

use qd_core::{
    error::Result,
    id::{ProjectId, RunId, TenantId},
};
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
    /// Of the request that started the run.
    correlation_id: String,
}

impl Kernel {
    /// Keeps one task per active run until cancelled.
    pub(crate) async fn observer_run(self, stop: CancellationToken) {
        let mut watched: HashMap<(RunId, i64), AbortOnDropHandle<()>> = HashMap::new();
        let mut failing = false;
        while !stop.is_cancelled() {
            watched.retain(|_, task| !task.is_finished());
            match self.runs_active().await {
                Ok(active) => {
                    failing = false;
                    for run in active {
                        let Some(engine) = self.registry.find_engine(&run.engine).cloned() else { continue };
                        watched.entry((run.run_id, run.attempt)).or_insert_with(|| {
                            let (kernel, stop) = (self.clone(), stop.clone());
                            AbortOnDropHandle::new(tokio::spawn(async move {
                                kernel.run_watch(&run, &*engine, stop).await
                            }))
                        });
                    }
                }
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
                () = tokio::time::sleep(POLL) => {}
            }
        }
        for (_, task) in watched {
            // Each ends between two transactions; an error says that it panicked, which was logged where it happened.
            let _ = task.await;
        }
    }

    async fn runs_active(&self) -> Result<Vec<Watched>> {
        self.store
            .read(|tx| -> Result<_> {
                Ok(tx.rows(
                    "SELECT u.tenant_id, u.project_id, u.id, u.attempt, u.engine, j.correlation_id FROM run u
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
                            correlation_id: row.get(5)?,
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
