//! Limits on how many runs are active at once: of a resource, over a connection, on an engine, in a project, in a tenant.
//!
//! A run takes a slot of each of its keys before its engine is asked for the first time, and has them until it ends. What holds a
//! slot is the run and no process, so a worker that dies neither frees one nor loses one. Who finds none free waits without a
//! worker, in the order in which they came, and the end of a run makes the next of them look.
//!
//! Runs that were active before a limit was set count, but wait for nothing.

use std::{collections::BTreeSet, time::Duration};

use qd_core::{
    error::Result,
    id::{JobId, ResourceId, RunId},
    state::RunState,
    time::Timestamp,
};
use serde_json::Value;

use crate::{
    connections::CONNECTION,
    context::Scope,
    engine::RunTicket,
    kernel::Kernel,
    params,
    quotas::{self, Holder},
    runs::{self, StoredRun},
    store::{Backend, Param, Tx, in_list},
};

/// The end of a run wakes those that wait; this is the net below.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Waiters of a key that the end of a run wakes.
const WAKES: i64 = 4;
/// Active runs that are named to who waits.
const NAMED: usize = 3;

/// What is limited.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Resource(ResourceId),
    Connection,
    Engine(String),
    Quota(Holder),
}

/// A key of a run, with the limit that it has now.
#[derive(Debug, Clone)]
struct Key {
    key: String,
    what: What,
    /// For people.
    title: String,
    most: Option<i64>,
}

fn resource_key(id: ResourceId) -> String {
    format!("resource/{id}")
}

fn engine_key(engine: &str) -> String {
    format!("engine/{engine}")
}

fn quota_key(holder: Holder) -> String {
    format!("{}/{}", holder.word(), holder.id())
}

/// A run that is to be handed to its engine, and what it must have a slot of first.
pub(crate) struct Candidate {
    pub ticket: RunTicket,
    pub run: StoredRun,
    /// None where there is nothing to ask for: nothing is limited, or the run has its slots.
    keys: Option<Vec<Key>>,
}

impl Kernel {
    pub(crate) async fn run_candidate(&self, scope: Scope, id: RunId) -> Result<Candidate> {
        let kernel = self.clone();
        self.store
            .read(move |tx| -> Result<Candidate> {
                let (ticket, run) = runs::ticket(tx, scope, id)?;
                let keys = kernel.run_keys(tx, &ticket, &run)?;
                Ok(Candidate { ticket, run, keys })
            })
            .await
    }

    /// Takes the run's slots; answers what it waits for where one is not free.
    pub(crate) async fn run_admit(&self, job_id: JobId, candidate: &Candidate) -> Result<Option<String>> {
        let Some(keys) = candidate.keys.clone() else { return Ok(None) };
        let (now, run) = (self.reckoning.now(), candidate.run.clone());
        self.store.write(move |tx| admit(tx, &keys, &run, job_id, now)).await
    }

