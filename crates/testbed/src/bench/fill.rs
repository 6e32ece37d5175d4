//! Resources and runs by the thousand, written past the kernel as it would have left them.

use qd_core::id::{JobId, ResourceId, RunId};
use qd_kernel::{
    clock::{self, Source},
    context::Scope,
};
use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

use super::Fallible;

/// A resource with the runs that it got.
pub struct Filled {
    pub id: ResourceId,
    pub name: String,
    pub runs: Vec<RunId>,
}

/// Writes `runs(index)` succeeded runs for each of `resources` published toys.
pub fn fill(
    connection: &mut Connection,
    scope: Scope,
    resources: i64,
    runs: impl Fn(i64) -> i64,
) -> Fallible<Vec<Filled>> {
    let source = clock::system();
    let tx = connection.transaction()?;
    let mut filled = vec![];
    for index in 0..resources {
        let (id, name) = (ResourceId::from(source.uuid()), format!("filled-{index:05}"));
        resource(&tx, scope, id, &name, runs(index), &source)?;
        let mut ids = vec![];
        for number in 1..=runs(index) {
            ids.push(run(&tx, scope, id, &name, number, &source)?);
        }
        filled.push(Filled { id, name, runs: ids });
    }
    tx.commit()?;
    Ok(filled)
}

fn resource(
    tx: &Transaction<'_>,
    scope: Scope,
    id: ResourceId,
    name: &str,
    runs: i64,
    source: &Source,
) -> rusqlite::Result<()> {
    let (tenant, project) = (scope.tenant_id.uuid(), scope.project_id.uuid());
    let (id, now) = (id.uuid(), source.now().micros());
    let spec = r#"{"color":"red","size":12,"parts":[]}"#;
    let hash = "0".repeat(64);
    tx.prepare_cached(
        "INSERT INTO resource (id, tenant_id, project_id, kind, name, display_name, description, metadata, state, version,
           last_revision, last_run, published_number, publish_asked, publish_done, created_by, created_at, updated_at)
         VALUES (?1, ?2, ?3, 'Toy', ?4, ?4, '', '{}', 'active', 1, 1, ?5, 1, 1, 1, 'bench', ?6, ?6)",
    )?
    .execute(params![id.as_bytes(), tenant.as_bytes(), project.as_bytes(), name, runs, now])?;
    tx.prepare_cached(
        "INSERT INTO working_copy (resource_id, spec, spec_hash, cut_hash, version, base_revision, updated_by, updated_at)
         VALUES (?1, ?2, ?3, ?3, 1, 1, 'bench', ?4)",
    )?
    .execute(params![id.as_bytes(), spec, hash, now])?;
    tx.prepare_cached(
        "INSERT INTO revision (id, resource_id, number, state, origin, spec, spec_hash, message, created_by, created_at,
           published_at)
         VALUES (?1, ?2, 1, 'published', 'apply', ?3, ?4, '', 'bench', ?5, ?5)",
    )?
    .execute(params![source.uuid().as_bytes(), id.as_bytes(), spec, hash, now])?;
    Ok(())
}

fn run(
    tx: &Transaction<'_>,
    scope: Scope,
    resource: ResourceId,
    name: &str,
    number: i64,
    source: &Source,
) -> rusqlite::Result<RunId> {
    let (tenant, project) = (scope.tenant_id.uuid(), scope.project_id.uuid());
    let (run, job) = (RunId::from(source.uuid()), JobId::from(source.uuid()));
    let (id, job_id, now): (Uuid, Uuid, i64) = (run.uuid(), job.uuid(), source.now().micros());
    tx.prepare_cached(
        "INSERT INTO run (id, tenant_id, project_id, resource_id, kind, number, revision, state, params, engine, attempt, job_id,
           log_lines, log_bytes, version, created_by, created_at, started_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, 'Toy', ?5, 1, 'succeeded', '{\"lines\":0,\"take_ms\":0,\"fail\":false}', 'noop', 1, ?6, 0, 0, 4,
           'bench', ?7, ?7, ?7)",
    )?
    .execute(params![
        id.as_bytes(),
        tenant.as_bytes(),
        project.as_bytes(),
        resource.uuid().as_bytes(),
        number,
        job_id.as_bytes(),
        now
    ])?;
    tx.prepare_cached(
        "INSERT INTO run_attempt (run_id, attempt, state, external_id, cursor, started_at, ended_at, exit_code)
         VALUES (?1, 1, 'succeeded', 'filled', 2, ?2, ?2, 0)",
    )?
    .execute(params![id.as_bytes(), now])?;
    tx.prepare_cached(
        "INSERT INTO job (id, tenant_id, project_id, operation, state, resource_id, run_id, input, reason, cancel_requested,
           created_by, created_at, started_at, ended_at, request_id, correlation_id)
         VALUES (?1, ?2, ?3, 'run.start', 'succeeded', ?4, ?5, '{}', '', 0, 'bench', ?6, ?6, ?6, '', '')",
    )?
    .execute(params![
        job_id.as_bytes(),
        tenant.as_bytes(),
        project.as_bytes(),
        resource.uuid().as_bytes(),
        id.as_bytes(),
        now
    ])?;
    tx.prepare_cached(
        "INSERT INTO job_step (job_id, idx, name, title, state, attempts, started_at, ended_at)
         VALUES (?1, 0, 'submit', 'Hand the run to its engine', 'succeeded', 1, ?2, ?2)",
    )?
    .execute(params![job_id.as_bytes(), now])?;
    tx.prepare_cached(
        "INSERT INTO event (tenant_id, project_id, type, at, actor, kind, resource_id, resource_name, run_id, correlation_id, data)
         VALUES (?1, ?2, 'run.succeeded', ?3, 'observer', 'Toy', ?4, ?5, ?6, '', '{}')",
    )?
    .execute(params![
        tenant.as_bytes(),
        project.as_bytes(),
        now,
        resource.uuid().as_bytes(),
        name,
        id.as_bytes()
    ])?;
    Ok(run)
}
