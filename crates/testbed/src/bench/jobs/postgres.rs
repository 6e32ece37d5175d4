//! The floor on Postgres: 16 connections, one commit for each move of a job, statement by statement.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use qd_kernel::{
    clock::{self, Source},
    context::Scope,
};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Statement, Transaction, types::ToSql};
use uuid::Uuid;

use super::CONNECTIONS;
use crate::bench::Fallible;

const KEY: &str =
    "INSERT INTO idempotency (tenant_id, project_id, principal_id, key, fingerprint, job_id, created_at)
  VALUES ($1, $1, $1, $2::uuid::text, '', $2, now()) ON CONFLICT (project_id, principal_id, key) DO NOTHING";
const JOB: &str = "INSERT INTO job (id, tenant_id, project_id, operation, state, input, reason, cancel_requested, created_by,
    created_at, request_id, correlation_id)
  VALUES ($1, $2, $3, 'bench.nothing', 'queued', '{\"steps\":1}', '', false, 'bench', now(), 'bench', 'bench')";
const STEP: &str = "INSERT INTO job_step (job_id, idx, name, title, state, attempts)
  VALUES ($1, $2, 'nothing', 'Do nothing', 'pending', 0)";
const QUEUE: &str = "INSERT INTO job_queue (job_id, prio, tenant_id, due_at, set_at, token, step) VALUES ($1, 1, $2, now(), now(), 0, 0)";
const EVENT: &str =
    "INSERT INTO event_outbox (tenant_id, project_id, type, at, actor, job_id, correlation_id, data)
  VALUES ($1, $2, $3, now(), 'bench', $4, 'bench', '{\"operation\":\"bench.nothing\"}')";
const AUDIT: &str = "INSERT INTO audit (id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome,
    reason, changes, job_id, request_id, correlation_id)
  VALUES ($1, $2, $3, now(), 'bench', 'bench', 'jobs.create', 'Job', $4, 'bench.nothing', 'success', '',
    '[{\"pointer\":\"/input\",\"op\":\"add\",\"after\":{\"steps\":1}}]', $4, 'bench', 'bench')";
const LEASE: &str = "UPDATE job_queue SET due_at = now() + interval '15 seconds', set_at = now(), token = token + 1 WHERE job_id = $1";
const TAKE: &str = "UPDATE job_queue SET due_at = now() + interval '15 seconds', set_at = now(), token = token + 1 WHERE job_id = (
    SELECT job_id FROM job_queue WHERE prio = 1 AND due_at <= now() ORDER BY due_at, job_id LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING job_id";
const JOB_RUNNING: &str = "UPDATE job SET state = 'running', started_at = now() WHERE id = $1";
const STEP_RUNNING: &str =
    "UPDATE job_step SET state = 'running', attempts = 1, started_at = now() WHERE job_id = $1 AND idx = $2";
const RELEASE: &str = "DELETE FROM job_queue WHERE job_id = $1 AND token = 1";
const NEXT: &str = "UPDATE job_queue SET step = $2 WHERE job_id = $1 AND token = 1";
const STEP_DONE: &str = "UPDATE job_step SET state = 'succeeded', output = 'null', ended_at = now() WHERE job_id = $1 AND idx = $2";
const JOB_DONE: &str = "UPDATE job SET state = 'succeeded', ended_at = now() WHERE id = $1";
const ALL: [&str; 14] = [
    KEY,
    JOB,
    STEP,
    QUEUE,
    EVENT,
    AUDIT,
    LEASE,
    TAKE,
    JOB_RUNNING,
    STEP_RUNNING,
    RELEASE,
    NEXT,
    STEP_DONE,
    JOB_DONE,
];

pub struct Floor(Vec<Worker>);

/// One connection.
struct Worker {
    client: Client,
    statements: Statements,
    tenant: Uuid,
    project: Uuid,
    source: Source,
}

struct Statements(HashMap<&'static str, Statement>);

impl Floor {
    /// On a migrated database that nobody else writes to.
    pub async fn open(url: &str, scope: Scope) -> Fallible<Self> {
        let mut workers = vec![];
        for _ in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            // Ends with its client; what goes wrong is seen there.
            tokio::spawn(connection);
            let mut statements = HashMap::new();
            for sql in ALL {
                statements.insert(sql, client.prepare(sql).await?);
            }
            let (tenant, project) = (scope.tenant_id.uuid(), scope.project_id.uuid());
            let statements = Statements(statements);
            workers.push(Worker { client, statements, tenant, project, source: clock::system() });
        }
        Ok(Self(workers))
    }

    /// Jobs a second, three commits each.
    pub async fn jobs(&mut self, length: Duration) -> Fallible<f64> {
        self.all(|worker| worker.jobs(length)).await
    }

    /// Steps a second, one commit each.
    pub async fn steps(&mut self, length: Duration) -> Fallible<f64> {
        self.all(|worker| worker.steps(length)).await
    }

    /// One job of so many steps, a commit each, on one connection.
    pub async fn chain(&mut self, steps: usize) -> Fallible<Duration> {
        let worker = self.0.first_mut().ok_or("no connection")?;
        let (start, id) = (Instant::now(), worker.source.uuid());
        worker.enqueue(id).await?;
        worker.claim(id).await?;
        for step in 0..steps {
            worker.step(id, i64::try_from(step)?).await?;
        }
        worker.complete(id, 0).await?;
        Ok(start.elapsed())
    }

    /// Until the queue is empty.
    pub async fn drain(&mut self, steps: i64) -> Fallible<Duration> {
        let start = Instant::now();
        self.all(|worker| worker.drain(steps)).await?;
        Ok(start.elapsed())
    }

    /// Each connection on a task of its own; how much they did a second.
    async fn all<F>(&mut self, work: impl Fn(Worker) -> F) -> Fallible<f64>
    where
        F: Future<Output = Fallible<(Worker, u32)>> + Send + 'static,
    {
        let (start, mut count) = (Instant::now(), 0);
        let mut tasks: JoinSet<_> = self.0.drain(..).map(work).collect();
        while let Some(done) = tasks.join_next().await {
            let (worker, did) = done??;
            self.0.push(worker);
            count += did;
        }
        Ok(f64::from(count) / start.elapsed().as_secs_f64())
    }
}

