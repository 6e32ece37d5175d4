//! The database: synchronous inside, asynchronous at the edge.
//!
//! [`Store::read`] and [`Store::write`] hand a closure to a database thread; one closure is one transaction, and the
//! answer comes after its commit. Inside a closure there is no `await`, so kernel logic is plain Rust over [`Tx`].
//! The same SQL text, with `$1…$n`, runs on SQLite and on Postgres; the few statements that differ ask
//! [`Tx::backend`]. There are no repository traits and no query builder.
//!
//! A closure may be run more than once (a group commit that another closure destroyed, a deadlock, a connection that
//! died before COMMIT): it does nothing but database work.

mod counters;
mod domain;
mod error;
mod migrate;
mod postgres;
mod row;
mod schema;
mod simulated;
mod sqlite;
mod tx;
mod value;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use qd_core::time::Timestamp;
use tokio::sync::oneshot;

use self::counters::Counters;
pub use self::counters::Stats;
pub use self::error::{StoreError, StoreResult};
pub use self::migrate::{MigrationReport, MigrationSet};
pub(crate) use self::postgres::postgres_tls;
pub use self::row::Row;
pub use self::schema::{
    Difference, ForeignKey, LogicalColumn, LogicalIndex, LogicalSchema, LogicalTable, LogicalType,
};
pub use self::simulated::{DatabaseClock, Fault, Faults, SimulatedDatabase};
pub use self::sqlite::Rewrite;
pub use self::tx::Tx;
pub use self::value::{Column, Json, Param, Value};
use self::work::{Queued, pack};
use crate::failpoint::Failpoints;
pub use crate::params;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    /// What a SELECT that is followed by an UPDATE of the same rows ends with: on Postgres others would be lost
    /// without it; SQLite has one writer.
    pub fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }
}

#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The most Postgres connections; each is opened when it is first needed.
    pub connections: usize,
    /// How long a closure may wait for a connection before it is answered `Unavailable`.
    pub patience: Duration,
    /// How long one read may take.
    pub read_limit: Duration,
    /// How long one write may take, waiting excepted.
    pub write_limit: Duration,
    /// The most pages (of 4 KiB) that a SQLite file may have.
    pub sqlite_max_pages: Option<u32>,
    /// The most page cache of each SQLite connection, KiB.
    pub sqlite_cache_kib: u32,
    pub migrations: MigrationSet,
    /// Where a test lets the process die.
    pub failpoints: Option<Failpoints>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            patience: Duration::from_secs(10),
            read_limit: Duration::from_secs(10),
            write_limit: Duration::from_secs(30),
            sqlite_max_pages: None,
            sqlite_cache_kib: 8192,
            migrations: MigrationSet::embedded(),
            failpoints: None,
        }
    }
}

/// An open database. Cheap to clone; closed when the last clone goes, or by [`Store::close`].
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    options: StoreOptions,
    counters: Arc<Counters>,
}

enum Database {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
    Simulated(simulated::Simulated),
}

impl Store {
    /// One process's way to a database in memory that others may share; for simulations.
    pub fn simulated(database: &SimulatedDatabase, faults: Arc<dyn Faults>) -> Self {
        let database = Database::Simulated(simulated::Simulated { database: database.clone(), faults });
        let (options, counters) = (StoreOptions::default(), Arc::default());
        Self { inner: Arc::new(Inner { database, options, counters }) }
    }

    /// Whether other processes may have it open too.
    pub fn is_shared(&self) -> bool {
        !matches!(self.inner.database, Database::Sqlite(_))
    }

    /// Opens `sqlite:<path>` (the file is made where it is missing) or `postgres://…`. Does not migrate.
    ///
    /// # Errors
    /// `Refused` for another URL; `Unavailable` when another process holds the SQLite file's folder, or Postgres
    /// does not answer.
    pub async fn open(url: &str, options: StoreOptions) -> StoreResult<Self> {
        let counters = Arc::new(Counters::default());
        let database = if url.starts_with("sqlite:") {
            let (path, options, counters) = (sqlite::path_of(url)?, options.clone(), counters.clone());
            let open = move || sqlite::Sqlite::open(&path, &options, &counters);
            Database::Sqlite(tokio::task::spawn_blocking(open).await.map_err(gone)??)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Database::Postgres(postgres::Postgres::open(url, &options, &counters)?)
        } else {
            return Err(StoreError::Refused("the database's URL begins with sqlite: or postgres://".into()));
        };
        let store = Self { inner: Arc::new(Inner { database, options, counters }) };
        store.health().await?;
        Ok(store)
    }

    pub fn backend(&self) -> Backend {
        match self.inner.database {
            Database::Sqlite(_) | Database::Simulated(_) => Backend::Sqlite,
            Database::Postgres(_) => Backend::Postgres,
        }
    }

    /// Runs a closure in a transaction that only reads and sees one state of the database throughout.
    pub async fn read<T, E>(
        &self,
        call: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(call, false, Some(self.inner.options.read_limit)).await
    }

    /// Runs a closure in a transaction and commits it; any error that it returns undoes all of it. A caller that
    /// goes away does not undo the commit.
    pub async fn write<T, E>(
        &self,
        call: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(call, true, Some(self.inner.options.write_limit)).await
    }

