//! All that was written down by the end: the database's rows, and what the world counted.

use std::collections::{BTreeMap, BTreeSet};

use qd_kernel::store::{Store, StoreResult};
use serde_json::Value;

use super::scenarios::{Asked, End, Scenario};

struct Event {
    kind: String,
    resource: Option<String>,
    run: Option<String>,
    job: Option<String>,
}

pub struct Ledger {
    events: Vec<Event>,
    /// First and last position, and how many there are.
    positions: (i64, i64, i64),
    audit: BTreeMap<String, Vec<String>>,
    published: BTreeMap<String, Option<i64>>,
    revisions: BTreeMap<String, i64>,
    runs: BTreeMap<String, (String, i64)>,
    jobs: BTreeSet<String>,
    /// Tenants and projects that are there, and whether one is being deleted.
    scopes: BTreeMap<String, bool>,
    /// Data keys: number, and the job that made it.
    keys: Vec<(i64, Option<String>)>,
    /// The numbers of the keys that values are sealed with.
    sealed_with: Vec<i64>,
    /// Values under a key that is not there.
    pub orphaned_values: i64,
    /// By the job: whether the archive is finished, and whether its bytes are those that it was said to have.
    exports: BTreeMap<String, (bool, bool)>,
    /// What must be empty, with its number of rows.
    left: Vec<(&'static str, i64)>,
    pub world: Value,
}

const MUST_BE_EMPTY: [(&str, &str); 5] = [
    ("jobs in the queue", "SELECT count(*) FROM job_queue"),
    ("held locks", "SELECT count(*) FROM job_lock WHERE job_id IS NOT NULL"),
    ("waits for locks", "SELECT count(*) FROM job_lock_wait"),
    (
        "steps that are neither done nor given up",
        "SELECT count(*) FROM job_step WHERE state IN ('running', 'waiting', 'undoing')",
    ),
    ("jobs that have not ended", "SELECT count(*) FROM job WHERE ended_at IS NULL"),
];

impl Ledger {
    /// Of a database that no server has open.
    pub async fn read(store: &Store, world: Value) -> Self {
        let read = store.read(move |tx| -> StoreResult<Self> {
            let text = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
            let events = tx.rows(
                "SELECT type, resource_name, run_id, job_id FROM event ORDER BY pos",
                &[],
                |row| Ok(Event { kind: row.get(0)?, resource: row.get(1)?, run: text(row.get(2)?), job: text(row.get(3)?) }),
            )?;
            let positions = tx.one("SELECT COALESCE(min(pos), 0), COALESCE(max(pos), 0), count(*) FROM event", &[], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            let mut audit: BTreeMap<String, Vec<String>> = BTreeMap::new();
            let sql = "SELECT job_id, action FROM audit WHERE job_id IS NOT NULL ORDER BY action";
            for (job, action) in tx.rows(sql, &[], |row| Ok((row.get::<uuid::Uuid>(0)?, row.get(1)?)))? {
                audit.entry(job.to_string()).or_default().push(action);
            }
            let published = tx.rows("SELECT name, published_number FROM resource", &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let revisions = tx.rows(
                "SELECT r.name, count(*) FROM resource r JOIN revision v ON v.resource_id = r.id GROUP BY r.name",
                &[],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let runs = tx.rows("SELECT id, state, attempt FROM run", &[], |row| {
                Ok((row.get::<uuid::Uuid>(0)?.to_string(), (row.get(1)?, row.get(2)?)))
            })?;
            let jobs = tx.rows("SELECT id FROM job", &[], |row| Ok(row.get::<uuid::Uuid>(0)?.to_string()))?;
            let scopes = tx.rows(
                "SELECT name, deleting IS NOT NULL FROM tenant UNION ALL SELECT name, deleting IS NOT NULL FROM project
                 WHERE name <> 'default'",
                &[],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let keys = tx.rows("SELECT number, job_id FROM secret_key", &[], |row| Ok((row.get(0)?, text(row.get(1)?))))?;
            let sealed_with = tx.rows("SELECT key_number FROM secret_version", &[], |row| row.get(0))?;
            let orphaned_values = tx.one(
                "SELECT count(*) FROM secret_version v LEFT JOIN secret_key k ON k.tenant_id = v.tenant_id AND k.number = v.key_number
                 WHERE k.number IS NULL",
                &[],
                |row| row.get(0),
            )?;
            let exports = tx.rows(
                "SELECT e.id, e.finished_at IS NOT NULL, (SELECT CAST(COALESCE(sum(length(p.body)), 0) AS BIGINT) FROM export_part p
                   WHERE p.export_id = e.id) = e.bytes AS whole,
                   EXISTS (SELECT 1 FROM export_part p WHERE p.export_id = e.id) FROM export e",
                &[],
                |row| {
                    let (finished, whole, some): (bool, Option<bool>, bool) = (row.get(1)?, row.get(2)?, row.get(3)?);
                    Ok((row.get::<uuid::Uuid>(0)?.to_string(), (finished, whole.unwrap_or(some))))
                },
            )?;
            let mut left = vec![];
            for (what, sql) in MUST_BE_EMPTY {
                left.push((what, tx.one(sql, &[], |row| row.get(0))?));
            }
            Ok(Self {
                events,
                positions,
                audit,
                published: published.into_iter().collect(),
                revisions: revisions.into_iter().collect(),
                runs: runs.into_iter().collect(),
                jobs: jobs.into_iter().collect(),
                scopes: scopes.into_iter().collect(),
                keys,
                sealed_with,
                orphaned_values,
                exports: exports.into_iter().collect(),
                left,
                world: Value::Null,
            })
        });
        Self { world, ..read.await.expect("read the ledger") }
    }

    /// Everything that is wrong, each with the place at which its job's server died.
    pub fn faults(&self, scenario: &Scenario, asked: &[Asked], others: usize) -> Vec<String> {
        let mut faults: Vec<String> = self
            .left
            .iter()
            .filter(|(_, rows)| *rows > 0)
            .map(|(what, rows)| format!("{rows} {what}"))
            .collect();
        let (first, last, count) = self.positions;
        // What a deleted tenant had leaves holes.
        if last - first + 1 != count && !scenario.operation.ends_with(".delete") {
            faults.push(format!("{count} events stand between the positions {first} and {last}"));
        }
        if self.jobs.len() != asked.len() + others {
            faults.push(format!("{} jobs, {} asked for", self.jobs.len(), asked.len() + others));
        }
        for asked in asked {
            let mut of_job = self.history(asked);
            of_job.extend(self.audited(scenario, asked));
            of_job.extend((scenario.faults)(self, asked));
            faults
                .extend(of_job.into_iter().map(|fault| format!("{} {:?}: {fault}", asked.place, asked.end)));
        }
        for wrong in ["overlaps", "outside", "claimed_twice", "inside"] {
            let found = &self.world[wrong];
            if found.as_array().is_some_and(|list| !list.is_empty())
                || found.as_object().is_some_and(|map| !map.is_empty())
            {
                faults.push(format!("{wrong}: {found}"));
            }
        }
        for (name, effect) in self.world["effects"].as_object().into_iter().flatten() {
            if effect["made"] != 1 {
                faults.push(format!("{name} took effect {} times", effect["made"]));
            }
        }
        faults
    }

    /// queued, running, anything between, one end and nothing behind it.
    fn history(&self, asked: &Asked) -> Vec<String> {
        let of_job =
            |event: &&Event| event.job.as_deref() == Some(asked.id()) && event.kind.starts_with("job.");
        let kinds: Vec<&str> = self.events.iter().filter(of_job).map(|event| event.kind.as_str()).collect();
        let state = asked.job["state"].as_str().expect("a state");
        let last = format!("job.{state}");
        let once = |kind: &str| kinds.iter().filter(|found| **found == kind).count() == 1;
        let ends = ["job.succeeded", "job.failed", "job.cancelled", "job.undone"];
        let mut right = kinds.starts_with(&["job.queued", "job.running"])
            && kinds.last() == Some(&last.as_str())
            && once("job.queued")
            && once("job.running")
            && kinds.iter().filter(|kind| ends.contains(kind)).count() == 1;
        let undoing = kinds.iter().filter(|kind| **kind == "job.undoing").count();
        right &= undoing == usize::from(state == "undone");
        let waits: Vec<&&str> = kinds.iter().filter(|kind| **kind == "job.waiting").collect();
        // It waits for the world once, and after a crash in the wait perhaps once more.
        right &= waits.len() <= 2;
        if right { vec![] } else { vec![format!("its events are {kinds:?}")] }
    }

    fn audited(&self, scenario: &Scenario, asked: &Asked) -> Vec<String> {
        let found = self.audit.get(asked.id()).cloned().unwrap_or_default();
        let mut wanted: Vec<&str> = scenario.audit.to_vec();
        if matches!(asked.end, End::CancelledAt(_) | End::CancelledWaiting(_)) {
            wanted.push("jobs.cancel");
        }
        wanted.sort_unstable();
        if found == wanted { vec![] } else { vec![format!("its audit is {found:?}, not {wanted:?}")] }
    }

    pub fn published(&self, resource: &str) -> Option<i64> {
        self.published.get(resource).copied().flatten()
    }

    pub fn exists(&self, resource: &str) -> bool {
        self.published.contains_key(resource)
    }

    /// Whether the tenant or project is there, and not being deleted any more.
    pub fn stays(&self, scope: &str) -> Option<bool> {
        self.scopes.get(scope).map(|deleting| !deleting)
    }

    pub fn revisions(&self, resource: &str) -> i64 {
        self.revisions.get(resource).copied().unwrap_or(0)
    }

    /// How many events of a kind a resource has.
    pub fn events(&self, resource: &str, kind: &str) -> i64 {
        self.count(|event| event.kind == kind && event.resource.as_deref() == Some(resource))
    }

    pub fn run_events(&self, run: &str, kind: &str) -> i64 {
        self.count(|event| event.kind == kind && event.run.as_deref() == Some(run))
    }

    fn count(&self, which: impl Fn(&Event) -> bool) -> i64 {
        i64::try_from(self.events.iter().filter(|event| which(event)).count()).expect("a small number")
    }

    /// State and attempt.
    pub fn run(&self, run: &str) -> (String, i64) {
        self.runs.get(run).cloned().unwrap_or_default()
    }

    /// Data keys of the job that are still there.
    pub fn keys_made(&self, job: &str) -> i64 {
        let made = self.keys.iter().filter(|(_, by)| by.as_deref() == Some(job)).count();
        i64::try_from(made).expect("a small number")
    }

    /// Values under a key that is older than the one that the job made, where that is still there.
    pub fn values_older_than(&self, job: &str) -> i64 {
        let Some((made, _)) = self.keys.iter().find(|(_, by)| by.as_deref() == Some(job)) else { return 0 };
        let older = self.sealed_with.iter().filter(|number| *number < made).count();
        i64::try_from(older).expect("a small number")
    }

    /// Whether the job's archive is finished, and whether there are bytes of it: all of them where it is, and any where it is not.
    pub fn export(&self, job: &str) -> (bool, bool) {
        self.exports.get(job).copied().unwrap_or_default()
    }

    /// How often an effect happened in the world.
    pub fn made(&self, effect: &str) -> i64 {
        self.world["effects"][effect]["made"].as_i64().unwrap_or(0)
    }

    /// Whether it is there and was not undone.
    pub fn stands(&self, effect: &str) -> bool {
        self.world["effects"][effect]["present"] == true
    }

    /// How often all effects that begin so were tried.
    pub fn tries(&self, prefix: &str) -> i64 {
        let effects = self.world["effects"].as_object().into_iter().flatten();
        effects
            .filter(|(name, _)| name.starts_with(prefix))
            .filter_map(|(_, effect)| effect["tries"].as_i64())
            .sum()
    }
}
