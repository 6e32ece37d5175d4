//! Moves events from the outbox to their dense position (Postgres only).
//!
//! Any process may run it; the row lock on `event_head` lets one do so at a time. One statement takes the lock, deletes the
//! oldest rows of the outbox, inserts them with positions and moves the head: it happens wholly or not at all.

use std::time::Duration;

use qd_core::error::Result;
use tokio_util::sync::CancellationToken;

use crate::{kernel::Kernel, store::Backend};

/// How long the relay sleeps when nobody wakes it: bounds the delay of events of other processes.
const POLL: Duration = Duration::from_millis(500);
const BATCH: i64 = 1000;

const MOVE: &str = "
WITH head AS (
  SELECT pos FROM event_head WHERE id = 1 FOR UPDATE SKIP LOCKED
), taken AS (
  DELETE FROM event_outbox
  WHERE seq IN (SELECT seq FROM event_outbox WHERE EXISTS (SELECT 1 FROM head) ORDER BY seq LIMIT $1)
  RETURNING seq, tenant_id, project_id, type, at, actor, kind, resource_id, resource_name, run_id, job_id, correlation_id, data
), placed AS (
  INSERT INTO event (pos, tenant_id, project_id, type, at, actor, kind, resource_id, resource_name, run_id, job_id,
    correlation_id, data)
  SELECT head.pos + row_number() OVER (ORDER BY taken.seq), tenant_id, project_id, type, at, actor, kind, resource_id,
    resource_name, run_id, job_id, correlation_id, data
  FROM taken, head
  RETURNING 1
)
UPDATE event_head SET pos = event_head.pos + (SELECT count(*) FROM placed)
FROM head WHERE event_head.id = 1 RETURNING (SELECT count(*) FROM placed)";

/// What one look at the outbox came to.
struct Moved {
    rows: i64,
    /// The newest position, whoever gave it out.
    head: i64,
}

impl Kernel {
    /// Runs until cancelled. Errors are logged and tried again: nothing is lost in the outbox meanwhile.
    pub(crate) async fn relay_run(self, stop: CancellationToken) {
        if self.store.backend() == Backend::Sqlite {
            return;
        }
        let (mut failing, mut known) = (false, 0);
        while !stop.is_cancelled() {
            match self.relay_once().await {
                Ok(moved) => {
                    failing = false;
                    if moved.rows > 0 {
                        self.bus.events_moved();
                    } else if moved.head != known {
                        // Another process moved them, and its call may have been lost.
                        self.bus.events_seen();
                    }
                    known = moved.head;
                    if moved.rows == BATCH {
                        continue;
                    }
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "relay events: will try again");
                    }
                    failing = true;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bus.outbox_filled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Where this process gives no positions, its readers still learn of those that another one gave, also where its call
    /// was lost.
    pub(crate) async fn positions_run(self, stop: CancellationToken) {
        let mut known = 0;
        while !stop.is_cancelled() {
            // A database that does not answer has nothing new to say; readers meet its error themselves.
            if let Ok((_, head)) = self.outbox_look().await
                && head != known
            {
                known = head;
                self.bus.events_seen();
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Whether events wait for their position, and the newest that has one.
    async fn outbox_look(&self) -> Result<(bool, i64)> {
        self.store
            .read(|tx| -> Result<(bool, i64)> {
                let sql = "SELECT EXISTS (SELECT 1 FROM event_outbox), pos FROM event_head WHERE id = 1";
                Ok(tx.one(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .await
    }

    /// Moves one batch. Where there is nothing to move it only reads: an idle process writes nothing.
    async fn relay_once(&self) -> Result<Moved> {
        let (waiting, head) = self.outbox_look().await?;
        if !waiting {
            return Ok(Moved { rows: 0, head });
        }
        self.store
            .write(|tx| -> Result<Moved> {
                let rows = tx.opt(MOVE, &[&BATCH], |row| row.get::<i64>(0))?.unwrap_or(0);
                let head = tx.one("SELECT pos FROM event_head WHERE id = 1", &[], |row| row.get(0))?;
                Ok(Moved { rows, head })
            })
            .await
    }
}
