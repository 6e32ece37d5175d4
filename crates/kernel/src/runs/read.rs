//! Reading runs.

use qd_core::{
    error::{Error, Result},
    id::{JobId, ResourceId, RunId, RunRef},
    state::RunState,
    time::Timestamp,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Raw, Run, RunAttempt, RunResource};
use crate::{
    access::sight::Sight,
    context::Scope,
    engine::RunTicket,
    jobs::JobResource,
    kernel::Kernel,
    page::{Page, PageRequest},
    params,
    query::Query,
    store::{self, Backend, Column, Row, StoreResult, Tx},
};

/// Which runs to list; empty means all of the scope.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    pub resource_id: Option<ResourceId>,
    pub state: Option<RunState>,
    pub kind: Option<String>,
    /// Of which resources.
    pub sight: Sight,
}

/// What a log's reader wants to know of its run.
#[derive(Debug, Clone, Copy)]
pub struct RunLogInfo {
    pub id: RunId,
    pub ended: bool,
}

const COLUMNS: &str = "u.id, u.number, u.kind, u.resource_id, r.name, u.revision, u.state, u.code, u.message, u.params, u.engine,
  u.engine_detail, u.attempt, u.progress, u.failure, u.serving, u.results, u.job_id, u.created_at, u.created_by, u.started_at,
  u.ended_at, u.stop_requested_at";

impl Kernel {
    /// Newest first.
    pub async fn run_list(&self, scope: Scope, filter: RunFilter, page: PageRequest) -> Result<Page<Run>> {
        // Within one resource the number is the order and has the index; ids of two processes sort differently.
        let (list, order) = match filter.resource_id {
            Some(id) => (format!("runs/{id}"), " ORDER BY u.number DESC"),
            None => ("runs".to_owned(), " ORDER BY u.id DESC"),
        };
        let (before_number, before_id) = match filter.resource_id {
            Some(_) => (page.after_number(&list)?, None),
            None => (None, page.after_uuid(&list)?),
        };
        let (numbered, fetch) = (filter.resource_id.is_some(), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Run>> {
                let mut query = Query::new(&format!(
                    "SELECT {COLUMNS} FROM run u JOIN resource r ON r.id = u.resource_id WHERE"
                ));
                query.push(" u.project_id = ?", scope.project_id);
                if let Some(id) = filter.resource_id {
                    query.push(" AND u.resource_id = ?", id);
                }
                if let Some(state) = filter.state {
                    query.push(" AND u.state = ?", state.as_str().to_owned());
                }
                if let Some(kind) = &filter.kind {
                    query.push(" AND u.kind = ?", kind.clone());
                }
                filter.sight.narrow(&mut query, tx.backend(), "u.resource_id");
                if let Some(before) = before_number {
                    query.push(" AND u.number < ?", before);
                }
                if let Some(before) = before_id {
                    query.push(" AND u.id < ?", before);
                }
                query.text(order).limit(fetch);
                Ok(query.rows(tx, row)?)
            })
            .await?;
        Ok(page.cut(&list, items, |run| if numbered { run.number.to_string() } else { run.id.to_string() }))
    }

    /// `id` takes a run's id or a reference such as `curate#42`.
    pub async fn run_get(&self, scope: Scope, id: &str) -> Result<Run> {
        let wanted = Wanted::parse(id)?;
        self.store
            .read(move |tx| -> Result<Option<Run>> {
                let mut query = Query::new(&format!("SELECT {COLUMNS} FROM run u JOIN resource r ON r.id = u.resource_id WHERE"));
                query.push(" u.project_id = ?", scope.project_id);
                wanted.add(&mut query);
                let Some(mut run) = query.rows(tx, row)?.into_iter().next() else { return Ok(None) };
                run.attempts = tx.rows(
                    "SELECT attempt, state, external_id, started_at, ended_at, exit_code, code, message FROM run_attempt
                     WHERE run_id = $1 ORDER BY attempt",
                    params![run.id],
                    attempt_row,
                )?;
                let durations = tx.rows(
                    "SELECT started_at, ended_at FROM run
                     WHERE resource_id = $1 AND number < $2 AND number >= $2 - 100 AND state = 'succeeded'
                     ORDER BY number DESC LIMIT 10",
                    params![run.resource.id, run.number],
                    |row| Ok((row.get::<Option<Timestamp>>(0)?, row.get::<Option<Timestamp>>(1)?)),
                )?;
                run.usual_duration_s = mean(durations);
                Ok(Some(run))
            })
            .await?
            .ok_or_else(|| not_found(id))
    }

