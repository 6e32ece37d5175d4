//! What grows without end is cut at the ages that the operator set. A log stays as long as its run is active. Events go from
//! the oldest on without a hole, and the newest stays, so that a reader who was away too long is told of its gap.

use std::{collections::BTreeMap, time::Duration};

use qd_core::{
    error::Result,
    id::{JobId, RunId},
    time::Timestamp,
};
use tokio_util::sync::CancellationToken;

use crate::{context::Scope, kernel::Kernel, logs, notifications, params, quotas, store::in_list};

const EVERY: Duration = Duration::from_hours(1);
/// Rows removed by one transaction.
const BATCH: i64 = 1000;
/// The same of log chunks, which have up to 64 KiB each.
const CHUNKS: i64 = 50;

/// A client may repeat a request for a day.
pub(crate) const IDEMPOTENCY_LEAST: Duration = Duration::from_hours(24);

/// What one sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub log_chunks: u64,
    pub events: u64,
    pub idempotency_keys: u64,
    pub jobs: u64,
    pub plans: u64,
    pub credentials: u64,
    pub sign_in_tries: u64,
    pub firings: u64,
    pub notifications: u64,
    pub exports: u64,
    pub audit: u64,
}

impl Kernel {
    pub(crate) async fn retention_run(self, stop: CancellationToken) {
        loop {
            let swept = async {
                match self.duty_take("retention").await? {
                    true => self.retention_sweep().await,
                    false => Ok(Swept::default()),
                }
            };
            match swept.await {
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
        let now = self.reckoning.now();
        let before = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let log_chunks = self.delete_log_chunks(before(self.options.log_retention)).await?;
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
        let refreshed = self
            .delete_batches(
                "DELETE FROM refresh_used WHERE hash IN (SELECT hash FROM refresh_used WHERE expires_at < $1 LIMIT $2)",
                BATCH,
                now,
            )
            .await?;
        // A lock is long over by then.
        let tries = self
            .delete_batches(
                "DELETE FROM sign_in_try WHERE name_hash IN (SELECT name_hash FROM sign_in_try WHERE last_at < $1 LIMIT $2)",
                BATCH,
                before(Duration::from_hours(24)),
            )
            .await?;
        let jobs = self.jobs_delete(before(self.options.job_retention)).await?;
        let plans = self
            .delete_batches(
                "DELETE FROM plan WHERE id IN (SELECT id FROM plan WHERE expires_at < $1 AND created_at < $1 LIMIT $2)",
                BATCH,
                before(self.options.job_retention),
            )
            .await?;
        let firings = self
            .delete_batches(
                "DELETE FROM schedule_firing WHERE (resource_id, due_at) IN (
                   SELECT resource_id, due_at FROM schedule_firing WHERE due_at < $1 LIMIT $2)",
                BATCH,
                before(self.options.job_retention),
            )
            .await?;
        let notifications = self
            .delete_batches(
                "DELETE FROM notification WHERE id IN (SELECT id FROM notification WHERE created_at < $1 LIMIT $2)",
                BATCH,
                before(notifications::KEPT),
            )
            .await?;
        let exports = self.exports_sweep(now).await?;
        let audit = self.audit_prune().await?;
        Ok(Swept {
            log_chunks,
            events,
            idempotency_keys,
            jobs,
            plans,
            credentials: credentials + refreshed,
            sign_in_tries: tries,
            firings,
            notifications,
            exports,
            audit,
        })
    }

    /// Jobs that ended before then, with their steps; a run's own record of its job is its number.
    async fn jobs_delete(&self, before: Timestamp) -> Result<u64> {
        let mut total = 0;
        loop {
            let removed = self
                .store
                .write(move |tx| -> Result<u64> {
                    let old: Vec<JobId> = tx.rows(
                        "SELECT id FROM job WHERE ended_at < $1 ORDER BY ended_at LIMIT $2",
                        params![before, BATCH],
                        |row| row.get(0),
                    )?;
                    if old.is_empty() {
                        return Ok(0);
                    }
                    let (list, args) = in_list(&old, 1);
                    tx.exec(&format!("DELETE FROM job_step WHERE job_id IN ({list})"), &args)?;
                    Ok(tx.exec(&format!("DELETE FROM job WHERE id IN ({list})"), &args)?)
                })
                .await?;
            total += removed;
            if removed < BATCH.unsigned_abs() {
                return Ok(total);
            }
        }
    }

    /// Chunks whose lines lie elsewhere leave garbage there, and with the last of them all that their run has there.
    async fn delete_log_chunks(&self, before: Timestamp) -> Result<u64> {
        let now = self.reckoning.now();
        let mut total = 0;
        loop {
            let removed = self
                .store
                .write(move |tx| -> Result<u64> {
                    let old: Vec<(RunId, i64, Option<String>, i64, Scope)> = tx.rows(
                        "SELECT l.run_id, l.first_line, l.object, l.bytes, u.tenant_id, u.project_id
                         FROM run_log l JOIN run u ON u.id = l.run_id WHERE l.last_at < $1 AND u.ended_at < $1 LIMIT $2",
                        params![before, CHUNKS],
                        |row| {
                            let scope = Scope { tenant_id: row.get(4)?, project_id: row.get(5)? };
                            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, scope))
                        },
                    )?;
                    let mut freed: BTreeMap<RunId, (Scope, i64)> = BTreeMap::new();
                    for (run_id, first_line, object, bytes, scope) in &old {
                        freed.entry(*run_id).or_insert((*scope, 0)).1 += bytes;
                        tx.exec(
                            "DELETE FROM run_log WHERE run_id = $1 AND first_line = $2",
                            params![*run_id, *first_line],
                        )?;
                        let Some(object) = object else { continue };
                        let rest = tx.opt(
                            "SELECT 1 FROM run_log WHERE run_id = $1 LIMIT 1",
                            params![*run_id],
                            |row| row.get::<i64>(0),
                        )?;
                        match rest {
                            Some(_) => logs::garbage(tx, object, now)?,
                            None => logs::garbage(tx, &logs::objects_of_run(*run_id), now)?,
                        }
                    }
                    for (run_id, (scope, bytes)) in freed {
                        quotas::log_count(tx, scope, run_id, -bytes)?;
                    }
                    Ok(old.len() as u64)
                })
                .await?;
            total += removed;
            if removed < CHUNKS.unsigned_abs() {
                return Ok(total);
            }
        }
    }

    async fn delete_batches(&self, sql: &'static str, batch: i64, before: Timestamp) -> Result<u64> {
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
