//! Work that one process does at a time: held by a lease in the database, taken over when its holder is gone.
//!
//! A duty must be harmless when two do it all the same, because a holder may be slower than its lease: what must not happen
//! twice is fenced where it is written, never here.

use std::time::Duration;

use qd_core::{error::Result, time::Timestamp};

use crate::{kernel::Kernel, params};

/// A holder that is gone is followed by another after this time.
const LEASE: Duration = Duration::from_secs(15);

impl Kernel {
    /// Takes or keeps the duty; false while another process has it. With SQLite there is no other.
    pub(crate) async fn duty_take(&self, name: &str) -> Result<bool> {
        if !self.store.is_shared() {
            return Ok(true);
        }
        let (me, now, name) = (self.process, self.reckoning.now(), name.to_owned());
        let until = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        // A time further ahead than a lease was written by a clock that was wrong, and holds nobody up.
        let wrong = until.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        // Looked at first: who has nothing to do writes nothing.
        let soon = now.checked_add(LEASE / 2).unwrap_or(Timestamp::MAX);
        let asked = name.clone();
        let held = self
            .store
            .read(move |tx| -> Result<Option<bool>> {
                Ok(tx
                    .opt(
                        "SELECT holder, until FROM duty WHERE name = $1 AND until > $2 AND until <= $3",
                        params![asked, now, wrong],
                        |row| {
                            let (holder, until): (uuid::Uuid, Timestamp) = (row.get(0)?, row.get(1)?);
                            Ok((holder != me).then_some(false).or((until > soon).then_some(true)))
                        },
                    )?
                    .flatten())
            })
            .await?;
        if let Some(mine) = held {
            return Ok(mine);
        }
        self.store
            .write(move |tx| -> Result<bool> {
                let taken = tx.exec(
                    "INSERT INTO duty (name, holder, until) VALUES ($1, $2, $3)
                     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
                     WHERE duty.holder = excluded.holder OR duty.until <= $4 OR duty.until > $5",
                    params![name, me, until, now, wrong],
                )?;
                Ok(taken == 1)
            })
            .await
    }

    /// Leaves the duties of this process to others.
    pub(crate) async fn duties_leave(&self) {
        let me = self.process;
        if !self.store.is_shared() {
            return;
        }
        let left = self.store.write(move |tx| -> Result<u64> {
            Ok(tx.exec("DELETE FROM duty WHERE holder = $1", params![me])?)
        });
        if let Err(error) = left.await {
            tracing::debug!(%error, "leave duties: others take them after the lease");
        }
    }
}
