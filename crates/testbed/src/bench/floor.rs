//! What bare rusqlite needs for what the kernel does: the same SQL over the same tables, without the kernel.

use qd_core::{
    id::{JobId, ResourceId, RunId},
    time::Timestamp,
};
use qd_kernel::runs::{Raw, Run, RunResource};
use rusqlite::{Connection, Row, params, types::FromSql};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Fallible;

/// As the store's own writer: durable at each commit.
pub const PRAGMAS: &str = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; \
    PRAGMA foreign_keys=ON; PRAGMA cache_size=-8192; PRAGMA wal_autocheckpoint=1000";

const RUNS: &str = "
SELECT u.id, u.number, u.kind, u.resource_id, r.name, u.revision, u.state, u.code, u.message, u.params, u.engine,
  u.engine_detail, u.attempt, u.progress, u.failure, u.serving, u.results, u.job_id, u.created_at, u.created_by,
  u.started_at, u.ended_at, u.stop_requested_at
FROM run u JOIN resource r ON r.id = u.resource_id
WHERE u.project_id = ?1 AND u.resource_id = ?2 ORDER BY u.number DESC LIMIT ?3";

/// The newest runs of a resource.
pub fn run_list(
    connection: &Connection,
    project: Uuid,
    resource: ResourceId,
    limit: u32,
) -> Fallible<Vec<Run>> {
    let mut statement = connection.prepare_cached(RUNS)?;
    let runs = statement.query_map(params![project.as_bytes(), resource.uuid().as_bytes(), limit], run)?;
    Ok(runs.collect::<Result<_, _>>()?)
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let (number, name, state): (i64, String, String) = (row.get(1)?, row.get(4)?, row.get(6)?);
    Ok(Run {
        id: RunId::from(id(row, 0)?),
        number,
        run_ref: format!("{name}#{number}"),
        kind: row.get(2)?,
        resource: RunResource { id: ResourceId::from(id(row, 3)?), name },
        revision: row.get(5)?,
        state: state.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
        code: row.get(7)?,
        message: row.get(8)?,
        params: raw(row, 9)?.unwrap_or_else(|| Raw(RawValue::NULL.to_owned())),
        engine: row.get(10)?,
        engine_detail: raw(row, 11)?,
        attempt: row.get(12)?,
        attempts: vec![],
        progress: raw(row, 13)?,
        failure: raw(row, 14)?,
        serving: raw(row, 15)?,
        results: raw(row, 16)?,
        job_id: JobId::from(id(row, 17)?),
        created_at: time(row, 18)?.unwrap_or(Timestamp::EPOCH),
        created_by: row.get(19)?,
        started_at: time(row, 20)?,
        ended_at: time(row, 21)?,
        stop_requested_at: time(row, 22)?,
        usual_duration_s: None,
    })
}

fn id(row: &Row<'_>, at: usize) -> rusqlite::Result<Uuid> {
    let bytes = <[u8; 16]>::column_result(row.get_ref(at)?)?;
    Ok(Uuid::from_bytes(bytes))
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_micros))
}

fn raw(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Raw>> {
    let text: Option<String> = row.get(at)?;
    Ok(text.and_then(|text| RawValue::from_string(text).ok()).map(Raw))
}
