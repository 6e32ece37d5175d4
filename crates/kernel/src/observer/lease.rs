//! Who follows which run, where several observers share a database: a lease for each run that is followed.
//!
//! Two that follow one run at once are harmless, because what is observed is stored with the cursor's move; the lease only
//! spares the engine and the database the work. So it needs no fence. With SQLite there is one observer and no lease.

use std::collections::HashSet;

use qd_core::{error::Result, id::RunId, time::Timestamp};

use crate::{kernel::Kernel, params, store::in_list};

impl Kernel {
    /// Those of the runs that this process may follow now: nobody else does, or whoever did is gone.
    pub(super) async fn runs_take(&self, wanted: Vec<RunId>) -> Result<HashSet<RunId>> {
        if !self.store.is_shared() || wanted.is_empty() {
            return Ok(wanted.into_iter().collect());
        }
        let (me, now, until) = (self.process, self.source.now(), self.lease_end());
        // A time further ahead than a lease was written by a clock that was wrong, and holds nobody up.
        let wrong = until.checked_add(self.options.lease).unwrap_or(Timestamp::MAX);
        self.store
            .write(move |tx| -> Result<HashSet<RunId>> {
                let mut taken = HashSet::new();
                for run_id in &wanted {
                    let rows = tx.exec(
                        "INSERT INTO run_observer (run_id, holder, until) VALUES ($1, $2, $3)
                         ON CONFLICT (run_id) DO UPDATE SET holder = excluded.holder, until = excluded.until
                         WHERE run_observer.holder = excluded.holder OR run_observer.until <= $4 OR run_observer.until > $5",
                        params![*run_id, me, until, now, wrong],
                    )?;
                    if rows == 1 {
                        taken.insert(*run_id);
                    }
                }
                Ok(taken)
            })
            .await
    }

    /// Keeps the leases of the runs that are followed; those that another process has taken are not among the answer.
    pub(super) async fn runs_keep(&self, followed: Vec<RunId>) -> Result<HashSet<RunId>> {
        if !self.store.is_shared() || followed.is_empty() {
            return Ok(followed.into_iter().collect());
        }
        let (me, until) = (self.process, self.lease_end());
        self.store
            .write(move |tx| -> Result<HashSet<RunId>> {
                let kept = tx.rows(
                    "UPDATE run_observer SET until = $2 WHERE holder = $1 RETURNING run_id",
                    params![me, until],
                    |row| row.get(0),
                )?;
                Ok(kept.into_iter().collect())
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

    fn lease_end(&self) -> Timestamp {
        self.source.now().checked_add(self.options.lease).unwrap_or(Timestamp::MAX)
    }
}
