//! One SQLite connection as a closure uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};

use crate::store::row::{Row, Source};
use crate::store::{StoreError, StoreResult, Value};

/// Virtual machine steps between two looks at the clock: about a millisecond.
const STEPS: i32 = 20_000;

pub(in crate::store) struct SqliteSession {
    pub connection: Connection,
    deadline: Arc<Deadline>,
    /// Puts another statement in place of one, where a simulation plants a bug.
    pub rewrite: Option<Rewrite>,
}

/// Answers the statement to run instead.
pub type Rewrite = fn(&str) -> Option<String>;

impl SqliteSession {
    pub fn new(mut connection: Connection) -> StoreResult<Self> {
        let deadline = Arc::new(Deadline { start: Instant::now(), nanos: AtomicU64::new(u64::MAX) });
        let watch = deadline.clone();
        connection.progress_handler(STEPS, Some(move || watch.is_over()))?;
        Ok(Self { connection, deadline, rewrite: None })
    }

    /// From now on statements fail with `Timeout` after `limit`.
    pub fn limit(&self, limit: Option<Duration>) {
        let nanos = limit.map_or(u64::MAX, |limit| {
            u64::try_from((self.deadline.start.elapsed() + limit).as_nanos()).unwrap_or(u64::MAX)
        });
        self.deadline.nanos.store(nanos, Ordering::Relaxed);
    }

    /// True when no transaction is open: inside a closure that means that SQLite has rolled all of it back.
    pub fn has_ended(&self) -> bool {
        self.connection.is_autocommit()
    }

    pub fn exec(&mut self, sql: &str, values: &[Value<'_>]) -> StoreResult<u64> {
        let mut statement = self.prepare(sql, values)?;
        Ok(statement.raw_execute()? as u64)
    }

    pub fn rows<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let mut statement = self.prepare(sql, values)?;
        let mut rows = statement.raw_query();
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(&Row(Source::Sqlite(row)))?);
        }
        Ok(all)
    }

    pub fn script(&mut self, sql: &str) -> StoreResult<()> {
        Ok(self.connection.execute_batch(sql)?)
    }

    /// A statement of the store's own, kept prepared.
    pub fn control(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(drop)
    }

    fn prepare(&self, sql: &str, values: &[Value<'_>]) -> StoreResult<rusqlite::CachedStatement<'_>> {
        if self.deadline.is_over() {
            return Err(StoreError::Timeout("the closure's time is used up".into()));
        }
        let planted = self.rewrite.and_then(|rewrite| rewrite(sql));
        let mut statement = self.connection.prepare_cached(planted.as_deref().unwrap_or(sql))?;
        bind(&mut statement, values)?;
        Ok(statement)
    }
}

/// SQLite takes `$2` as a name and numbers names by first appearance: they are bound by name, never by place.
fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> StoreResult<()> {
    let count = statement.parameter_count();
    if count != values.len() {
        return Err(StoreError::Refused(format!(
            "{count} different placeholders, {} parameters",
            values.len()
        )));
    }
    for index in 1..=count {
        let number =
            statement.parameter_name(index).and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let value = number.and_then(|number| values.get(number.checked_sub(1)?));
        let value =
            value.ok_or_else(|| StoreError::Refused(format!("placeholders must be $1 to ${count}")))?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Bool(value) => ValueRef::Integer((*value).into()),
            Value::Int(value) | Value::Time(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(text) | Value::Json(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
        }))
    }
}

struct Deadline {
    start: Instant,
    nanos: AtomicU64,
}

impl Deadline {
    fn is_over(&self) -> bool {
        let nanos = self.nanos.load(Ordering::Relaxed);
        nanos != u64::MAX && self.start.elapsed().as_nanos() >= u128::from(nanos)
    }
}
