//! Migrations: numbered files for each backend, each applied in a transaction of its own and noted with its checksum.
//!
//! Several processes that start together do not collide: each step takes a lock and looks again at what is applied.
//! An applied file never changes: a schema that was made by another text is refused, and so is one that is newer
//! than the binary. `applied_at` is the database's own clock, for people to read; nothing depends on it.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{Backend, Store, StoreError, StoreResult, Tx};
use crate::params;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

    pub(super) const ALL: [&[(&str, &str)]; 2] = [SQLITE, POSTGRES];
}

/// "Quarter" in ASCII: the advisory lock that one migrating process holds.
const LOCK: i64 = 0x51_75_61_72_74_65_72;

/// The migrations that a binary (or a test) knows, per backend.
#[derive(Debug, Clone, Default)]
pub struct MigrationSet {
    sqlite: BTreeMap<i64, Migration>,
    postgres: BTreeMap<i64, Migration>,
}

#[derive(Debug, Clone, Default)]
struct Migration {
    name: String,
    up: String,
    down: String,
}

impl Migration {
    fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.up.as_bytes()))
    }
}

/// What a migration run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    pub from: i64,
    pub to: i64,
    /// The names of the steps made here, in order; a step that another process made meanwhile is not among them.
    pub steps: Vec<String>,
}

impl MigrationSet {
    /// The files of `migrations/`.
    pub fn embedded() -> Self {
        let mut set = Self::default();
        for (backend, files) in [Backend::Sqlite, Backend::Postgres].into_iter().zip(embedded::ALL) {
            for (file, text) in files {
                set.add(backend, file, text);
            }
        }
        set
    }

    pub fn with(mut self, backend: Backend, file: &str, text: &str) -> Self {
        self.add(backend, file, text);
        self
    }

    /// The highest version known for a backend; 0 without any.
    pub fn newest(&self, backend: Backend) -> i64 {
        self.of(backend).keys().next_back().copied().unwrap_or(0)
    }

    /// `NNNN_name.up.sql` or `NNNN_name.down.sql`; a file of another form is no migration.
    fn add(&mut self, backend: Backend, file: &str, text: &str) {
        let Some((number, rest)) = file.split_once('_') else { return };
        let Ok(version) = number.parse::<i64>() else { return };
        let all = match backend {
            Backend::Sqlite => &mut self.sqlite,
            Backend::Postgres => &mut self.postgres,
        };
        let migration = all.entry(version).or_default();
        if let Some(name) = rest.strip_suffix(".up.sql") {
            name.clone_into(&mut migration.name);
            text.clone_into(&mut migration.up);
        } else if rest.ends_with(".down.sql") {
            text.clone_into(&mut migration.down);
        }
    }

    fn of(&self, backend: Backend) -> &BTreeMap<i64, Migration> {
        match backend {
            Backend::Sqlite => &self.sqlite,
            Backend::Postgres => &self.postgres,
        }
    }

    /// Both backends have the same numbers and names, without gaps, each with a way up and a way down.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        let names = |backend: Backend| -> Vec<_> {
            self.of(backend).iter().map(|(version, migration)| (*version, migration.name.clone())).collect()
        };
        if names(Backend::Sqlite) != names(Backend::Postgres) {
            return Err("SQLite and Postgres have different migrations".into());
        }
        for (expected, (version, migration)) in (1..).zip(self.sqlite.iter()) {
            if *version != expected {
                return Err(format!("migration {expected} is missing"));
            }
            for migration in [migration, &self.postgres[version]] {
                if migration.up.trim().is_empty() || migration.down.trim().is_empty() {
                    return Err(format!("migration {version} lacks its up or its down file"));
                }
            }
        }
        Ok(())
    }
}

/// One version step at a time until `target` is reached.
pub(super) async fn migrate_to(store: &Store, target: i64) -> StoreResult<MigrationReport> {
    let known = store.inner.options.migrations.of(store.backend()).clone();
    if target != 0 && !known.contains_key(&target) {
        return Err(StoreError::Migration(format!("this binary knows no schema version {target}")));
    }
    let mut from = None;
    let mut steps = Vec::new();
    loop {
        let known = known.clone();
        let step = move |tx: &mut Tx<'_>| step(tx, &known, target);
        let (version, done): (i64, Option<String>) = store.run(step, true, None).await?;
        let from = *from.get_or_insert(version);
        match done {
            Some(name) => steps.push(name),
            None => return Ok(MigrationReport { from, to: version, steps }),
        }
    }
}

/// Makes one step towards `target`: the version before it and what was done, nothing when there.
fn step(
    tx: &mut Tx<'_>,
    known: &BTreeMap<i64, Migration>,
    target: i64,
) -> StoreResult<(i64, Option<String>)> {
    prepare(tx)?;
    let applied =
        tx.rows("SELECT version, name, checksum FROM schema_migration ORDER BY version", &[], |row| {
            Ok((row.get::<i64>(0)?, row.get::<String>(1)?, row.get::<String>(2)?))
        })?;
    verify(known, &applied)?;
    let version = applied.last().map_or(0, |(version, ..)| *version);
    let direction = if version < target { "up" } else { "down" };
    let next = match version.cmp(&target) {
        std::cmp::Ordering::Less => known.range(version + 1..).next(),
        std::cmp::Ordering::Equal => return Ok((version, None)),
        std::cmp::Ordering::Greater => known.get_key_value(&version),
    };
    let Some((number, migration)) = next else { return Ok((version, None)) };
    let name = format!("{number:04}_{} {direction}", migration.name);
    let text = if direction == "up" { &migration.up } else { &migration.down };
    tx.script(text).map_err(|error| StoreError::Migration(format!("{name}: {error}")))?;
    if direction == "up" {
        let now = match tx.backend() {
            Backend::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Backend::Postgres => "now()",
        };
        let note = format!(
            "INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES ($1, $2, $3, {now})"
        );
        tx.exec(&note, params![*number, migration.name, migration.checksum()])?;
    } else {
        tx.exec("DELETE FROM schema_migration WHERE version = $1", params![*number])?;
    }
    Ok((version, Some(name)))
}

/// Takes the lock, lifts the time limit and makes the table of what is applied.
fn prepare(tx: &mut Tx<'_>) -> StoreResult<()> {
    match tx.backend() {
        Backend::Sqlite => tx.script(
            "CREATE TABLE IF NOT EXISTS schema_migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
             checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT",
        ),
        Backend::Postgres => tx.script(&format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL client_min_messages = warning; \
             SELECT pg_advisory_xact_lock({LOCK}); \
             CREATE TABLE IF NOT EXISTS schema_migration (version bigint PRIMARY KEY, name text NOT NULL, \
             checksum text NOT NULL, applied_at timestamptz NOT NULL)",
        )),
    }
}

fn verify(known: &BTreeMap<i64, Migration>, applied: &[(i64, String, String)]) -> StoreResult<()> {
    for ((version, name, checksum), expected) in applied.iter().zip(1..) {
        let Some(migration) = known.get(version) else {
            return Err(StoreError::Migration(format!(
                "the database has version {version} ({name}), which this binary does not know: start a newer binary, \
                 or go down with the one that made it"
            )));
        };
        if *version != expected {
            return Err(StoreError::Migration(format!(
                "version {expected} was never applied, but {version} was"
            )));
        }
        if *checksum != migration.checksum() {
            return Err(StoreError::Migration(format!(
                "version {version} ({name}) was applied from another text than this binary's: an applied migration \
                 never changes, write a new one"
            )));
        }
    }
    Ok(())
}
