//! Jobs: one change being made, its steps carried out durably, each taking effect once.
//!
//! The rows are the truth. `job_queue` is the narrow table that workers claim from: its `due_at` is the time to run, the
//! end of a lease, a retry's time and a wait's next look, all in one, and `set_at` is when that was stored: both by the clock of
//! [`crate::reckoning`]. Its `token` fences off a worker that lost its lease.

mod cancel;
mod claim;
mod commit;
mod committer;
mod detail;
mod failing;
mod hand_over;
mod lock;
mod undo;
mod worker;

use std::collections::HashMap;

use qd_core::{
    canonical::Digest,
    error::{Error, Result},
    id::{JobId, PlanId, ResourceId, RunId},
    plan::{Plan, PlanStep},
    state::{JobState, StepState},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    access::{
        deletions::Unseen,
        objects,
        sight::{Sifted, Sight, sifted},
    },
    changes::{Changed, Request},
    context::{Context, Scope},
    idempotency::{self, Claimed, IdempotencyKey},
    kernel::Kernel,
    mutation::{Act, Mutation, Subject},
    operation::{Intended, Operation},
    page::{Page, PageRequest},
    params,
    query::Query,
    store::{Row, StoreResult, Tx, in_list},
};

pub(crate) use cancel::{request as cancel_request, wake as job_wake};
pub use detail::{JobDetail, JobLock};
pub(crate) use worker::InFlight;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JobError {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobResource {
    pub kind: String,
    pub id: ResourceId,
    pub name: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JobStep {
    pub name: String,
    pub title: String,
    pub state: StepState,
    /// Attempts of the present look; a wait starts counting anew.
    pub attempts: i64,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub output: Option<Value>,
    pub error: Option<String>,
}

impl JobStep {
    fn pending(planned: &PlanStep) -> Self {
        Self {
            name: planned.name.clone(),
            title: planned.title.clone(),
            state: StepState::Pending,
            attempts: 0,
            started_at: None,
            ended_at: None,
            output: None,
            error: None,
        }
    }
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Job {
    pub id: JobId,
    pub operation: String,
    pub state: JobState,
    pub resource: Option<JobResource>,
    pub run_id: Option<RunId>,
    pub reason: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// What a waiting job waits for, or why a step is tried again.
    pub waiting_for: Option<String>,
    /// Why it failed, or, while its step is called off, why it will.
    pub error: Option<JobError>,
    pub cancel_requested: bool,
    pub steps: Vec<JobStep>,
    pub request_id: String,
    pub correlation_id: String,
}

/// Which jobs to list; empty means all of the scope.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub state: Option<JobState>,
    /// About which resources.
    pub sight: Sight,
    pub unseen: Unseen,
}

/// A job about to be written.
pub(crate) struct NewJob<'a> {
    pub id: JobId,
    pub operation: &'a dyn Operation,
    pub plan: &'a Plan,
    /// Its text and digest.
    pub canonical: (String, Digest),
    pub plan_id: Option<PlanId>,
    pub intended: Intended,
}

impl NewJob<'_> {
    /// Writes the job with its planned steps and queues it, within the mutation that asks for it. Answers it as it was written.
    pub(crate) fn insert(self, m: &mut Mutation<'_, '_>) -> Result<Job> {
        let (body, hash) = self.canonical;
        let Intended { input, resource, run_id } = self.intended;
        let resource_id = resource.as_ref().map(|resource| resource.id);
        let locks = match &self.plan.locks[..] {
            [] => String::new(),
            locks => json!(locks).to_string(),
        };
        m.tx.exec_later(
            "INSERT INTO job (id, tenant_id, project_id, operation, state, resource_id, run_id, input, reason, cancel_requested,
               created_by, created_at, request_id, correlation_id, plan_id, plan, plan_hash, locks)
             VALUES ($1, $2, $3, $4, 'queued', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            params![
                self.id,
                m.context.scope.tenant_id,
                m.context.scope.project_id,
                self.operation.name(),
                resource_id,
                run_id,
                input.to_string(),
                m.reason().to_owned(),
                false,
                m.context.principal.name,
                m.now,
                m.context.ids.request_id,
                m.context.ids.correlation_id,
                self.plan_id,
                body,
                hash.to_string(),
                locks
            ],
        )?;
        for (index, step) in (0i64..).zip(&self.plan.steps) {
            m.tx.exec_later(
                "INSERT INTO job_step (job_id, idx, name, title, state, attempts) VALUES ($1, $2, $3, $4, 'pending', 0)",
                params![self.id, index, step.name, step.title],
            )?;
        }
        m.tx.exec_later(
            "INSERT INTO job_queue (job_id, prio, tenant_id, due_at, set_at, token, step) VALUES ($1, $2, $3, $4, $4, 0, 0)",
            params![self.id, self.operation.priority().clamp(0, 2), m.context.scope.tenant_id, m.due_now],
        )?;
        let subject = Subject { job_id: Some(self.id), run_id, resource_id, ..Subject::default() };
        m.event("job.queued", subject, &json!({ "operation": self.operation.name() }))?;
        m.wake_jobs();
        Ok(Job {
            id: self.id,
            operation: self.operation.name().to_owned(),
            state: JobState::Queued,
            resource,
            run_id,
            reason: m.reason().to_owned(),
            created_by: m.context.principal.name.clone(),
            created_at: m.now,
            started_at: None,
            ended_at: None,
            waiting_for: None,
            error: None,
            cancel_requested: false,
            steps: self.plan.steps.iter().map(JobStep::pending).collect(),
            request_id: m.context.ids.request_id.clone(),
            correlation_id: m.context.ids.correlation_id.clone(),
        })
    }
}

