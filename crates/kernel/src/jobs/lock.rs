//! Locks: a job holds the keys of its plan from its first step to its end, all of them or none.
//!
//! A key belongs to a job, whichever worker has the job, so a worker that dies frees nothing and doubles nothing: the next one
//! goes on under the same locks with a higher fence. A job that finds a key taken holds no slot; whoever ends wakes those
//! that wait for its keys, and each looks again by itself as the net below.

use std::collections::{BTreeMap, BTreeSet};

use qd_core::{error::Result, id::JobId, time::Timestamp};

use super::claim::Claimed;
use crate::{
    context::Scope,
    params,
    store::{Backend, Tx, in_list},
};

/// Waiters that one end wakes; each that gets a key wakes the next ones when it ends.
const WAKES: i64 = 4;
/// A fence is the lock's own token above the job's: the job's grows with each of its workers, the lock's with each job.
const JOB_BITS: u32 = 32;

/// Why a job cannot begin yet.
pub(super) struct Busy {
    pub key: String,
    pub holder: Holder,
    waits_for: Vec<String>,
}

/// Who has a key.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub job_id: JobId,
    pub operation: String,
    pub created_by: String,
}

impl Busy {
    pub(super) fn waiting_for(&self) -> String {
        let Holder { job_id, operation, created_by } = &self.holder;
        format!("{}, which {operation} of {created_by} holds (job {job_id})", self.key)
    }
}

#[derive(Clone, Copy)]
struct Lock {
    token: i64,
    holder: Option<JobId>,
}

/// The key as stored: of the job's project, of its tenant where it begins with `tenant:`, or of all with `platform:`.
fn stored(scope: Scope, key: &str) -> String {
    if key.starts_with("platform:") {
        key.to_owned()
    } else if key.starts_with("tenant:") {
        format!("{}/{key}", scope.tenant_id)
    } else {
        format!("{}/{key}", scope.project_id)
    }
}

fn keys_of(job: &Claimed) -> Vec<String> {
    job.locks.iter().map(|key| stored(job.context.scope, key)).collect()
}

/// Takes the keys of each job, oldest job first, and gives those that have them their fences. Answers for the others why not.
pub(super) fn take(tx: &mut Tx<'_>, jobs: &mut [Claimed], now: Timestamp) -> Result<BTreeMap<JobId, Busy>> {
    let wanted: BTreeSet<String> = jobs.iter().flat_map(keys_of).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut locks = read(tx, &wanted)?;
    jobs.sort_by_key(|job| job.id);
    let mut busy: BTreeMap<JobId, (Vec<String>, String, JobId)> = BTreeMap::new();
    for job in jobs.iter_mut().filter(|job| !job.locks.is_empty() && !job.ends_unbegun()) {
        let keys = keys_of(job);
        let taken: Vec<(String, String, JobId)> = keys
            .iter()
            .zip(&job.locks)
            .filter_map(|(key, name)| {
                let holder = locks.get(key)?.holder?;
                (holder != job.id).then(|| (key.clone(), name.clone(), holder))
            })
            .collect();
        if let Some((_, name, holder)) = taken.first() {
            let waits_for = taken.iter().map(|(key, ..)| key.clone()).collect();
            busy.insert(job.id, (waits_for, name.clone(), *holder));
            continue;
        }
        for (key, name) in keys.iter().zip(&job.locks) {
            let Some(lock) = locks.get_mut(key) else { continue };
            if lock.holder.is_none() {
                *lock = Lock { token: lock.token + 1, holder: Some(job.id) };
                tx.exec_later(
                    "UPDATE job_lock SET token = $2, job_id = $3, taken_at = $4 WHERE key = $1",
                    params![key, lock.token, job.id, now],
                )?;
            }
            job.fences.push((name.clone(), (lock.token << JOB_BITS) | (job.token & ((1 << JOB_BITS) - 1))));
        }
        if job.waited_for_lock {
            tx.exec_later("DELETE FROM job_lock_wait WHERE job_id = $1", params![job.id])?;
        }
    }
    name_holders(tx, busy)
}

