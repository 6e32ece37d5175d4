//! One pool thread: takes closures, runs each in a transaction, runs it again where that is safe and may help.
//!
//! Before COMMIT is sent nothing can have been committed, so a closure is run again when its connection died (once),
//! when it deadlocked (a few times) or when its prepared statements went stale (once). Once COMMIT is on its way, a
//! lost connection is `UnknownOutcome`, never another run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::fault::Fault;
use super::pool::Pool;
use super::session::PgSession;
use crate::store::StoreError;
use crate::store::tx::{Session, Tx};
use crate::store::work::Queued;

/// Runs of a closure that keeps deadlocking.
const TRIES: u32 = 6;

pub(super) struct Worker {
    pool: Arc<Pool>,
    session: Session,
}

impl Worker {
    pub fn new(pool: Arc<Pool>, runtime: Runtime) -> Self {
        let session = Session::Postgres(Box::new(PgSession::new(pool.clone(), runtime)));
        Self { pool, session }
    }

    pub fn run(mut self) {
        while let Some(queued) = self.pg().and_then(PgSession::next) {
            if queued.is_late(self.pool.patience) {
                queued.answer_late();
                continue;
            }
            // A defect here costs one connection and one answer, not the thread's place in the pool.
            if catch_unwind(AssertUnwindSafe(|| self.serve(queued))).is_err()
                && let Some(session) = self.pg()
            {
                session.disconnect();
            }
        }
    }

    fn serve(&mut self, mut queued: Queued) {
        let (mut lost, mut stale) = (false, false);
        for run in 1.. {
            let (outcome, fault) = self.run_once(&mut queued);
            let again = match fault {
                Some(Fault::Connection) => !std::mem::replace(&mut lost, true),
                Some(Fault::StalePlan) => !std::mem::replace(&mut stale, true),
                Some(Fault::Conflict) => run < TRIES,
                None => false,
            };
            if !again {
                // A read's caller does not wait for the end of its transaction.
                queued.work.answer(outcome);
                break;
            }
            self.pool.counters.reruns(1);
            if fault == Some(Fault::Conflict) {
                // Those that collided must not collide again in step: each thread waits its own while.
                let spread = u64::from(run) * (2 + thread_number() % 7);
                std::thread::sleep(Duration::from_millis(spread));
            }
            self.end();
        }
        self.end();
    }

    /// The transaction's outcome, and why it failed where another run may help.
    fn run_once(&mut self, queued: &mut Queued) -> (Result<(), StoreError>, Option<Fault>) {
        self.pool.counters.closure();
        if let Some(session) = self.pg()
            && let Err(error) = session.start(queued.writes, queued.limit)
        {
            return (Err(error), None);
        }
        let mut tx = Tx::new(&mut self.session);
        let outcome = match (queued.work.run(&mut tx), tx.is_failed()) {
            (true, false) => None,
            (true, true) => Some(Err(StoreError::Poisoned)),
            (false, _) => Some(Ok(())),
        };
        let writes = queued.writes;
        let Some(session) = self.pg() else { return (outcome.unwrap_or(Ok(())), None) };
        match outcome {
            Some(outcome) => {
                let fault = session.fault();
                if writes {
                    session.rollback();
                }
                (outcome, fault)
            }
            None if writes => match session.commit() {
                Ok(()) => (Ok(()), None),
                Err(error) => (Err(error), session.fault()),
            },
            // What a read put off is still to be run, and may fail.
            None => match session.flush() {
                Ok(()) => (Ok(()), None),
                Err(error) => (Err(error), session.fault()),
            },
        }
    }

    fn end(&mut self) {
        if let Some(session) = self.pg() {
            session.rollback();
        }
    }

    fn pg(&mut self) -> Option<&mut PgSession> {
        match &mut self.session {
            Session::Postgres(session) => Some(session),
            Session::Sqlite(_) => None,
        }
    }
}

/// A small number that differs between threads.
fn thread_number() -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    std::thread::current().id().hash(&mut hasher);
    hasher.finish()
}
