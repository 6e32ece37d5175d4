//! Moving log chunks to their place, where that is not the database.
//!
//! Lines are always committed to the database first, with the cursor that they were read from: an object store that is slow
//! or away costs room there, and never a line. A chunk that takes no more lines is put under its own name, then its row lets
//! the lines go. Whatever happens in between is done again with the same name and the same bytes. What is removed from the
//! index is noted as garbage in the same transaction, and removed from the store after that.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use qd_core::{error::Result, id::RunId, time::Timestamp};
use tokio_util::sync::CancellationToken;

use super::{append::MERGE_BELOW, place::LogPlace};
use crate::{
    kernel::Kernel,
    params,
    store::{Tx, in_list},
};

/// Chunks moved at once.
const BATCH: i64 = 16;
const POLL: Duration = Duration::from_secs(5);
const BACKOFF_MOST: Duration = Duration::from_secs(60);
/// Readers that found the object in the index have had it by then.
const GARBAGE_AGE: Duration = Duration::from_secs(60);

/// A chunk that takes no more lines.
struct Sealed {
    run_id: RunId,
    first_line: i64,
    body: String,
}

impl Sealed {
    fn object(&self) -> String {
        object_of(self.run_id, self.first_line)
    }
}

fn object_of(run_id: RunId, first_line: i64) -> String {
    format!("{run_id}/{first_line:012}")
}

/// Below this lies all of a run.
pub(crate) fn objects_of_run(run_id: RunId) -> String {
    format!("{run_id}/")
}

/// Notes an object that nothing refers to any more, in the transaction after which that is so.
pub(crate) fn garbage(tx: &mut Tx<'_>, object: &str, now: Timestamp) -> Result<()> {
    tx.exec_later(
        "INSERT INTO log_garbage (object, since) VALUES ($1, $2) ON CONFLICT (object) DO NOTHING",
        params![object, now],
    )?;
    Ok(())
}

impl Kernel {
    /// Runs until cancelled, where logs have another place than the database.
    pub(crate) async fn logs_ship_run(self, stop: CancellationToken) {
        let Some(place) = self.log_place.clone() else { return };
        let mut grew = self.bus.follow_logs();
        let mut wait = POLL;
        while !stop.is_cancelled() {
            grew.mark_unchanged();
            let moved = async {
                match self.duty_take("logs").await? {
                    true => self.logs_ship(&place).await,
                    false => Ok(false),
                }
            };
            match moved.await {
                Ok(true) => continue,
                Ok(false) => wait = POLL,
                // Said once by the place itself, or by the database's other users.
                Err(error) => {
                    tracing::debug!(%error, "move log chunks: will try again");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    wait = (wait * 2).min(BACKOFF_MOST);
                    continue;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // The end of a run says nothing here: its last chunk waits for the next look.
                _ = grew.changed() => {}
            }
        }
        self.duties_leave().await;
    }

    /// Moves a batch and removes what is garbage; true where there may be more at once.
    pub async fn logs_ship(&self, place: &LogPlace) -> Result<bool> {
        let sealed = self.logs_sealed().await?;
        let more = sealed.len() as i64 == BATCH;
        let moved: Vec<(RunId, i64)> = stream::iter(sealed)
            .map(async |chunk| {
                place.put(&chunk.object(), chunk.body).await.map(|()| (chunk.run_id, chunk.first_line))
            })
            .buffer_unordered(8)
            .try_collect()
            .await?;
        if !moved.is_empty() {
            let now = self.source.now();
            self.store
                .write(move |tx| -> Result<()> {
                    for (run_id, first_line) in &moved {
                        let object = object_of(*run_id, *first_line);
                        let kept = tx.exec(
                            "UPDATE run_log SET body = '', object = $3 WHERE run_id = $1 AND first_line = $2 AND object IS NULL",
                            params![*run_id, *first_line, object],
                        )?;
                        let known: Option<String> = match kept {
                            0 => tx
                                .opt(
                                    "SELECT object FROM run_log WHERE run_id = $1 AND first_line = $2",
                                    params![*run_id, *first_line],
                                    |row| row.get::<Option<String>>(0),
                                )?
                                .flatten(),
                            _ => Some(object.clone()),
                        };
                        // Its row went while it was on its way.
                        if known.as_ref() != Some(&object) {
                            garbage(tx, &object, now)?;
                        }
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(self.logs_clear(place).await? || more)
    }

    async fn logs_sealed(&self) -> Result<Vec<Sealed>> {
        self.store
            .read(|tx| -> Result<Vec<Sealed>> {
                Ok(tx.rows(
                    "SELECT l.run_id, l.first_line, l.body FROM run_log l JOIN run u ON u.id = l.run_id
                     WHERE l.object IS NULL AND (l.bytes >= $1 OR u.ended_at IS NOT NULL
                       OR EXISTS (SELECT 1 FROM run_log n WHERE n.run_id = l.run_id AND n.first_line > l.first_line))
                     ORDER BY l.run_id, l.first_line LIMIT $2",
                    params![MERGE_BELOW, BATCH],
                    |row| Ok(Sealed { run_id: row.get(0)?, first_line: row.get(1)?, body: row.get(2)? }),
                )?)
            })
            .await
    }

    /// Whether all of a run is meant, and it has lines again.
    async fn log_goes_on(&self, object: &str) -> Result<bool> {
        let Some(run_id) = object.strip_suffix('/').and_then(|run| run.parse::<RunId>().ok()) else {
            return Ok(false);
        };
        self.store
            .read(move |tx| -> Result<bool> {
                let line = "SELECT 1 AS there FROM run_log WHERE run_id = $1 LIMIT 1";
                Ok(tx.opt(line, params![run_id], |row| row.get::<i64>(0))?.is_some())
            })
            .await
    }

    /// Removes a batch of what nothing refers to; true where there may be more.
    async fn logs_clear(&self, place: &LogPlace) -> Result<bool> {
        let before = self.source.now().checked_sub(GARBAGE_AGE).unwrap_or(Timestamp::MIN);
        let garbage: Vec<String> = self
            .store
            .read(move |tx| -> Result<Vec<String>> {
                Ok(tx.rows(
                    "SELECT object FROM log_garbage WHERE since < $1 ORDER BY object LIMIT $2",
                    params![before, BATCH],
                    |row| row.get(0),
                )?)
            })
            .await?;
        if garbage.is_empty() {
            return Ok(false);
        }
        for object in &garbage {
            // A run that was retried writes there again; what it had before goes with its last chunk the next time.
            if !self.log_goes_on(object).await? {
                place.delete(object).await?;
            }
        }
        let more = garbage.len() as i64 == BATCH;
        self.store
            .write(move |tx| -> Result<()> {
                let (list, args) = in_list(&garbage, 1);
                tx.exec(&format!("DELETE FROM log_garbage WHERE object IN ({list})"), &args)?;
                Ok(())
            })
            .await?;
        Ok(more)
    }
}
