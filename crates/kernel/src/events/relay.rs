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
/// The same where events wait; doubled as long as nothing moves.
const RETRY: Duration = Duration::from_millis(1);
/// Where so many came at once more will: they are gathered for a while, because a commit of few costs nearly what one of many
/// does.
const BUSY: i64 = 16;
const GATHER: Duration = Duration::from_millis(10);
/// Rows moved at once; [`MOVE`] has it in its text, so that it is planned for few of many.
const BATCH: i64 = 1000;

const MOVE: &str = "
WITH head AS (
  SELECT pos FROM event_head WHERE id = 1 AND EXISTS (SELECT 1 FROM event_outbox) FOR UPDATE SKIP LOCKED
), taken AS (
  DELETE FROM event_outbox
  WHERE seq IN (SELECT seq FROM event_outbox WHERE EXISTS (SELECT 1 FROM head) ORDER BY seq LIMIT 1000)
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
FROM head WHERE event_head.id = 1 RETURNING event_head.pos, (SELECT count(*) FROM placed)";

/// What a look at the outbox came to.
struct Look {
    /// Events that this process gave their positions.
    moved: i64,
    /// Whether more wait for theirs.
    waiting: bool,
    /// The newest position, whoever gave it.
    head: i64,
}

impl Kernel {
    /// Runs until cancelled. Errors are logged and tried again: nothing is lost in the outbox meanwhile.
    pub(crate) async fn relay_run(self, stop: CancellationToken) {
        if self.store.backend() == Backend::Sqlite {
            return;
        }
        let (mut failing, mut known, mut called, mut stuck) = (false, 0, false, RETRY);
        while !stop.is_cancelled() {
            let looked = match called {
                // A process that nobody calls only reads: idle, it writes nothing.
                false => self.outbox_look().await,
                true => self.relay_once().await,
            };
            let Look { moved, waiting, head } = match looked {
                Ok(look) => {
                    failing = false;
                    look
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "relay events: will try again");
                    }
                    failing = true;
                    Look { moved: 0, waiting: false, head: known }
                }
            };
            if moved > 0 {
                self.bus.events_moved();
            } else if head != known {
                // Another process moved them, and its call may have been lost.
                self.bus.events_seen();
            }
            known = head;
            if moved >= BUSY {
                // Not until stopped: it is short.
                tokio::time::sleep(GATHER).await;
                continue;
            }
            // What waits and was not moved is being moved by whoever has the head.
            stuck = if waiting && called { (stuck * 2).min(POLL) } else { RETRY };
            called = tokio::select! {
                () = stop.cancelled() => false,
                () = self.bus.outbox_filled() => true,
                () = tokio::time::sleep(if waiting { stuck } else { POLL }) => waiting,
            };
        }
    }

    /// Where this process gives no positions, its readers still learn of those that another one gave, also where its call
    /// was lost.
    pub(crate) async fn positions_run(self, stop: CancellationToken) {
        let mut known = 0;
        while !stop.is_cancelled() {
            // A database that does not answer has nothing new to say; readers meet its error themselves.
            if let Ok(look) = self.outbox_look().await
                && look.head != known
            {
                known = look.head;
                self.bus.events_seen();
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn outbox_look(&self) -> Result<Look> {
        self.store
            .read(|tx| -> Result<Look> {
                let sql = "SELECT EXISTS (SELECT 1 FROM event_outbox), pos FROM event_head WHERE id = 1";
                Ok(tx.one(sql, &[], |row| Ok(Look { moved: 0, waiting: row.get(0)?, head: row.get(1)? }))?)
            })
            .await
    }

    /// Moves one batch, where there is any and nobody else does.
    async fn relay_once(&self) -> Result<Look> {
        let moved = self
            .store
            .write(|tx| -> Result<Option<(i64, i64)>> {
                Ok(tx.opt(MOVE, &[], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .await?;
        match moved {
            Some((head, moved)) => Ok(Look { moved, waiting: moved == BATCH, head }),
            None => self.outbox_look().await,
        }
    }
}
