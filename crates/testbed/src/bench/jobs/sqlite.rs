//! The floor on SQLite: one thread, one commit for each move of a job.

use std::path::Path;
use std::time::{Duration, Instant};

use qd_kernel::{
    clock::{self, Source},
    context::Scope,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::bench::{Fallible, floor::PRAGMAS};

const EVENT: &str = "INSERT INTO event (tenant_id, project_id, type, at, actor, job_id, correlation_id, data)
  VALUES (?1, ?2, ?3, ?4, 'bench', ?5, 'bench', '{\"operation\":\"bench.nothing\"}')";

pub struct Floor {
    connection: Connection,
    tenant: Uuid,
    project: Uuid,
    source: Source,
}

impl Floor {
    /// On a migrated database that nobody else writes to.
    pub fn open(data: &Path, scope: Scope) -> Fallible<Self> {
        let connection = Connection::open(data.join("qd.db"))?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(PRAGMAS)?;
        let (tenant, project) = (scope.tenant_id.uuid(), scope.project_id.uuid());
        Ok(Self { connection, tenant, project, source: clock::system() })
    }

    /// Jobs a second, three commits each.
    pub fn jobs(&mut self, length: Duration) -> Fallible<f64> {
        let (start, mut count) = (Instant::now(), 0u32);
        while start.elapsed() < length {
            let id = self.source.uuid();
            self.enqueue(id)?;
            self.claim(id)?;
            self.complete(id, 0)?;
            count += 1;
        }
        Ok(f64::from(count) / start.elapsed().as_secs_f64())
    }

    /// Steps of one job a second, one commit each.
    pub fn steps(&mut self, length: Duration) -> Fallible<f64> {
        let id = self.source.uuid();
        self.enqueue(id)?;
        self.claim(id)?;
        let (start, mut count) = (Instant::now(), 0i32);
        while start.elapsed() < length {
            self.step(id, i64::from(count))?;
            count += 1;
        }
        let took = start.elapsed();
        self.complete(id, 0)?;
        Ok(f64::from(count) / took.as_secs_f64())
    }

    /// One job of so many steps, a commit each.
    pub fn chain(&mut self, steps: usize) -> Fallible<Duration> {
        let (start, id) = (Instant::now(), self.source.uuid());
        self.enqueue(id)?;
        self.claim(id)?;
        for step in 0..steps {
            self.step(id, i64::try_from(step)?)?;
        }
        self.complete(id, 0)?;
        Ok(start.elapsed())
    }

    /// Takes one job after the other and commits each of its steps, until the queue is empty.
    pub fn drain(&mut self, steps: i64) -> rusqlite::Result<Duration> {
        let start = Instant::now();
        while let Some(id) = self.next()? {
            self.claim(id)?;
            for index in 0..steps - 1 {
                self.step_on(id, index)?;
            }
            self.complete(id, steps - 1)?;
        }
        Ok(start.elapsed())
    }

    fn next(&self) -> rusqlite::Result<Option<Uuid>> {
        let due =
            "SELECT job_id FROM job_queue WHERE prio = 1 AND due_at <= ?1 ORDER BY due_at, job_id LIMIT 1";
        let now = self.source.now().micros();
        let found: Option<[u8; 16]> =
            self.connection.prepare_cached(due)?.query_row([now], |row| row.get(0)).optional()?;
        Ok(found.map(Uuid::from_bytes))
    }

    fn enqueue(&mut self, id: Uuid) -> rusqlite::Result<()> {
        let (id, now) = (id.as_bytes(), self.source.now().micros());
        let (audit, key) = (self.source.uuid(), self.source.uuid().to_string());
        let tx = self.connection.transaction()?;
        tx.prepare_cached(
            "INSERT INTO idempotency (tenant_id, project_id, principal_id, key, fingerprint, job_id, created_at)
             VALUES (?1, ?2, ?1, ?3, '', ?4, ?5) ON CONFLICT (project_id, principal_id, key) DO NOTHING",
        )?
        .execute(params![self.tenant.as_bytes(), self.project.as_bytes(), key, id, now])?;
        tx.prepare_cached(
            "INSERT INTO job (id, tenant_id, project_id, operation, state, input, reason, cancel_requested, created_by, created_at,
               request_id, correlation_id)
             VALUES (?1, ?2, ?3, 'bench.nothing', 'queued', '{\"steps\":1}', '', 0, 'bench', ?4, 'bench', 'bench')",
        )?
        .execute(params![id, self.tenant.as_bytes(), self.project.as_bytes(), now])?;
        tx.prepare_cached(
            "INSERT INTO job_step (job_id, idx, name, title, state, attempts)
             VALUES (?1, 0, 'nothing', 'Do nothing', 'pending', 0)",
        )?
        .execute(params![id])?;
        tx.prepare_cached(
            "INSERT INTO job_queue (job_id, prio, tenant_id, due_at, set_at, token, step) VALUES (?1, 1, ?3, ?2, ?2, 0, 0)",
        )?
        .execute(params![id, now, self.tenant.as_bytes()])?;
        tx.prepare_cached(EVENT)?.execute(params![
            self.tenant.as_bytes(),
            self.project.as_bytes(),
            "job.queued",
            now,
            id
        ])?;
        tx.prepare_cached(
            "INSERT INTO audit (id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome, reason,
               changes, job_id, request_id, correlation_id)
             VALUES (?1, ?2, ?3, ?4, 'bench', 'bench', 'jobs.create', 'Job', ?5, 'bench.nothing', 'success', '',
               '[{\"pointer\":\"/input\",\"op\":\"add\",\"after\":{\"steps\":1}}]', ?5, 'bench', 'bench')",
        )?
        .execute(params![audit.as_bytes(), self.tenant.as_bytes(), self.project.as_bytes(), now, id])?;
        tx.commit()
    }

    fn claim(&mut self, id: Uuid) -> rusqlite::Result<()> {
        let (id, now) = (id.as_bytes(), self.source.now().micros());
        let tx = self.connection.transaction()?;
        tx.prepare_cached(
            "UPDATE job_queue SET due_at = ?2 + 15000000, set_at = ?2, token = token + 1 WHERE job_id = ?1",
        )?
        .execute(params![id, now])?;
        tx.prepare_cached("UPDATE job SET state = 'running', started_at = ?2 WHERE id = ?1")?
            .execute(params![id, now])?;
        tx.prepare_cached(EVENT)?.execute(params![
            self.tenant.as_bytes(),
            self.project.as_bytes(),
            "job.running",
            now,
            id
        ])?;
        tx.prepare_cached(
            "UPDATE job_step SET state = 'running', attempts = attempts + 1, started_at = ?2 WHERE job_id = ?1 AND idx = 0",
        )?
        .execute(params![id, now])?;
        tx.commit()
    }

    fn complete(&mut self, id: Uuid, last: i64) -> rusqlite::Result<()> {
        let (id, now) = (id.as_bytes(), self.source.now().micros());
        let tx = self.connection.transaction()?;
        tx.prepare_cached("DELETE FROM job_queue WHERE job_id = ?1 AND token = 1")?.execute(params![id])?;
        tx.prepare_cached(
            "UPDATE job_step SET state = 'succeeded', output = 'null', ended_at = ?2 WHERE job_id = ?1 AND idx = ?3",
        )?
        .execute(params![id, now, last])?;
        tx.prepare_cached("UPDATE job SET state = 'succeeded', ended_at = ?2 WHERE id = ?1")?
            .execute(params![id, now])?;
        tx.prepare_cached(EVENT)?.execute(params![
            self.tenant.as_bytes(),
            self.project.as_bytes(),
            "job.succeeded",
            now,
            id
        ])?;
        tx.commit()
    }

    /// Takes a step that is done to the next one, whose row is made here.
    fn step(&mut self, id: Uuid, index: i64) -> rusqlite::Result<()> {
        let (id, now) = (id.as_bytes(), self.source.now().micros());
        let tx = self.connection.transaction()?;
        tx.prepare_cached("UPDATE job_queue SET step = ?2 WHERE job_id = ?1 AND token = 1")?
            .execute(params![id, index + 1])?;
        tx.prepare_cached(
            "UPDATE job_step SET state = 'succeeded', output = 'null', ended_at = ?3 WHERE job_id = ?1 AND idx = ?2",
        )?
        .execute(params![id, index, now])?;
        tx.prepare_cached(
            "INSERT INTO job_step (job_id, idx, name, title, state, attempts, started_at)
             VALUES (?1, ?2, 'nothing', 'Do nothing', 'running', 1, ?3)",
        )?
        .execute(params![id, index + 1, now])?;
        tx.commit()
    }
    /// The same where the next step's row was made with the job.
    fn step_on(&mut self, id: Uuid, index: i64) -> rusqlite::Result<()> {
        let (id, now) = (id.as_bytes(), self.source.now().micros());
        let tx = self.connection.transaction()?;
        tx.prepare_cached("UPDATE job_queue SET step = ?2 WHERE job_id = ?1")?
            .execute(params![id, index + 1])?;
        tx.prepare_cached(
            "UPDATE job_step SET state = 'succeeded', output = 'null', ended_at = ?3 WHERE job_id = ?1 AND idx = ?2",
        )?
        .execute(params![id, index, now])?;
        tx.prepare_cached(
            "UPDATE job_step SET state = 'running', attempts = 1, started_at = ?3 WHERE job_id = ?1 AND idx = ?2",
        )?
        .execute(params![id, index + 1, now])?;
        tx.commit()
    }
}