    fn run_keys(&self, tx: &mut Tx<'_>, ticket: &RunTicket, run: &StoredRun) -> Result<Option<Vec<Key>>> {
        let (has, own): (i64, Option<Value>) = tx.one(
            "SELECT (SELECT count(*) FROM run_slot WHERE run_id = $1 AND held),
               (SELECT v.spec FROM resource r JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number WHERE r.id = $2)",
            params![run.id, run.resource_id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let kind = self.registry.find_kind(&run.kind).filter(|_| has == 0);
        let (Some(kind), scope) = (kind, ticket.scope) else { return Ok(None) };
        let most = own.as_ref().and_then(|spec| kind.max_active_runs(spec));
        let mut keys = vec![Key {
            key: resource_key(run.resource_id),
            what: What::Resource(run.resource_id),
            title: format!("{}/{}", kind.info().plural, run.resource_name),
            most: most.map(i64::from),
        }];
        if let Some(name) = kind.connection(&ticket.spec, &run.params) {
            let spec = published(tx, scope, CONNECTION, &name)?;
            keys.push(Key {
                key: format!("connection/{}/{name}", scope.project_id),
                what: What::Connection,
                title: format!("connections/{name}"),
                most: spec.and_then(|spec| spec["max_active_runs"].as_i64()),
            });
        }
        keys.push(Key {
            key: engine_key(&run.engine),
            what: What::Engine(run.engine.clone()),
            title: format!("engines/{}", run.engine),
            most: self.options.engine_limits.get(&run.engine).copied().map(i64::from),
        });
        keys.extend(quotas::active_runs_limits(tx, scope)?.into_iter().map(|(holder, most)| Key {
            key: quota_key(holder),
            what: What::Quota(holder),
            title: format!("the quota of the {}", holder.word()),
            most: Some(most),
        }));
        // Runs over a connection are counted by their slots alone, so those are taken without a limit, too.
        let counted = keys.iter().any(|key| key.most.is_some() || key.what == What::Connection);
        Ok(counted.then_some(keys))
    }
}

fn published(tx: &mut Tx<'_>, scope: Scope, kind: &str, name: &str) -> Result<Option<Value>> {
    Ok(tx.opt(
        "SELECT v.spec FROM resource r JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number
         WHERE r.project_id = $1 AND r.kind = $2 AND r.name = $3",
        params![scope.project_id, kind.to_owned(), name.to_owned()],
        |row| row.get(0),
    )?)
}

/// With the keys locked, so that two cannot take the last slot.
fn admit(
    tx: &mut Tx<'_>,
    keys: &[Key],
    run: &StoredRun,
    job_id: JobId,
    now: Timestamp,
) -> Result<Option<String>> {
    let names: BTreeSet<String> = keys.iter().map(|key| key.key.clone()).collect();
    lock(tx, &names)?;
    let state: RunState = tx.one("SELECT state FROM run WHERE id = $1", params![run.id], |row| row.get(0))?;
    if state != RunState::Queued {
        return Ok(None);
    }
    let since: Option<Timestamp> =
        tx.one("SELECT MIN(since) FROM run_slot WHERE run_id = $1", params![run.id], |row| row.get(0))?;
    let since = since.unwrap_or(now);
    for key in keys {
        let Some(most) = key.most else { continue };
        let active = active(tx, key, run.id)?;
        let ahead: i64 = tx.one(
            "SELECT count(*) FROM run_slot w JOIN run u ON u.id = w.run_id
             WHERE w.key = $1 AND NOT w.held AND u.state = 'queued' AND w.run_id <> $2
               AND (w.since < $3 OR (w.since = $3 AND w.run_id < $2))",
            params![key.key, run.id, since],
            |row| row.get(0),
        )?;
        let taken = i64::try_from(active.len()).unwrap_or(i64::MAX);
        if taken.saturating_add(ahead) < most {
            continue;
        }
        tx.exec("DELETE FROM run_slot WHERE run_id = $1", params![run.id])?;
        take(tx, &key.key, run.id, job_id, false, since)?;
        return Ok(Some(waits_for(key, most, &active, ahead)));
    }
    tx.exec("DELETE FROM run_slot WHERE run_id = $1", params![run.id])?;
    for key in keys {
        take(tx, &key.key, run.id, job_id, true, since)?;
    }
    Ok(None)
}

fn take(
    tx: &mut Tx<'_>,
    key: &str,
    run_id: RunId,
    job_id: JobId,
    held: bool,
    since: Timestamp,
) -> Result<()> {
    tx.exec_later(
        "INSERT INTO run_slot (key, run_id, job_id, held, since) VALUES ($1, $2, $3, $4, $5)",
        params![key.to_owned(), run_id, job_id, held, since],
    )?;
    Ok(())
}

/// The rows of the keys, made where they are missing, locked in the order of the keys.
fn lock(tx: &mut Tx<'_>, keys: &BTreeSet<String>) -> Result<()> {
    for key in keys {
        tx.exec_later("INSERT INTO slot (key) VALUES ($1) ON CONFLICT (key) DO NOTHING", params![key])?;
    }
    let keys: Vec<String> = keys.iter().cloned().collect();
    let (list, args) = in_list(&keys, 1);
    let sql = format!("SELECT key FROM slot WHERE key IN ({list}) ORDER BY key{}", tx.backend().for_update());
    tx.rows(&sql, &args, |row| row.get::<String>(0))?;
    Ok(())
}

/// The other runs that have a slot of the key: `curate#7`.
fn active(tx: &mut Tx<'_>, key: &Key, but: RunId) -> Result<Vec<String>> {
    let begun = "u.state IN ('queued', 'running') AND (
           EXISTS (SELECT 1 FROM run_slot s WHERE s.run_id = u.id AND s.held)
           OR EXISTS (SELECT 1 FROM run_attempt a WHERE a.run_id = u.id AND a.attempt = u.attempt AND a.external_id IS NOT NULL))";
    let (of, arg): (String, Box<dyn Param>) = match &key.what {
        What::Resource(id) => (format!("u.resource_id = $2 AND {begun}"), Box::new(*id)),
        What::Engine(name) => (format!("u.engine = $2 AND {begun}"), Box::new(name.clone())),
        What::Quota(holder) => (format!("u.{}_id = $2 AND {begun}", holder.word()), Box::new(holder.id())),
        What::Connection => (
            "u.state IN ('queued', 'running') AND EXISTS (
               SELECT 1 FROM run_slot s WHERE s.run_id = u.id AND s.key = $2 AND s.held)"
                .to_owned(),
            Box::new(key.key.clone()),
        ),
    };
    let sql = format!(
        "SELECT r.name, u.number FROM run u JOIN resource r ON r.id = u.resource_id WHERE u.id <> $1 AND {of} ORDER BY u.id"
    );
    let row = |row: &crate::store::Row<'_>| Ok(format!("{}#{}", row.get::<String>(0)?, row.get::<i64>(1)?));
    Ok(tx.rows(&sql, &[&but, &*arg], row)?)
}