    /// Brings the schema to the newest version that this binary knows.
    ///
    /// # Errors
    /// `Migration` in words: a newer schema than the binary knows, an applied file that was edited since, or SQL
    /// that fails. Each migration is a transaction of its own; those before a failed one stay.
    pub async fn migrate(&self) -> StoreResult<MigrationReport> {
        migrate::migrate_to(self, self.inner.options.migrations.newest(self.backend())).await
    }

    /// Brings the schema up or down to `version`; 0 is empty.
    pub async fn migrate_to(&self, version: i64) -> StoreResult<MigrationReport> {
        migrate::migrate_to(self, version).await
    }

    /// The schema as the database has it now.
    pub async fn schema(&self) -> StoreResult<LogicalSchema> {
        self.read(schema::read).await
    }

    /// Whether the database answers.
    pub async fn health(&self) -> StoreResult<()> {
        self.read(|tx| tx.one("SELECT 1 AS alive", &[], |row| row.get::<i64>(0).map(drop))).await
    }

    /// The time by the database's own clock; none where no other process can ask it.
    pub async fn clock(&self) -> StoreResult<Option<Timestamp>> {
        match &self.inner.database {
            Database::Sqlite(_) => Ok(None),
            Database::Postgres(_) => {
                self.read(|tx| tx.one("SELECT clock_timestamp()", &[], |row| row.get(0))).await.map(Some)
            }
            Database::Simulated(simulated) => {
                let clock = simulated.database.clock.clone();
                self.read(move |_| Ok(clock())).await.map(Some)
            }
        }
    }

    pub fn stats(&self) -> Stats {
        let queued = match &self.inner.database {
            Database::Sqlite(sqlite) => sqlite.queue_length(),
            Database::Postgres(postgres) => postgres.queue_length(),
            Database::Simulated(_) => 0,
        };
        self.inner.counters.stats(queued)
    }

    /// Answers what waits, then closes every connection and lets go of the file. Later calls are `Unavailable`.
    pub async fn close(&self) {
        let threads = match &self.inner.database {
            Database::Sqlite(sqlite) => sqlite.close(),
            Database::Postgres(postgres) => postgres.close(),
            Database::Simulated(_) => vec![],
        };
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        if let Err(error) = tokio::task::spawn_blocking(join).await {
            tracing::warn!(%error, "close the database");
        }
    }

    async fn run<T, E>(
        &self,
        call: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        writes: bool,
        limit: Option<Duration>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (work, answer): (_, oneshot::Receiver<Result<T, E>>) = pack(call);
        let queued = Queued { work, since: Instant::now(), limit, writes };
        match &self.inner.database {
            Database::Sqlite(sqlite) => sqlite.send(queued).await?,
            Database::Postgres(postgres) => postgres.send(queued)?,
            Database::Simulated(simulated) => simulated.send(queued).await,
        }
        answer.await.map_err(|_| StoreError::Unavailable("the database thread ended".into()))?
    }
}

/// What stands in `IN (…)` for `values`, with placeholders from `$first` on, and its parameters. Padded to a power of
/// two with nulls, which equal nothing, so that few statement texts serve all lengths. Not for NOT IN.
pub fn in_list<P: Param>(values: &[P], first: usize) -> (String, Vec<&dyn Param>) {
    const NOTHING: &Option<i64> = &None;
    let padded = values.len().max(1).next_power_of_two();
    let list = (first..first + padded).map(|number| format!("${number}")).collect::<Vec<_>>().join(",");
    let values = values.iter().map(|value| value as &dyn Param);
    (list, values.chain(std::iter::repeat(NOTHING as &dyn Param)).take(padded).collect())
}

/// `(VALUES …)` rows for `WITH v (…) AS (VALUES …)`, with placeholders from `$first` on. `types` are Postgres': it cannot
/// tell them by itself. Padded to a power of two by repeating the last row, which a join does not mind; not for INSERT.
pub fn padded_rows(backend: Backend, types: &[&str], rows: usize, first: usize) -> (String, usize) {
    let padded = rows.max(1).next_power_of_two();
    (rows_of(backend, types, padded, first), padded)
}

/// Exactly so many rows.
pub fn rows_of(backend: Backend, types: &[&str], rows: usize, first: usize) -> String {
    let row = |row: usize| {
        let place = |(column, kind): (usize, &&str)| {
            let number = first + row * types.len() + column;
            match backend {
                Backend::Postgres if row == 0 => format!("CAST(${number} AS {kind})"),
                _ => format!("${number}"),
            }
        };
        format!("({})", types.iter().enumerate().map(place).collect::<Vec<_>>().join(","))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

fn gone(error: tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(format!("the thread that opens the database ended: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_in_list_is_padded_to_a_power_of_two() {
        let (list, values) = in_list(&[1i64, 2, 3], 3);
        assert_eq!((list.as_str(), values.len()), ("$3,$4,$5,$6", 4));
        let (list, values) = in_list::<i64>(&[], 1);
        assert_eq!((list.as_str(), values.len()), ("$1", 1));
    }
}