const COLUMNS: &str = "j.id, j.operation, j.state, j.resource_id, r.kind, r.name, j.run_id, j.reason, j.created_by, j.created_at,
  j.started_at, j.ended_at, j.waiting_for, j.error_code, j.error_message, j.cancel_requested, j.request_id, j.correlation_id";

impl Kernel {
    /// Runs `change` once for the key: it is handed the id of the job that it must insert. A repeat with the same key
    /// answers the first one's job and runs nothing.
    pub(crate) async fn create_job<T, F>(
        &self,
        context: &Context,
        act: Act,
        key: IdempotencyKey,
        mut change: F,
    ) -> Result<(JobId, Option<T>)>
    where
        T: Send + 'static,
        F: FnMut(&mut Mutation<'_, '_>, JobId) -> Result<T> + Send + 'static,
    {
        self.mutate(context, act, move |m| {
            let job_id = m.id();
            match idempotency::claim(m, &key, job_id)? {
                Claimed::Replay(job_id) => Ok((job_id, None)),
                Claimed::New => Ok((job_id, Some(change(m, job_id)?))),
            }
        })
        .await
    }

    /// Asks for any registered operation, with its input.
    pub async fn job_create(
        &self,
        context: &Context,
        act: Act,
        operation: &str,
        input: Value,
        key: IdempotencyKey,
    ) -> Result<Job> {
        let request = Request { act, operation: operation.to_owned(), input };
        let changed = self.change(context, request, key).await?;
        self.job_of(context, changed).await
    }

    /// The job of a change, as it was written or, where it was asked for before, as it is.
    pub(crate) async fn job_of(&self, context: &Context, changed: Changed) -> Result<Job> {
        match changed {
            Changed::Made { job: Some(job), .. } => Ok(*job),
            Changed::Made { job: None, .. } => {
                Err(Error::internal("plan_without_steps", "the plan has no steps, so there is no job"))
            }
            Changed::Before(job_id) => self.job_get(context.scope, job_id).await,
        }
    }

    pub async fn job_get(&self, scope: Scope, id: JobId) -> Result<Job> {
        self.store
            .read(move |tx| -> Result<Option<Job>> {
                let mut query = Query::new(&format!(
                    "SELECT {COLUMNS} FROM job j LEFT JOIN resource r ON r.id = j.resource_id WHERE"
                ));
                query.push(" j.project_id = ?", scope.project_id).push(" AND j.id = ?", id);
                let jobs = query.rows(tx, row)?;
                Ok(with_steps(tx, jobs)?.into_iter().next())
            })
            .await?
            .ok_or_else(|| Error::not_found("job_not_found", format!("there is no job {id} here")))
    }