fn waits_for(key: &Key, most: i64, active: &[String], ahead: i64) -> String {
    let allowed = if most == 1 { "1 active run".to_owned() } else { format!("{most} active runs") };
    let mut text = format!("a slot of {}, which allows {allowed}", key.title);
    // Whose runs an engine has, or another project of the tenant, is not for each other's eyes.
    if matches!(key.what, What::Engine(_) | What::Quota(Holder::Tenant(_))) {
        text.push_str(&format!(": {} active", active.len()));
    } else if !active.is_empty() {
        let named: Vec<&str> = active.iter().take(NAMED).map(String::as_str).collect();
        let more = active.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        text.push_str(&format!(": {}{more}", named.join(", ")));
    }
    if ahead > 0 {
        text.push_str(&format!("; {ahead} before it"));
    }
    text
}

/// A run has ended: its slots are free, and the next that wait for them look. True where somebody waits.
pub(crate) fn release(tx: &mut Tx<'_>, scope: Scope, run: &StoredRun, now: Timestamp) -> Result<bool> {
    // One that took none counts as well.
    let always = [resource_key(run.resource_id), engine_key(&run.engine)];
    let [resource, engine] = &always;
    let [tenant, project] = Holder::of(scope).map(quota_key);
    let mut keys: BTreeSet<String> = tx
        .rows(
            "SELECT key FROM run_slot WHERE run_id = $1
             UNION ALL SELECT DISTINCT key FROM run_slot WHERE key IN ($2, $3, $4, $5) AND NOT held",
            params![run.id, resource, engine, tenant, project],
            |row| row.get(0),
        )?
        .into_iter()
        .collect();
    if keys.is_empty() {
        return Ok(false);
    }
    keys.extend(always);
    lock(tx, &keys)?;
    tx.exec("DELETE FROM run_slot WHERE run_id = $1", params![run.id])?;
    let mut woken = 0;
    for key in &keys {
        let waiters = "SELECT w.job_id FROM run_slot w JOIN run u ON u.id = w.run_id
            WHERE w.key = $2 AND NOT w.held AND u.state = 'queued' ORDER BY w.since, w.run_id LIMIT $3";
        let free = match tx.backend() {
            Backend::Sqlite => format!("IN ({waiters})"),
            Backend::Postgres => format!(
                "= ANY(ARRAY(SELECT q.job_id FROM job_queue q WHERE q.job_id IN ({waiters}) FOR UPDATE SKIP LOCKED))"
            ),
        };
        // A job that is looking right now has a lease to keep, and sees the slot once its key is unlocked.
        woken += tx.exec(
            &format!(
                "UPDATE job_queue SET due_at = $1, set_at = $1 WHERE due_at > $1 AND job_id {free}
                   AND EXISTS (SELECT 1 FROM job j WHERE j.id = job_queue.job_id AND j.state = 'waiting')"
            ),
            params![now, key, WAKES],
        )?;
    }
    Ok(woken > 0)
}
