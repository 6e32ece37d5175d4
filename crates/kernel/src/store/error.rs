//! What can go wrong in the store, told apart by what the caller can do about it.
//!
//! Both databases are mapped to the same kinds, so that kernel code never looks at a driver's error. A constraint is
//! named `table(column,column)` on both where the database says enough for it.

use std::error::Error as StdError;

pub type StoreResult<T> = Result<T, StoreError>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row with this key exists; `constraint` reads `table(column,column)`.
    #[error("a row with the same {constraint} exists")]
    Unique { constraint: String },
    /// A CHECK or NOT NULL constraint refused the row.
    #[error("a value breaks the constraint {constraint}")]
    Check { constraint: String },
    #[error("a row refers to one that does not exist, or is still referred to ({constraint})")]
    ForeignKey { constraint: String },
    /// A deadlock or serialization failure that several re-runs did not get past.
    #[error("the transaction lost against others: {0}")]
    Retry(String),
    /// [`Tx::one`](super::Tx::one) found no row. The only error that leaves the transaction usable.
    #[error("no such row")]
    NotFound,
    #[error("column {column} does not decode: {detail}")]
    Decode { column: usize, detail: String },
    /// The disk, the quota or the memory for the database is used up.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// A write inside `read`, or a database that only reads.
    #[error("the database refuses writes here: {0}")]
    ReadOnly(String),
    /// The closure or its statement took longer than it may.
    #[error("the database took too long: {0}")]
    Timeout(String),
    /// The connection is gone, the pool is exhausted or the store is closed. Nothing was written.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The connection went away while COMMIT was under way: look before running it again.
    #[error("whether the transaction was committed is unknown: {0}")]
    UnknownOutcome(String),
    /// An earlier error in this transaction was passed over; nothing of it is kept.
    #[error("an earlier statement of this transaction failed")]
    Poisoned,
    #[error("the transaction's closure panicked: {0}")]
    Panic(String),
    /// A text holds a NUL, which Postgres cannot keep; it came from whoever asked.
    #[error("text holds a NUL character")]
    Nul,
    /// The caller's statement or value is not allowed on either database: NaN, a wrong placeholder, transaction control
    /// inside a closure.
    #[error("the statement is refused: {0}")]
    Refused(String),
    /// The schema and the migrations that this binary knows do not fit together.
    #[error("the schema cannot be migrated: {0}")]
    Migration(String),
    /// A domain error that ends the transaction, for closures without an error type of their own.
    #[error(transparent)]
    Abort(Box<dyn StdError + Send + Sync>),
    #[error("the database failed: {0}")]
    Other(String),
}

impl StoreError {
    /// Ends the transaction with an error of the caller's own.
    pub fn abort(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Abort(error.into())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        from_sqlite(&error)
    }
}

/// By reference, because one failed COMMIT answers many closures.
pub(super) fn from_sqlite(error: &rusqlite::Error) -> StoreError {
    use rusqlite::ffi;
    let text = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    let Some(code) = error.sqlite_error().map(|error| error.extended_code) else {
        return StoreError::Other(text);
    };
    match (code, code & 0xff) {
        (
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID,
            _,
        ) => StoreError::Unique { constraint: sqlite_columns(&text) },
        (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, _) => StoreError::ForeignKey { constraint: "unnamed".into() },
        (ffi::SQLITE_CONSTRAINT_NOTNULL, _) => {
            StoreError::Check { constraint: format!("{} not null", sqlite_columns(&text)) }
        }
        (_, ffi::SQLITE_CONSTRAINT) => StoreError::Check {
            constraint: text.split_once(": ").map_or(text.clone(), |(_, name)| name.into()),
        },
        (_, ffi::SQLITE_FULL | ffi::SQLITE_NOMEM) => StoreError::Full(text),
        (_, ffi::SQLITE_READONLY) => StoreError::ReadOnly(text),
        (_, ffi::SQLITE_INTERRUPT) => StoreError::Timeout(text),
        (_, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => StoreError::Retry(text),
        (_, ffi::SQLITE_CANTOPEN | ffi::SQLITE_IOERR) => StoreError::Unavailable(text),
        _ => StoreError::Other(text),
    }
}

/// `UNIQUE constraint failed: run.tenant_id, run.name` → `run(tenant_id,name)`.
fn sqlite_columns(message: &str) -> String {
    let list = message.split_once(": ").map_or(message, |(_, list)| list);
    let columns: Vec<_> = list.split(", ").filter_map(|column| column.split_once('.')).collect();
    match columns.first() {
        Some((table, _)) => {
            format!("{table}({})", columns.iter().map(|(_, column)| *column).collect::<Vec<_>>().join(","))
        }
        None => list.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_named_by_its_columns() {
        assert_eq!(
            sqlite_columns("UNIQUE constraint failed: run.tenant_id, run.name"),
            "run(tenant_id,name)"
        );
        assert_eq!(sqlite_columns("UNIQUE constraint failed: index 'lower_name'"), "index 'lower_name'");
    }
}