    /// Finds the run whose log is to be read, without reading the rest of it.
    pub async fn run_log_info(&self, scope: Scope, id: &str) -> Result<RunLogInfo> {
        let wanted = Wanted::parse(id)?;
        self.store
            .read(move |tx| -> Result<Option<RunLogInfo>> {
                let mut query = Query::new(
                    "SELECT u.id, u.ended_at FROM run u JOIN resource r ON r.id = u.resource_id WHERE",
                );
                query.push(" u.project_id = ?", scope.project_id);
                wanted.add(&mut query);
                let found = query.rows(tx, |row| {
                    Ok(RunLogInfo { id: row.get(0)?, ended: row.get::<Option<Timestamp>>(1)?.is_some() })
                })?;
                Ok(found.into_iter().next())
            })
            .await?
            .ok_or_else(|| not_found(id))
    }

    /// The points of a run's charts: for each stage of an attempt, at most 500.
    pub async fn run_charts(&self, scope: Scope, id: &str, attempt: Option<i64>) -> Result<Value> {
        let run = self.run_get(scope, id).await?;
        let attempt = attempt.unwrap_or(run.attempt);
        let stages = self
            .store
            .read(move |tx| -> Result<Vec<(String, Value)>> {
                Ok(tx.rows(
                    "SELECT stage, points FROM run_chart WHERE run_id = $1 AND attempt = $2 ORDER BY stage",
                    params![run.id, attempt],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?)
            })
            .await?;
        let stages: Vec<Value> =
            stages.into_iter().map(|(id, points)| json!({ "id": id, "points": points })).collect();
        Ok(json!({ "attempt": attempt, "stages": stages }))
    }

    /// What an engine needs to know of a run's newest attempt.
    pub(crate) async fn run_ticket(&self, scope: Scope, id: RunId) -> Result<(RunTicket, StoredRun)> {
        self.store.read(move |tx| ticket(tx, scope, id)).await
    }
}

pub(crate) fn ticket(tx: &mut Tx<'_>, scope: Scope, id: RunId) -> Result<(RunTicket, StoredRun)> {
    let sql = format!(
        "SELECT {STORED}, v.spec FROM {FROM} JOIN revision v ON v.resource_id = u.resource_id AND v.number = u.revision
         WHERE u.project_id = $1 AND u.id = $2"
    );
    let found =
        tx.opt(&sql, params![scope.project_id, id], |row| Ok((stored_row(row)?, row.get::<Value>(14)?)))?;
    let (run, spec) = found.ok_or_else(|| not_found(&id.to_string()))?;
    let ticket = RunTicket {
        run_id: run.id,
        scope,
        resource_id: run.resource_id,
        run_ref: format!("{}#{}", run.resource_name, run.number),
        kind: run.kind.clone(),
        attempt: u32::try_from(run.attempt).unwrap_or(1),
        spec,
        params: run.params.clone(),
        correlation_id: String::new(),
        external_id: run.external_id.clone(),
        engine_detail: run.engine_detail.clone(),
        tried_before: false,
    };
    Ok((ticket, run))
}

/// A run as the kernel works on it.
#[derive(Debug, Clone)]
pub(crate) struct StoredRun {
    pub id: RunId,
    pub resource_id: ResourceId,
    pub resource_name: String,
    pub kind: String,
    pub number: i64,
    pub revision: i64,
    pub state: RunState,
    pub engine: String,
    pub attempt: i64,
    pub params: Value,
    pub external_id: Option<String>,
    pub cursor: i64,
    pub job_id: JobId,
    pub engine_detail: Option<Value>,
}

impl StoredRun {
    pub fn into_resource(self) -> JobResource {
        JobResource { kind: self.kind, id: self.resource_id, name: self.resource_name }
    }
}

/// Locks a run's row for the rest of the transaction.
pub(crate) fn run_lock(tx: &mut Tx<'_>, scope: Scope, id: RunId) -> Result<StoredRun> {
    if tx.backend() == Backend::Postgres {
        // Alone: a statement that waits for the lock reads the rows that it joins as they were before the wait.
        let sql = "SELECT id FROM run WHERE project_id = $1 AND id = $2 FOR UPDATE";
        tx.exec_later(sql, params![scope.project_id, id])?;
    }
    stored(tx, scope, id)
}

/// The same without the lock, for whoever changes nothing.
pub(crate) fn run_peek(tx: &mut Tx<'_>, scope: Scope, id: RunId) -> Result<StoredRun> {
    stored(tx, scope, id)
}

const STORED: &str = "u.id, u.resource_id, u.kind, u.number, u.revision, u.state, u.engine, u.attempt, u.params, a.external_id, a.cursor,
  u.job_id, r.name, u.engine_detail";
const FROM: &str = "run u JOIN run_attempt a ON a.run_id = u.id AND a.attempt = u.attempt JOIN resource r ON r.id = u.resource_id";

fn stored(tx: &mut Tx<'_>, scope: Scope, id: RunId) -> Result<StoredRun> {
    let sql = format!("SELECT {STORED} FROM {FROM} WHERE u.project_id = $1 AND u.id = $2");
    let found = tx.opt(&sql, params![scope.project_id, id], stored_row)?;
    found.ok_or_else(|| not_found(&id.to_string()))
}

fn stored_row(row: &Row<'_>) -> StoreResult<StoredRun> {
    Ok(StoredRun {
        id: row.get(0)?,
        resource_id: row.get(1)?,
        kind: row.get(2)?,
        number: row.get(3)?,
        revision: row.get(4)?,
        state: row.get(5)?,
        engine: row.get(6)?,
        attempt: row.get(7)?,
        params: row.get(8)?,
        external_id: row.get(9)?,
        cursor: row.get(10)?,
        job_id: row.get(11)?,
        resource_name: row.get(12)?,
        engine_detail: row.get(13)?,
    })
}

/// The resource of a run, by the run's id or reference; those of all kinds where a reference fits several.
pub(crate) fn resource_of(tx: &mut Tx<'_>, scope: Scope, id: &str) -> Result<Vec<ResourceId>> {
    let wanted = Wanted::parse(id)?;
    let mut query =
        Query::new("SELECT u.resource_id FROM run u JOIN resource r ON r.id = u.resource_id WHERE");
    query.push(" u.project_id = ?", scope.project_id);
    wanted.add(&mut query);
    Ok(query.rows(tx, |row| row.get(0))?)
}

pub(crate) fn not_found(id: &str) -> Error {
    Error::not_found("run_not_found", format!("there is no run {id} here"))
}

/// A run as a request names it.
enum Wanted {
    Id(RunId),
    Ref(RunRef),
}

impl Wanted {
    fn parse(id: &str) -> Result<Self> {
        if let Ok(id) = id.parse() {
            return Ok(Self::Id(id));
        }
        id.parse().map(Self::Ref).map_err(|_| not_found(id))
    }

