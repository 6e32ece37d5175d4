//! Starting, stopping and retrying runs: what is wanted is written with the job that brings it about.

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{JobId, RunId},
    violation::Violation,
};
use serde_json::{Value, json};

use super::{Run, StoredRun, read::run_lock};
use crate::{
    context::{Context, Scope},
    idempotency::IdempotencyKey,
    jobs::{Job, NewJob, cancel_request},
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation, Object, Subject},
    operations::{RunInput, run_start, run_stop},
    params,
    resources::lock,
    revisions::require_active,
};

impl Kernel {
    /// Starts a run of the published revision, or of a stated one that was published before.
    pub async fn run_start(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        run_params: Value,
        revision: Option<i64>,
        key: IdempotencyKey,
    ) -> Result<(Job, Run)> {
        let info = kind.info();
        if !info.runnable() {
            return Err(Error::conflict("kind_not_runnable", format!("{} has no runs", info.plural)));
        }
        let (kind_name, plural) = (info.kind, info.plural);
        let checked = self.run_check(context.scope, kind, name, &run_params, revision).await;
        let (wanted, number, checked, engine) = match checked {
            Ok(checked) => checked,
            Err(error) => match self.job_of_key(context, &key).await? {
                Some(job_id) => return self.job_and_run(context, job_id).await,
                None => return Err(error),
            },
        };
        let operation = self.operation(run_start::START)?;
        let (job_id, _) = self
            .create_job(context, Act::new(plural, "run"), key, move |m, job_id| {
                let resource = lock(m.tx, m.context.scope, kind_name, &wanted)?;
                require_active(resource.state, &resource.name)?;
                let run_id: RunId = m.id();
                let run_number = resource.last_run + 1;
                m.tx.exec_later(
                    "INSERT INTO run (id, tenant_id, project_id, resource_id, kind, number, revision, state, params, engine, attempt,
                       job_id, log_lines, log_bytes, version, created_by, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $9, 1, $10, 0, 0, 1, $11, $12)",
                    params![
                        run_id,
                        m.context.scope.tenant_id,
                        m.context.scope.project_id,
                        resource.id,
                        kind_name,
                        run_number,
                        number,
                        checked.to_string(),
                        engine,
                        job_id,
                        m.context.principal.name,
                        m.now
                    ],
                )?;
                m.tx.exec_later(
                    "INSERT INTO run_attempt (run_id, attempt, state, cursor) VALUES ($1, 1, 'queued', 0)",
                    params![run_id],
                )?;
                m.tx.exec_later("UPDATE resource SET last_run = $2 WHERE id = $1", params![resource.id, run_number])?;
                let subject = Subject {
                    kind: Some(kind_name),
                    resource_id: Some(resource.id),
                    resource_name: Some(&resource.name),
                    run_id: Some(run_id),
                    job_id: Some(job_id),
                };
                m.event("run.queued", subject, &json!({ "number": run_number, "revision": number, "attempt": 1 }))?;
                let input = RunInput { run_id, attempt: 1 }.to_json();
                NewJob { id: job_id, operation: &*operation, input: &input, resource_id: Some(resource.id), run_id: Some(run_id) }.insert(m)?;
                let change = Change::add(format!("/runs/{run_number}"), json!({ "revision": number, "params": checked }));
                m.audit(&Object { kind: kind_name, id: resource.id.uuid(), name: &resource.name }, &[change], Some(job_id))
            })
            .await?;
        self.job_and_run(context, job_id).await
    }

    /// What a run would start from: the resource's name, the revision's number, the parameters with their defaults, and the
    /// engine that carries it out.
    async fn run_check(
        &self,
        scope: Scope,
        kind: &dyn Kind,
        name: &str,
        run_params: &Value,
        revision: Option<i64>,
    ) -> Result<(String, i64, Value, &'static str)> {
        let kind_name = kind.info().kind;
        let resource = self.resource_get(scope, kind_name, name).await?;
        let number = match (revision, &resource.published) {
            (Some(number), _) => number,
            (None, Some(published)) => published.number,
            (None, None) => {
                return Err(Error::conflict(
                    "nothing_published",
                    format!("{name} has no published revision to run; publish one first"),
                ));
            }
        };
        let pinned = self.revision_get(scope, kind_name, name, number).await?;
        if pinned.summary.published_at.is_none() {
            return Err(Error::conflict(
                "revision_never_published",
                format!("revision {number} of {name} was never published; only published specs run"),
            ));
        }
        let checked = kind.run_params(&pinned.spec, run_params).map_err(params_invalid)?;
        let engine = kind.engine(&pinned.spec, &checked);
        let engine =
            engine.ok_or_else(|| Error::conflict("kind_not_runnable", format!("{name} has no runs")))?;
        Ok((resource.name, number, checked, engine))
    }

    /// Asks a run to end. Its job ends when it has.
    pub async fn run_stop(
        &self,
        context: &Context,
        id: &str,
        reason: String,
        key: IdempotencyKey,
    ) -> Result<(Job, Run)> {
        let run = self.run_get(context.scope, id).await?;
        let plural = self.plural_of(&run.kind);
        let operation = self.operation(run_stop::STOP)?;
        let (job_id, starting) = self
            .create_job(context, Act::new(plural, "stop").because(reason), key, move |m, job_id| {
                let run = run_lock(m.tx, m.context.scope, run.id)?;
                if run.state.is_terminal() {
                    return Err(Error::conflict("run_ended", format!("{}#{} is {} already", run.resource_name, run.number, run.state)));
                }
                m.tx.exec(
                    "UPDATE run SET stop_requested_at = COALESCE(stop_requested_at, $2), version = version + 1 WHERE id = $1",
                    params![run.id, m.now],
                )?;
                let starting = run.external_id.is_none();
                if starting {
                    cancel_request(m, run.job_id)?;
                }
                record(m, &run, job_id, "run.stop_requested", Change::replace("/stop_requested", false.into(), true.into()))?;
                let input = RunInput { run_id: run.id, attempt: run.attempt }.to_json();
                NewJob { id: job_id, operation: &*operation, input: &input, resource_id: Some(run.resource_id), run_id: Some(run.id) }.insert(m)?;
                Ok(starting)
            })
            .await?;
        if starting == Some(true) {
            self.in_flight.cancel(run.job_id);
        }
        self.job_and_run(context, job_id).await
    }

    /// Starts the next attempt of a run that failed or was stopped, with the same revision and parameters.
    pub async fn run_retry(
        &self,
        context: &Context,
        id: &str,
        reason: String,
        key: IdempotencyKey,
    ) -> Result<(Job, Run)> {
        let run = self.run_get(context.scope, id).await?;
        let plural = self.plural_of(&run.kind);
        let operation = self.operation(run_start::RETRY)?;
        let (job_id, _) = self
            .create_job(context, Act::new(plural, "retry").because(reason), key, move |m, job_id| {
                let run = run_lock(m.tx, m.context.scope, run.id)?;
                let state = run.state.retry()?;
                let attempt = run.attempt + 1;
                m.tx.exec_later(
                    "UPDATE run SET state = $2, attempt = $3, job_id = $4, code = NULL, message = NULL, progress = NULL, failure = NULL,
                       serving = NULL, results = NULL, started_at = NULL, ended_at = NULL, stop_requested_at = NULL, version = version + 1,
                       log_bytes = (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM run_log WHERE run_id = run.id)
                     WHERE id = $1",
                    params![run.id, state.as_str(), attempt, job_id],
                )?;
                m.tx.exec_later(
                    "INSERT INTO run_attempt (run_id, attempt, state, cursor) VALUES ($1, $2, 'queued', 0)",
                    params![run.id, attempt],
                )?;
                record(m, &run, job_id, "run.queued", Change::replace("/attempt", run.attempt.into(), attempt.into()))?;
                let input = RunInput { run_id: run.id, attempt }.to_json();
                NewJob { id: job_id, operation: &*operation, input: &input, resource_id: Some(run.resource_id), run_id: Some(run.id) }.insert(m).map(drop)
            })
            .await?;
        self.job_and_run(context, job_id).await
    }

    async fn job_and_run(&self, context: &Context, job_id: JobId) -> Result<(Job, Run)> {
        let job = self.job_get(context.scope, job_id).await?;
        let run_id =
            job.run_id.ok_or_else(|| Error::internal("job_without_run", "the job of a run names no run"))?;
        let run = self.run_get(context.scope, &run_id.to_string()).await?;
        Ok((job, run))
    }

    pub(super) fn plural_of(&self, kind: &str) -> &'static str {
        self.registry.find_kind(kind).map_or("runs", |kind| kind.info().plural)
    }
}

fn record(
    m: &mut Mutation<'_, '_>,
    run: &StoredRun,
    job_id: JobId,
    event: &str,
    change: Change,
) -> Result<()> {
    let subject = Subject {
        kind: Some(&run.kind),
        resource_id: Some(run.resource_id),
        resource_name: Some(&run.resource_name),
        run_id: Some(run.id),
        job_id: Some(job_id),
    };
    let data = json!({ "number": run.number, "change": change, "reason": m.reason() });
    m.event(event, subject, &data)?;
    let name = format!("{}#{}", run.resource_name, run.number);
    m.audit(&Object { kind: "Run", id: run.id.uuid(), name: &name }, &[change], Some(job_id))
}

fn params_invalid(violations: Vec<Violation>) -> Error {
    let n = violations.len();
    Error::invalid(
        "params_invalid",
        format!("the run's parameters have {n} violation{}", if n == 1 { "" } else { "s" }),
    )
    .with_violations(violations)
}
