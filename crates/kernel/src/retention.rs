//! What grows without end is cut at the ages that the operator set. A log stays as long as its run is active. Events go from
//! the oldest on without a hole, and the newest stays, so that a reader who was away too long is told of its gap.

use std::time::Duration;

use qd_core::error::Result;
use tokio_util::sync::CancellationToken;

use crate::{kernel::Kernel, params};

const EVERY: Duration = Duration::from_hours(1);
/// Rows removed by one transaction.
const BATCH: i64 = 1000;
/// The same of log chunks, which have up to 64 KiB each.
const CHUNKS: i64 = 50;

/// What one sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub log_chunks: u64,
    pub events: u64,
    pub idempotency_keys: u64,
    pub credentials: u64,
}

impl Kernel {
    pub(crate) async fn retention_run(self, stop: CancellationToken) {
        loop {
            match self.retention_sweep().await {
                Ok(swept) if swept != Swept::default() => {
                    tracing::info!(?swept, "removed what was kept long enough")
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "sweep: will try again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Removes what is older than its retention, in batches that do not hold the writer long.
    pub async fn retention_sweep(&self) -> Result<Swept> {
        let now = self.source.now();
        let before = |age: Duration| now.checked_sub(age).unwrap_or(qd_core::time::Timestamp::MIN);
        let log_chunks = self
            .delete_batches(
                "DELETE FROM run_log WHERE (run_id, first_line) IN (
                   SELECT l.run_id, l.first_line FROM run_log l JOIN run u ON u.id = l.run_id
                   WHERE l.last_at < $1 AND u.ended_at < $1 LIMIT $2)",
                CHUNKS,
                before(self.options.log_retention),
            )
            .await?;
        let events = self
            .delete_batches(
                "DELETE FROM event WHERE pos IN (SELECT pos FROM event ORDER BY pos LIMIT $2)
                   AND pos < COALESCE(
                     (SELECT MIN(pos) FROM (SELECT pos, at FROM event ORDER BY pos LIMIT $2) AS oldest WHERE at >= $1),
                     (SELECT MAX(pos) FROM event))",
                BATCH,
                before(self.options.event_retention),
            )
            .await?;
        let idempotency_keys = self
            .delete_batches(
                "DELETE FROM idempotency WHERE (project_id, principal_id, key) IN (
                   SELECT project_id, principal_id, key FROM idempotency WHERE created_at < $1 LIMIT $2)",
                BATCH,
                before(self.options.idempotency_retention),
            )
            .await?;
        let credentials = self
            .delete_batches("DELETE FROM credential WHERE hash IN (SELECT hash FROM credential WHERE expires_at < $1 LIMIT $2)", BATCH, now)
            .await?;
        Ok(Swept { log_chunks, events, idempotency_keys, credentials })
    }

    async fn delete_batches(
        &self,
        sql: &'static str,
        batch: i64,
        before: qd_core::time::Timestamp,
    ) -> Result<u64> {
        let mut total = 0;
        loop {
            let removed = self
                .store
                .write(move |tx| -> Result<u64> { Ok(tx.exec(sql, params![before, batch])?) })
                .await?;
            total += removed;
            if removed < batch.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}