    /// Newest first.
    pub async fn job_list(&self, scope: Scope, filter: JobFilter, page: PageRequest) -> Result<Page<Job>> {
        let (before, fetch, registry) = (page.after_uuid("jobs")?, page.fetch(), self.registry.clone());
        let (items, rest) = self
            .store
            .read(move |tx| -> Result<Sifted<Job, Uuid>> {
                let read = |tx: &mut Tx<'_>, before: Option<Uuid>| -> Result<Vec<Job>> {
                    let mut query = Query::new(&format!(
                        "SELECT {COLUMNS} FROM job j LEFT JOIN resource r ON r.id = j.resource_id WHERE"
                    ));
                    query.push(" j.project_id = ?", scope.project_id);
                    filter.unseen.narrow(&mut query, "j.operation");
                    // What is about one resource is found by its column; of the rest each is looked into.
                    if let Sight::Only(shown) = &filter.sight {
                        query.text(" AND (j.resource_id IS NULL OR ");
                        query
                            .among(tx.backend(), "j.resource_id", shown.iter().map(|id| id.uuid()))
                            .text(")");
                    } else {
                        filter.sight.narrow(&mut query, tx.backend(), "j.resource_id");
                    }
                    if let Some(state) = filter.state {
                        query.push(" AND j.state = ?", state.as_str().to_owned());
                    }
                    if let Some(before) = before {
                        query.push(" AND j.id < ?", before);
                    }
                    query.text(" ORDER BY j.id DESC").limit(fetch);
                    Ok(query.rows(tx, row)?)
                };
                let (jobs, rest) = sifted(
                    tx,
                    (fetch, before),
                    read,
                    |job| job.id.uuid(),
                    |tx, job| {
                        Ok(filter.sight.is_all()
                            || job.resource.is_some()
                            || filter.sight.shows_all(
                                &objects::of_job(tx, &registry, scope, job.id)?.unwrap_or_default(),
                            ))
                    },
                )?;
                Ok((with_steps(tx, jobs)?, rest))
            })
            .await?;
        let rest = rest.map(|id| JobId::from(id).to_string());
        Ok(page.cut_sifted("jobs", (items, rest), |job| job.id.to_string()))
    }
}

fn row(row: &Row<'_>) -> StoreResult<Job> {
    let resource = match (
        row.get::<Option<ResourceId>>(3)?,
        row.get::<Option<String>>(4)?,
        row.get::<Option<String>>(5)?,
    ) {
        (Some(id), Some(kind), Some(name)) => Some(JobResource { kind, id, name }),
        _ => None,
    };
    Ok(Job {
        id: row.get(0)?,
        operation: row.get(1)?,
        state: row.get(2)?,
        resource,
        run_id: row.get(6)?,
        reason: row.get(7)?,
        created_by: row.get(8)?,
        created_at: row.get(9)?,
        started_at: row.get(10)?,
        ended_at: row.get(11)?,
        waiting_for: row.get(12)?,
        error: job_error(row, 13)?,
        cancel_requested: row.get(15)?,
        steps: vec![],
        request_id: row.get(16)?,
        correlation_id: row.get(17)?,
    })
}

/// From a code and a message in two columns.
fn job_error(row: &Row<'_>, first: usize) -> StoreResult<Option<JobError>> {
    let (code, message): (Option<String>, Option<String>) = (row.get(first)?, row.get(first + 1)?);
    Ok(code.zip(message).map(|(code, message)| JobError { code, message }))
}

/// Adds the steps of a page of jobs with one more query.
fn with_steps(tx: &mut Tx<'_>, mut jobs: Vec<Job>) -> Result<Vec<Job>> {
    if jobs.is_empty() {
        return Ok(jobs);
    }
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut steps = steps_of(tx, &ids)?;
    for job in &mut jobs {
        job.steps = steps.remove(&job.id).unwrap_or_default();
    }
    Ok(jobs)
}

fn steps_of(tx: &mut Tx<'_>, ids: &[JobId]) -> Result<HashMap<JobId, Vec<JobStep>>> {
    let (list, args) = in_list(ids, 1);
    let rows = tx.rows(
        &format!(
            "SELECT job_id, name, title, state, attempts, started_at, ended_at, output, error FROM job_step
             WHERE job_id IN ({list}) ORDER BY job_id, idx"
        ),
        &args,
        |row| {
            let step = JobStep {
                name: row.get(1)?,
                title: row.get(2)?,
                state: row.get(3)?,
                attempts: row.get(4)?,
                started_at: row.get(5)?,
                ended_at: row.get(6)?,
                output: row.get(7)?,
                error: row.get(8)?,
            };
            Ok((row.get::<JobId>(0)?, step))
        },
    )?;
    let mut steps: HashMap<JobId, Vec<JobStep>> = HashMap::new();
    for (id, step) in rows {
        steps.entry(id).or_default().push(step);
    }
    Ok(steps)
}
