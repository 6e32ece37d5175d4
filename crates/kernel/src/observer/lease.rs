//! Who follows which run, where several observers share a database: a lease for each run that is followed.
//!
//! Two that follow one run at once are harmless, because what is observed is stored with the cursor's move; the lease only
//! spares the engine and the database the work. So it needs no fence. With SQLite there is one observer and no lease.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use qd_core::{error::Result, id::RunId, time::Timestamp};
use tokio::sync::Notify;
use uuid::Uuid;

use super::Watched;
use crate::{
    engine::{RunEngine, RunTicket},
    kernel::Kernel,
    mutation::Mutation,
    params,
    store::{Param, in_list, rows_of},
};

/// Leases taken by one statement.
const TOGETHER: usize = 256;

/// An attempt that this process follows from the commit that says that its engine has it.
#[derive(Clone)]
pub(crate) struct Follow {
    pub(super) run: Watched,
    pub(super) ticket: RunTicket,
    lease: Option<(Uuid, Timestamp)>,
}

impl Follow {
    /// It is followed once the transaction is committed.
    pub(crate) fn write(&self, m: &mut Mutation<'_, '_>) -> Result<()> {
        if let Some((holder, until)) = self.lease {
            // Where another process follows the run already, both do until the next look.
            m.tx.exec_later(
                "INSERT INTO run_observer (run_id, holder, until) VALUES ($1, $2, $3) ON CONFLICT (run_id) DO NOTHING",
                params![self.run.run_id, holder, until],
            )?;
        }
        m.follow(self.clone());
        Ok(())
    }
}

/// Attempts that are to be followed at once; none are taken while no observer runs here.
#[derive(Default)]
pub(crate) struct Handed {
    list: Mutex<Option<Vec<Follow>>>,
    came: Notify,
}

impl Handed {
    pub(crate) fn give(&self, follow: Follow) {
        if let Some(list) = &mut *self.list() {
            list.push(follow);
        }
        self.came.notify_one();
    }

    /// Those that were given since the last call; from the first on more may be.
    pub(super) fn take(&self) -> Vec<Follow> {
        self.list().replace(vec![]).unwrap_or_default()
    }

    /// Those that were given last.
    pub(super) fn close(&self) -> Vec<Follow> {
        self.list().take().unwrap_or_default()
    }

    fn is_open(&self) -> bool {
        self.list().is_some()
    }

    fn list(&self) -> MutexGuard<'_, Option<Vec<Follow>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn came(&self) {
        self.came.notified().await;
    }
}

impl Kernel {
    /// Those of the runs that this process may follow now: nobody else does, or whoever did is gone.
    pub(super) async fn runs_take(&self, wanted: Vec<RunId>) -> Result<HashSet<RunId>> {
        if !self.store.is_shared() || wanted.is_empty() {
            return Ok(wanted.into_iter().collect());
        }
        let (me, now, until, wrong) =
            (self.process, self.reckoning.now(), self.lease_end(), self.lease_wrong());
        self.store
            .write(move |tx| -> Result<HashSet<RunId>> {
                let mut taken = HashSet::new();
                for some in wanted.chunks(TOGETHER) {
                    let rows = rows_of(tx.backend(), &["uuid", "uuid", "timestamptz"], some.len(), 3);
                    let mut args: Vec<&dyn Param> = vec![&now, &wrong];
                    for run_id in some {
                        args.extend([run_id as &dyn Param, &me, &until]);
                    }
                    let sql = format!(
                        "INSERT INTO run_observer (run_id, holder, until) VALUES {rows}
                         ON CONFLICT (run_id) DO UPDATE SET holder = excluded.holder, until = excluded.until
                         WHERE run_observer.holder = excluded.holder OR run_observer.until <= $1 OR run_observer.until > $2
                         RETURNING run_id"
                    );
                    taken.extend(tx.rows(&sql, &args, |row| row.get::<RunId>(0))?);
                }
                Ok(taken)
            })
            .await
    }

    /// Takes on itself to follow an attempt that its engine has adopted; none where this process follows no runs, or could not
    /// follow this one.
    pub(crate) async fn run_follow(
        &self,
        ticket: &RunTicket,
        engine: &dyn RunEngine,
        external_id: &str,
    ) -> Option<Follow> {
        if !self.handed.is_open() || !engine.reaches(external_id).await {
            return None;
        }
        let run = Watched {
            scope: ticket.scope,
            run_id: ticket.run_id,
            attempt: i64::from(ticket.attempt),
            engine: engine.name().to_owned(),
            external_id: external_id.to_owned(),
            correlation_id: ticket.correlation_id.clone(),
        };
        let mut ticket = ticket.clone();
        ticket.external_id = Some(external_id.to_owned());
        let lease = self.store.is_shared().then(|| (self.process, self.lease_end()));
        Some(Follow { run, ticket, lease })
    }

    /// Keeps the leases of the runs that are followed; those that another process has taken are not among the answer.
    pub(super) async fn runs_keep(&self, followed: Vec<RunId>) -> Result<HashSet<RunId>> {
        if !self.store.is_shared() || followed.is_empty() {
            return Ok(followed.into_iter().collect());
        }
        let (me, until) = (self.process, self.lease_end());
        self.store
            .write(move |tx| -> Result<HashSet<RunId>> {
                let mut kept = HashSet::new();
                // Not simply all of this process's: one that it took and does not follow after all is for others in time.
                for some in followed.chunks(TOGETHER) {
                    let (list, mut args) = in_list(some, 3);
                    args.splice(0..0, [&me as &dyn Param, &until]);
                    let sql = format!(
                        "UPDATE run_observer SET until = $2 WHERE holder = $1 AND run_id IN ({list}) RETURNING run_id"
                    );
                    kept.extend(tx.rows(&sql, &args, |row| row.get::<RunId>(0))?);
                }
                Ok(kept)
            })
            .await
    }

    /// Leaves runs to others: those that are over, or all of them when the process stops.
    pub(super) async fn runs_leave(&self, left: Vec<RunId>) {
        if !self.store.is_shared() || left.is_empty() {
            return;
        }
        let me = self.process;
        let gone = self.store.write(move |tx| -> Result<u64> {
            let (list, mut args) = in_list(&left, 2);
            args.insert(0, &me);
            Ok(tx
                .exec(&format!("DELETE FROM run_observer WHERE holder = $1 AND run_id IN ({list})"), &args)?)
        });
        if let Err(error) = gone.await {
            tracing::debug!(%error, "leave runs: others follow them after the lease");
        }
    }

    /// A time further ahead than a lease was written by a clock that was wrong, and holds nobody up.
    pub(super) fn lease_wrong(&self) -> Timestamp {
        self.lease_end().checked_add(self.options.lease).unwrap_or(Timestamp::MAX)
    }

    fn lease_end(&self) -> Timestamp {
        self.reckoning.now().checked_add(self.options.lease).unwrap_or(Timestamp::MAX)
    }
}