/// The rows of the keys, made where they are missing, locked in the order of the keys.
fn read(tx: &mut Tx<'_>, wanted: &BTreeSet<String>) -> Result<BTreeMap<String, Lock>> {
    let keys: Vec<String> = wanted.iter().cloned().collect();
    let (list, args) = in_list(&keys, 1);
    let sql = format!(
        "SELECT key, token, job_id FROM job_lock WHERE key IN ({list}) ORDER BY key{}",
        tx.backend().for_update()
    );
    let row = |row: &crate::store::Row<'_>| {
        Ok((row.get::<String>(0)?, Lock { token: row.get(1)?, holder: row.get(2)? }))
    };
    let mut found: BTreeMap<String, Lock> = tx.rows(&sql, &args, row)?.into_iter().collect();
    if found.len() < wanted.len() {
        for key in wanted.iter().filter(|key| !found.contains_key(*key)) {
            tx.exec(
                "INSERT INTO job_lock (key, token) VALUES ($1, 0) ON CONFLICT (key) DO NOTHING",
                params![key],
            )?;
        }
        found = tx.rows(&sql, &args, row)?.into_iter().collect();
    }
    Ok(found)
}

fn name_holders(
    tx: &mut Tx<'_>,
    busy: BTreeMap<JobId, (Vec<String>, String, JobId)>,
) -> Result<BTreeMap<JobId, Busy>> {
    if busy.is_empty() {
        return Ok(BTreeMap::new());
    }
    let holders: Vec<JobId> =
        busy.values().map(|(.., holder)| *holder).collect::<BTreeSet<_>>().into_iter().collect();
    let (list, args) = in_list(&holders, 1);
    let sql = format!("SELECT id, operation, created_by FROM job WHERE id IN ({list})");
    let named: BTreeMap<JobId, (String, String)> =
        tx.rows(&sql, &args, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.into_iter().collect();
    let busy = busy.into_iter().map(|(id, (waits_for, key, holder))| {
        let (operation, created_by) = named.get(&holder).cloned().unwrap_or_default();
        (id, Busy { key, holder: Holder { job_id: holder, operation, created_by }, waits_for })
    });
    Ok(busy.collect())
}

/// Notes which keys the job waits for, so that whoever frees one wakes it.
pub(super) fn wait(tx: &mut Tx<'_>, id: JobId, busy: &Busy, now: Timestamp) -> Result<()> {
    for key in &busy.waits_for {
        tx.exec_later(
            "INSERT INTO job_lock_wait (key, job_id, since) VALUES ($1, $2, $3) ON CONFLICT (key, job_id) DO NOTHING",
            params![key, id, now],
        )?;
    }
    Ok(())
}

/// Frees what the jobs hold, forgets what they wait for, and makes the next waiters due, by the queue's clock.
pub(super) fn release(tx: &mut Tx<'_>, jobs: &[&Claimed], due_now: Timestamp) -> Result<()> {
    // Sorted over all of them: in the order in which they are taken.
    let mut keys: BTreeMap<String, JobId> = BTreeMap::new();
    for job in jobs.iter().filter(|job| !job.locks.is_empty()) {
        // One that never got its keys may have been claimed to be cancelled, by a worker that died then.
        if job.waited_for_lock || job.fences.is_empty() {
            tx.exec("DELETE FROM job_lock_wait WHERE job_id = $1", params![job.id])?;
        }
        keys.extend(keys_of(job).into_iter().map(|key| (key, job.id)));
    }
    for (key, job_id) in &keys {
        tx.exec(
            "UPDATE job_lock SET job_id = NULL, taken_at = NULL WHERE key = $1 AND job_id = $2",
            params![key, *job_id],
        )?;
    }
    for key in keys.keys() {
        let waiters =
            "SELECT w.job_id FROM job_lock_wait w WHERE w.key = $2 ORDER BY w.since, w.job_id LIMIT $3";
        // One that is being claimed right now waits for the lock's row, and so sees that it is free.
        let free = match tx.backend() {
            Backend::Sqlite => format!("IN ({waiters})"),
            Backend::Postgres => format!(
                "= ANY(ARRAY(SELECT q.job_id FROM job_queue q WHERE q.job_id IN ({waiters}) FOR UPDATE SKIP LOCKED))"
            ),
        };
        tx.exec(
            &format!("UPDATE job_queue SET due_at = $1, set_at = $1 WHERE due_at > $1 AND job_id {free}"),
            params![due_now, key, WAKES],
        )?;
    }
    Ok(())
}

/// Who has each of the keys now.
pub(super) fn holders(
    tx: &mut Tx<'_>,
    scope: Scope,
    keys: &[String],
) -> Result<Vec<(String, Option<JobId>)>> {
    keys.iter()
        .map(|key| {
            let sql = "SELECT job_id FROM job_lock WHERE key = $1";
            let holder: Option<Option<JobId>> = tx.opt(sql, params![stored(scope, key)], |row| row.get(0))?;
            Ok((key.clone(), holder.flatten()))
        })
        .collect()
}
