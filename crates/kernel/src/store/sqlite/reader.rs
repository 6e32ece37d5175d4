//! The reader threads. Each read is one transaction, bounded in time: a reader that stays open keeps the WAL from
//! being folded back (three seconds grew it to 359 MB under load).

use std::time::Duration;

use super::session::SqliteSession;
use crate::store::tx::{Session, Tx};
use crate::store::work::Queued;
use crate::store::{Counters, StoreError, error::from_sqlite};

pub(super) fn run(
    session: SqliteSession,
    queue: &crossbeam_channel::Receiver<Queued>,
    patience: Duration,
    counters: &Counters,
) {
    let mut session = Session::Sqlite(session);
    while let Ok(queued) = queue.recv() {
        if queued.is_late(patience) {
            queued.answer_late();
            continue;
        }
        let mut work = queued.work;
        counters.closure();
        let outcome = control(&session, "BEGIN").and_then(|()| {
            limit(&session, queued.limit);
            let mut tx = Tx::new(&mut session);
            let passed_over = work.run(&mut tx) && tx.is_failed();
            limit(&session, None);
            if passed_over { Err(StoreError::Poisoned) } else { Ok(()) }
        });
        // Nothing was written: ending the transaction cannot fail the read.
        let _ = control(&session, "ROLLBACK");
        work.answer(outcome);
    }
}

fn control(session: &Session, sql: &str) -> Result<(), StoreError> {
    match session {
        Session::Sqlite(session) => session.control(sql).map_err(|error| from_sqlite(&error)),
        Session::Postgres(_) => Ok(()),
    }
}

fn limit(session: &Session, limit: Option<Duration>) {
    if let Session::Sqlite(session) = session {
        session.limit(limit);
    }
}