    fn add(&self, query: &mut Query) {
        match self {
            Self::Id(id) => query.push(" AND u.id = ?", *id),
            Self::Ref(run) => query
                .push(" AND r.name = ?", run.resource_name.to_string())
                .push(" AND u.number = ?", run.number),
        };
    }
}

fn mean(durations: Vec<(Option<Timestamp>, Option<Timestamp>)>) -> Option<f64> {
    let seconds: Vec<f64> =
        durations.into_iter().filter_map(|(start, end)| Some(end?.since(start?).as_secs_f64())).collect();
    let n = f64::from(u32::try_from(seconds.len()).ok()?);
    (n > 0.0).then(|| seconds.iter().sum::<f64>() / n)
}

impl Column for Raw {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        RawValue::from_string(String::column(value)?).map(Self).map_err(|error| error.to_string())
    }
}

fn row(row: &Row<'_>) -> StoreResult<Run> {
    let (number, name): (i64, String) = (row.get(1)?, row.get(4)?);
    Ok(Run {
        id: row.get(0)?,
        number,
        run_ref: format!("{name}#{number}"),
        kind: row.get(2)?,
        resource: RunResource { id: row.get(3)?, name },
        revision: row.get(5)?,
        state: row.get(6)?,
        code: row.get(7)?,
        message: row.get(8)?,
        params: row.get(9)?,
        engine: row.get(10)?,
        engine_detail: row.get(11)?,
        attempt: row.get(12)?,
        attempts: vec![],
        progress: row.get(13)?,
        failure: row.get(14)?,
        serving: row.get(15)?,
        results: row.get(16)?,
        job_id: row.get(17)?,
        created_at: row.get(18)?,
        created_by: row.get(19)?,
        started_at: row.get(20)?,
        ended_at: row.get(21)?,
        stop_requested_at: row.get(22)?,
        usual_duration_s: None,
    })
}

fn attempt_row(row: &Row<'_>) -> StoreResult<RunAttempt> {
    Ok(RunAttempt {
        attempt: row.get(0)?,
        state: row.get(1)?,
        external_id: row.get(2)?,
        started_at: row.get(3)?,
        ended_at: row.get(4)?,
        exit_code: row.get(5)?,
        code: row.get(6)?,
        message: row.get(7)?,
    })
}
