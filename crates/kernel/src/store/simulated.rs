//! A database in memory for a simulator: closures run one at a time where they are called, and faults come where they are asked
//! for. With a runtime whose clock is paused a whole installation of several processes is then a function of its seed.
//!
//! It is SQLite underneath, so the same SQL runs; what Postgres does with rows that several hold at once it does not show.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use qd_core::time::Timestamp;
use rusqlite::Connection;

use super::{
    StoreError, StoreResult,
    sqlite::{Rewrite, SqliteSession},
    tx::{Session, Tx},
    work::Queued,
};

/// What befalls a closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It never arrives.
    Lost,
    /// It is committed, and the answer is lost.
    Unanswered,
}

/// Asked before each closure; may sleep, as a slow connection does.
pub trait Faults: Send + Sync + 'static {
    fn next(&self, writes: bool) -> BoxFuture<'static, Fault>;
}

/// What a simulated database's own clock shows.
pub type DatabaseClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The database that several simulated processes share.
#[derive(Clone)]
pub struct SimulatedDatabase {
    session: Arc<Mutex<Session>>,
    pub(super) clock: DatabaseClock,
}

impl SimulatedDatabase {
    /// An empty one; `planted` is a bug that the simulation is to find.
    pub fn open(clock: DatabaseClock, planted: Option<Rewrite>) -> StoreResult<Self> {
        let connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(256);
        connection.execute_batch("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF")?;
        let mut session = SqliteSession::new(connection)?;
        session.rewrite = planted;
        Ok(Self { session: Arc::new(Mutex::new(Session::Sqlite(session))), clock })
    }
}

/// One process's way to it.
pub(super) struct Simulated {
    pub database: SimulatedDatabase,
    pub faults: Arc<dyn Faults>,
}

impl Simulated {
    pub async fn send(&self, queued: Queued) {
        let fault = self.faults.next(queued.writes).await;
        let lost = || StoreError::Unavailable("the connection was lost".into());
        match fault {
            Fault::None => self.run(queued, None),
            Fault::Lost => queued.work.answer(Err(lost())),
            Fault::Unanswered => self.run(queued, Some(lost())),
        }
    }

    fn run(&self, mut queued: Queued, unanswered: Option<StoreError>) {
        let mut session = self.database.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = transaction(&mut session, &mut queued);
        drop(session);
        queued.work.answer(match unanswered {
            Some(error) => Err(error),
            None => outcome,
        });
    }
}

fn transaction(session: &mut Session, queued: &mut Queued) -> StoreResult<()> {
    control(session, "BEGIN IMMEDIATE")?;
    let mut tx = Tx::new(session);
    let keep = queued.work.run(&mut tx);
    let poisoned = tx.is_failed();
    control(session, if keep && !poisoned { "COMMIT" } else { "ROLLBACK" })?;
    if keep && poisoned { Err(StoreError::Poisoned) } else { Ok(()) }
}

fn control(session: &Session, sql: &str) -> StoreResult<()> {
    match session {
        Session::Sqlite(session) => Ok(session.control(sql)?),
        Session::Postgres(_) => Ok(()),
    }
}