impl Statements {
    async fn run(
        &self,
        tx: &Transaction<'_>,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Fallible<()> {
        let statement = self.0.get(sql).ok_or("a statement that was not prepared")?;
        tx.execute(statement, params).await?;
        Ok(())
    }
}

impl Worker {
    async fn jobs(mut self, length: Duration) -> Fallible<(Self, u32)> {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < length {
            let id = self.source.uuid();
            self.enqueue(id).await?;
            self.claim(id).await?;
            self.complete(id, 0).await?;
            count += 1;
        }
        Ok((self, count))
    }

    async fn steps(mut self, length: Duration) -> Fallible<(Self, u32)> {
        let id = self.source.uuid();
        self.enqueue(id).await?;
        self.claim(id).await?;
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < length {
            self.step(id, i64::from(count)).await?;
            count += 1;
        }
        self.complete(id, 0).await?;
        Ok((self, count))
    }

    /// Takes one job after the other and commits each of its steps.
    async fn drain(mut self, steps: i64) -> Fallible<(Self, u32)> {
        let (last, mut count) = (steps - 1, 0);
        while let Some(id) = self.take().await? {
            for index in 0..last {
                let (statements, tx) = (&self.statements, self.client.transaction().await?);
                statements.run(&tx, NEXT, &[&id, &(index + 1)]).await?;
                statements.run(&tx, STEP_DONE, &[&id, &index]).await?;
                statements.run(&tx, STEP_RUNNING, &[&id, &(index + 1)]).await?;
                tx.commit().await?;
            }
            self.complete(id, last).await?;
            count += 1;
        }
        Ok((self, count))
    }

    async fn take(&mut self) -> Fallible<Option<Uuid>> {
        let take = self.statements.0.get(TAKE).ok_or("a statement that was not prepared")?;
        let tx = self.client.transaction().await?;
        let Some(row) = tx.query_opt(take, &[]).await? else { return Ok(None) };
        let id: Uuid = row.get(0);
        self.statements.run(&tx, JOB_RUNNING, &[&id]).await?;
        self.statements.run(&tx, EVENT, &[&self.tenant, &self.project, &"job.running", &id]).await?;
        self.statements.run(&tx, STEP_RUNNING, &[&id, &0i64]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    async fn enqueue(&mut self, id: Uuid) -> Fallible<()> {
        let (tenant, project, audit) = (&self.tenant, &self.project, self.source.uuid());
        let (statements, tx) = (&self.statements, self.client.transaction().await?);
        statements.run(&tx, KEY, &[tenant, &id]).await?;
        statements.run(&tx, JOB, &[&id, tenant, project]).await?;
        statements.run(&tx, STEP, &[&id, &0i64]).await?;
        statements.run(&tx, QUEUE, &[&id, tenant]).await?;
        statements.run(&tx, EVENT, &[tenant, project, &"job.queued", &id]).await?;
        statements.run(&tx, AUDIT, &[&audit, tenant, project, &id]).await?;
        Ok(tx.commit().await?)
    }

    async fn claim(&mut self, id: Uuid) -> Fallible<()> {
        let (tenant, project) = (&self.tenant, &self.project);
        let (statements, tx) = (&self.statements, self.client.transaction().await?);
        statements.run(&tx, LEASE, &[&id]).await?;
        statements.run(&tx, JOB_RUNNING, &[&id]).await?;
        statements.run(&tx, EVENT, &[tenant, project, &"job.running", &id]).await?;
        statements.run(&tx, STEP_RUNNING, &[&id, &0i64]).await?;
        Ok(tx.commit().await?)
    }

    /// Takes a step that is done to the next one, whose row is made here.
    async fn step(&mut self, id: Uuid, index: i64) -> Fallible<()> {
        let (statements, tx) = (&self.statements, self.client.transaction().await?);
        statements.run(&tx, NEXT, &[&id, &(index + 1)]).await?;
        statements.run(&tx, STEP_DONE, &[&id, &index]).await?;
        statements.run(&tx, STEP, &[&id, &(index + 1)]).await?;
        Ok(tx.commit().await?)
    }

    async fn complete(&mut self, id: Uuid, last: i64) -> Fallible<()> {
        let (tenant, project) = (&self.tenant, &self.project);
        let (statements, tx) = (&self.statements, self.client.transaction().await?);
        statements.run(&tx, RELEASE, &[&id]).await?;
        statements.run(&tx, STEP_DONE, &[&id, &last]).await?;
        statements.run(&tx, JOB_DONE, &[&id]).await?;
        statements.run(&tx, EVENT, &[tenant, project, &"job.succeeded", &id]).await?;
        Ok(tx.commit().await?)
    }
}
