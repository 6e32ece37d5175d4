//! What a closure sees of its transaction: the same SQL text, with `$1…$n`, on both databases.
//!
//! After an error (other than `NotFound`) nothing more runs in the transaction, on either database: what may fail
//! goes into [`Tx::attempt`]. Transaction control is the store's own, so BEGIN, COMMIT and the like are refused.
//! A closure may be run more than once: it does nothing but database work.

use super::postgres::PgSession;
use super::row::Row;
use super::sqlite::SqliteSession;
use super::value::values;
use super::{Backend, Param, StoreError, StoreResult};

/// An open transaction. Lives on a database thread; a closure borrows it.
pub struct Tx<'a> {
    session: &'a mut Session,
    state: State,
}

pub(super) enum Session {
    Sqlite(SqliteSession),
    Postgres(Box<PgSession>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Usable,
    /// A statement failed; a savepoint around it makes the transaction usable again.
    Failed,
    /// The database has rolled all of it back by itself; nothing may run, or it would commit alone.
    Ended,
}

impl<'a> Tx<'a> {
    pub(super) fn new(session: &'a mut Session) -> Self {
        Self { session, state: State::Usable }
    }

    /// True when an error was passed over, so that nothing may be committed.
    pub(super) fn is_failed(&self) -> bool {
        self.state != State::Usable
    }

    pub fn backend(&self) -> Backend {
        match self.session {
            Session::Sqlite(_) => Backend::Sqlite,
            Session::Postgres(_) => Backend::Postgres,
        }
    }

    /// Runs a statement; the number of rows that it changed.
    pub fn exec(&mut self, sql: &str, params: &[&dyn Param]) -> StoreResult<u64> {
        self.statement(sql)?;
        let result = values(params).and_then(|values| match self.session {
            Session::Sqlite(session) => session.exec(sql, &values),
            Session::Postgres(session) => session.exec(sql, values),
        });
        self.note(result)
    }

    /// Runs a statement whose outcome nothing in the closure depends on. Postgres gets it together with the next
    /// statement or with COMMIT, without a round trip of its own; SQLite at once. Its error ends the transaction.
    pub fn exec_later(&mut self, sql: &str, params: &[&dyn Param]) -> StoreResult<()> {
        self.statement(sql)?;
        let result = values(params).and_then(|values| match self.session {
            Session::Sqlite(session) => session.exec(sql, &values).map(drop),
            Session::Postgres(session) => session.exec_later(sql, values),
        });
        self.note(result)
    }

    /// Every row of a query, each through `read`.
    pub fn rows<T>(
        &mut self,
        sql: &str,
        params: &[&dyn Param],
        read: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        self.statement(sql)?;
        let result = values(params).and_then(|values| match self.session {
            Session::Sqlite(session) => session.rows(sql, &values, read),
            Session::Postgres(session) => session.rows(sql, values, read),
        });
        self.note(result)
    }

    /// The first row, if any.
    pub fn opt<T>(
        &mut self,
        sql: &str,
        params: &[&dyn Param],
        read: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        Ok(self.rows(sql, params, read)?.into_iter().next())
    }

    /// The first row.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without one; the transaction stays usable.
    pub fn one<T>(
        &mut self,
        sql: &str,
        params: &[&dyn Param],
        read: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.opt(sql, params, read)?.ok_or(StoreError::NotFound)
    }

    /// A part that may fail without failing the whole: on an error all that it did is undone, and the transaction
    /// goes on (unless the database has ended it, as SQLite does when the disk is full).
    pub fn attempt<T, E: From<StoreError>>(
        &mut self,
        call: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.usable()?;
        self.control("SAVEPOINT part")?;
        let mut result = call(self);
        if result.is_ok() {
            // What was put off inside belongs to this part: its errors are this part's errors.
            if self.is_failed() {
                result = Err(StoreError::Poisoned.into());
            } else if let Err(error) = self.flush() {
                result = Err(error.into());
            }
        }
        if self.state == State::Ended {
            return result.and(Err(StoreError::Poisoned.into()));
        }
        if result.is_err() {
            self.state = State::Usable;
            if let Session::Postgres(session) = self.session {
                session.forget_later();
            }
            self.control("ROLLBACK TO SAVEPOINT part")?;
        }
        self.control("RELEASE SAVEPOINT part")?;
        result
    }

    /// Several statements without parameters; for migrations.
    pub(super) fn script(&mut self, sql: &str) -> StoreResult<()> {
        self.usable()?;
        self.control(sql)
    }

    fn control(&mut self, sql: &str) -> StoreResult<()> {
        let result = match self.session {
            Session::Sqlite(session) => session.script(sql),
            Session::Postgres(session) => session.script(sql),
        };
        self.note(result)
    }

    fn flush(&mut self) -> StoreResult<()> {
        let result = match self.session {
            Session::Sqlite(_) => Ok(()),
            Session::Postgres(session) => session.flush(),
        };
        self.note(result)
    }

    fn usable(&self) -> StoreResult<()> {
        if self.is_failed() { Err(StoreError::Poisoned) } else { Ok(()) }
    }

    fn statement(&mut self, sql: &str) -> StoreResult<()> {
        self.usable()?;
        match forbidden(sql) {
            None => Ok(()),
            Some(word) => self.note(Err(StoreError::Refused(format!("{word} is not for closures")))),
        }
    }

    fn note<T>(&mut self, result: StoreResult<T>) -> StoreResult<T> {
        if result.is_err() {
            let ended = match self.session {
                Session::Sqlite(session) => session.has_ended(),
                Session::Postgres(session) => session.has_ended(),
            };
            self.state = if ended { State::Ended } else { State::Failed };
        }
        result
    }
}

/// The statement's first word where it would end, nest or change the transaction or the connection.
fn forbidden(sql: &str) -> Option<&'static str> {
    const WORDS: [&str; 17] = [
        "BEGIN",
        "START",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT",
        "RELEASE",
        "PREPARE",
        "SET",
        "RESET",
        "DISCARD",
        "PRAGMA",
        "ATTACH",
        "DETACH",
        "VACUUM",
        "COPY",
    ];
    let first = first_word(sql);
    WORDS.into_iter().find(|word| first.eq_ignore_ascii_case(word))
}

fn first_word(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '(');
        if let Some(rest) = sql.strip_prefix("--") {
            sql = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = sql.strip_prefix("/*") {
            sql = rest.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            return sql.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_seen_behind_comments() {
        assert_eq!(forbidden("/* x */ -- y\n commit"), Some("COMMIT"));
        assert_eq!(forbidden(" ;savepoint a"), Some("SAVEPOINT"));
        assert_eq!(forbidden("SELECT 'BEGIN'"), None);
        assert_eq!(forbidden("INSERT INTO begin_end VALUES (1)"), None);
    }
}
