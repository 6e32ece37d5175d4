//! One Postgres connection as a closure uses it: what is begun, what is put off, what is prepared, what went wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error, Statement};

use super::fault::{Fault, classify};
use super::pool::Pool;
use super::pulse::Pulse;
use super::round::{Last, Reply, send};
use crate::store::row::{Row, Source};
use crate::store::work::Queued;
use crate::store::{StoreError, StoreResult, Value};

const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// Statements kept prepared on a connection.
const STATEMENTS: usize = 512;
/// What a statement gets beyond its own limit before the connection counts as lost.
const GRACE: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take, the server's first words included.
const CONNECTED: Duration = Duration::from_secs(5);
/// How long connecting is tried again before the caller is told.
const CONNECT: Duration = Duration::from_secs(2);

pub(in crate::store) struct PgSession {
    pool: Arc<Pool>,
    connection: Option<Connection>,
    writes: bool,
    begun: bool,
    later: Vec<(Statement, Vec<Value<'static>>)>,
    deadline: Option<Instant>,
    fault: Option<Fault>,
    /// Last: what was spawned on it must go after the client.
    runtime: Runtime,
}

struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl PgSession {
    pub(super) fn new(pool: Arc<Pool>, runtime: Runtime) -> Self {
        let (later, deadline) = (Vec::new(), None);
        Self { pool, connection: None, writes: false, begun: false, later, deadline, fault: None, runtime }
    }

    /// Waits for a closure; the connection is served meanwhile.
    pub(super) fn next(&mut self) -> Option<Queued> {
        self.runtime.block_on(self.pool.next())
    }

    /// Makes ready for a closure: a connection, and nothing left of the closure before.
    pub(super) fn start(&mut self, writes: bool, limit: Option<Duration>) -> StoreResult<()> {
        self.writes = writes;
        self.begun = false;
        self.later.clear();
        self.fault = None;
        self.deadline = limit.map(|limit| Instant::now() + limit);
        if self.connection.is_some() {
            // Lets the connection's task see what has arrived since: a closed socket, above all.
            self.runtime.block_on(tokio::task::yield_now());
        }
        if self.pool.pulse.hangs() {
            self.connection = None;
            return Err(Pulse::refusal());
        }
        if self.connection.as_ref().is_none_or(|connection| connection.client.is_closed()) {
            self.connection = None;
            self.connect()?;
        }
        Ok(())
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// True when the connection is lost, and the transaction with it.
    pub fn has_ended(&self) -> bool {
        self.fault == Some(Fault::Connection)
    }

    pub fn exec(&mut self, sql: &str, values: Vec<Value<'_>>) -> StoreResult<u64> {
        let statement = self.prepare(sql, &values)?;
        match self.round(Last::Exec(&statement, values))? {
            Reply::Count(count) => Ok(count),
            Reply::Rows(_) => Ok(0),
        }
    }

    pub fn exec_later(&mut self, sql: &str, values: Vec<Value<'_>>) -> StoreResult<()> {
        let statement = self.prepare(sql, &values)?;
        self.later.push((statement, values.into_iter().map(Value::into_owned).collect()));
        Ok(())
    }

    pub fn rows<T>(
        &mut self,
        sql: &str,
        values: Vec<Value<'_>>,
        mut read: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let statement = self.prepare(sql, &values)?;
        match self.round(Last::Rows(&statement, values))? {
            Reply::Rows(rows) => rows.iter().map(|row| read(&Row(Source::Postgres(row)))).collect(),
            Reply::Count(_) => Ok(Vec::new()),
        }
    }

    pub fn script(&mut self, sql: &str) -> StoreResult<()> {
        self.round(Last::Script(sql)).map(drop)
    }

    /// Sends what was put off.
    pub fn flush(&mut self) -> StoreResult<()> {
        if self.later.is_empty() { Ok(()) } else { self.round(Last::Nothing).map(drop) }
    }

    pub fn forget_later(&mut self) {
        self.later.clear();
    }

    fn failpoint(&self, name: &str) {
        if let Some(failpoints) = &self.pool.failpoints {
            failpoints.reached(name);
        }
    }

    /// Sends what was put off, and COMMIT with it.
    pub(super) fn commit(&mut self) -> StoreResult<()> {
        if !self.begun && self.later.is_empty() {
            return Ok(());
        }
        if self.connection.as_ref().is_none_or(|connection| connection.client.is_closed()) {
            self.fault = Some(Fault::Connection);
            return Err(StoreError::Unavailable("the connection was lost before COMMIT".into()));
        }
        self.failpoint("commit.before");
        let start = Instant::now();
        match self.round(Last::Script("COMMIT")) {
            Ok(_) => {
                self.failpoint("commit.after");
                self.begun = false;
                self.pool.counters.commit(start.elapsed());
                Ok(())
            }
            Err(error) if self.fault == Some(Fault::Connection) => {
                // Never run again: it may well be committed.
                self.fault = None;
                Err(StoreError::UnknownOutcome(words(error)))
            }
            // The time was used up before anything was sent, or the database refused: `begun` stays for the ROLLBACK, without
            // which the next closure would go on in this transaction.
            Err(error) => Err(error),
        }
    }

    /// Gives the connection up.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Ends the transaction, if one is open. An error costs the connection and nothing else.
    pub(super) fn rollback(&mut self) {
        self.later.clear();
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let Some(connection) = &self.connection else { return };
        let rollback = self.pool.answer(Some(GRACE), connection.client.batch_execute("ROLLBACK"));
        if !matches!(self.runtime.block_on(rollback), Some(Ok(()))) {
            self.connection = None;
        }
    }

    fn connect(&mut self) -> StoreResult<()> {
        let pool = self.pool.clone();
        let client = self.runtime.block_on(async {
            let give_up = Instant::now() + CONNECT;
            let mut pause = Duration::from_millis(50);
            loop {
                let Some(connected) = pool.answer(Some(CONNECTED), pool.target.connect()).await else {
                    return Err(Pulse::refusal());
                };
                let unavailable = |error| StoreError::Unavailable(words(classify(&error).0));
                match connected {
                    Ok(client) => return Ok(client),
                    Err(error) if Instant::now() + pause > give_up => return Err(unavailable(error)),
                    Err(error)
                        if error.as_db_error().is_some_and(|answer| is_final(answer.code().code())) =>
                    {
                        return Err(unavailable(error));
                    }
                    Err(_) => tokio::time::sleep(pause).await,
                }
                pause *= 2;
            }
        });
        self.connection = Some(Connection { client: client?, statements: HashMap::new() });
        Ok(())
    }

    fn prepare(&mut self, sql: &str, values: &[Value<'_>]) -> StoreResult<Statement> {
        let connection = self.connection.as_ref().ok_or_else(no_connection)?;
        let statement = match connection.statements.get(sql) {
            Some(statement) => statement.clone(),
            None => self.prepare_new(sql)?,
        };
        let count = statement.params().len();
        if count != values.len() {
            let detail = format!("{count} different placeholders, {} parameters", values.len());
            return Err(StoreError::Refused(detail));
        }
        Ok(statement)
    }

    fn prepare_new(&mut self, sql: &str) -> StoreResult<Statement> {
        // What was put off may make the table that this statement names.
        self.flush()?;
        let guard = self.guard()?;
        let connection = self.connection.as_ref().ok_or_else(no_connection)?;
        let result = self.runtime.block_on(self.pool.answer(guard, connection.client.prepare(sql)));
        let statement = self.judge(result)?;
        if let Some(connection) = &mut self.connection {
            if connection.statements.len() >= STATEMENTS {
                connection.statements.clear();
            }
            connection.statements.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }

    /// Sends BEGIN where it is still due, what was put off, and `last`, in one go.
    fn round(&mut self, last: Last<'_>) -> StoreResult<Reply> {
        let guard = self.guard()?;
        let begin = match (self.begun, self.writes) {
            (true, _) => None,
            (false, true) => Some(BEGIN_WRITE),
            (false, false) => Some(self.pool.target.begin_read.as_str()),
        };
        let later = std::mem::take(&mut self.later);
        let client = &self.connection.as_ref().ok_or_else(no_connection)?.client;
        let result = self.runtime.block_on(self.pool.answer(guard, send(client, begin, &later, last)));
        self.begun = true;
        self.judge(result)
    }

    /// How long a round may take; an error when the closure's time is used up.
    fn guard(&self) -> StoreResult<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) => Ok(Some(left + GRACE)),
            None => Err(StoreError::Timeout("the closure's time is used up".into())),
        }
    }

    fn judge<T>(&mut self, result: Option<Result<T, Error>>) -> StoreResult<T> {
        let (error, fault) = match result {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => classify(&error),
            None => (Pulse::refusal(), Some(Fault::Connection)),
        };
        match fault {
            Some(Fault::Connection) => self.connection = None,
            Some(Fault::StalePlan) => {
                if let Some(connection) = &mut self.connection {
                    connection.statements.clear();
                }
            }
            _ => {}
        }
        self.fault = fault.or(self.fault);
        Err(error)
    }
}

/// Answers to a connection attempt that another attempt will not change: wrong password, no such database.
fn is_final(code: &str) -> bool {
    code.starts_with("28") || code.starts_with("3D")
}

/// What the database or the network said, without this layer's own words before it.
fn words(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(text) => text,
        other => other.to_string(),
    }
}

fn no_connection() -> StoreError {
    StoreError::Unavailable("the connection is lost".into())
}
