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
    access::objects::On,
    changes::{Changed, Request},
    context::Context,
    idempotency::IdempotencyKey,
    jobs::{Job, JobResource, cancel_request},
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation, Object, Subject},
    operation::Intended,
    operations::{
        RunInput,
        run_start::{self, RetryRequest, StartRequest},
        run_stop::{self, StopRequest},
    },
    params,
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
        let changed = self.change(context, start_request(kind, name, run_params, revision)?, key).await?;
        self.job_and_run(context, changed).await
    }

    /// Asks a run to end. Its job ends when it has.
    pub async fn run_stop(
        &self,
        context: &Context,
        id: &str,
        reason: String,
        key: IdempotencyKey,
    ) -> Result<(Job, Run)> {
        let request = self.stop_request(context, id, reason).await?;
        let changed = self.change(context, request, key).await?;
        self.job_and_run(context, changed).await
    }

    /// Starts the next attempt of a run that failed or was stopped, with the same revision and parameters.
    pub async fn run_retry(
        &self,
        context: &Context,
        id: &str,
        reason: String,
        key: IdempotencyKey,
    ) -> Result<(Job, Run)> {
        let request = self.retry_request(context, id, reason).await?;
        let changed = self.change(context, request, key).await?;
        self.job_and_run(context, changed).await
    }

    /// To end a run.
    pub async fn stop_request(&self, context: &Context, id: &str, reason: String) -> Result<Request> {
        let on = On::Run(id.to_owned());
        self.permit(context, "runs.read", on.clone()).await?;
        let run = self.run_get(context.scope, id).await?;
        Ok(Request {
            act: Act::new(self.plural_of(&run.kind), "stop").because(reason).on(on),
            operation: run_stop::STOP.into(),
            input: json!(StopRequest { run_id: run.id }),
        })
    }

    /// To try a run again.
    pub async fn retry_request(&self, context: &Context, id: &str, reason: String) -> Result<Request> {
        let on = On::Run(id.to_owned());
        self.permit(context, "runs.read", on.clone()).await?;
        let run = self.run_get(context.scope, id).await?;
        Ok(Request {
            act: Act::new(self.plural_of(&run.kind), "retry").because(reason).on(on),
            operation: run_start::RETRY.into(),
            input: json!(RetryRequest { run_id: run.id }),
        })
    }

    async fn job_and_run(&self, context: &Context, changed: Changed) -> Result<(Job, Run)> {
        let job = self.job_of(context, changed).await?;
        let run_id =
            job.run_id.ok_or_else(|| Error::internal("job_without_run", "the job of a run names no run"))?;
        let run = self.run_get(context.scope, &run_id.to_string()).await?;
        Ok((job, run))
    }

    pub(super) fn plural_of(&self, kind: &str) -> &'static str {
        self.registry.find_kind(kind).map_or("runs", |kind| kind.info().plural)
    }
}

/// To start a run.
///
/// # Errors
/// `kind_not_runnable` (409) for a kind without runs.
pub fn start_request(kind: &dyn Kind, name: &str, params: Value, revision: Option<i64>) -> Result<Request> {
    let info = kind.info();
    if !info.runnable() {
        return Err(Error::conflict("kind_not_runnable", format!("{} has no runs", info.plural)));
    }
    let wanted = StartRequest { kind: info.kind.into(), name: name.into(), params, revision };
    Ok(Request {
        act: Act::new(info.plural, "run").on(On::revision(info.kind, name, revision)),
        operation: run_start::START.into(),
        input: json!(wanted),
    })
}

/// A run about to be written.
pub(crate) struct NewRun<'a> {
    pub number: i64,
    pub revision: i64,
    pub params: &'a Value,
    pub engine: &'a str,
}

/// The resource's row is locked by the plan, which counted its runs.
pub(crate) fn intend_start(
    m: &mut Mutation<'_, '_>,
    job_id: JobId,
    resource: JobResource,
    new: &NewRun<'_>,
) -> Result<Intended> {
    let run_id: RunId = m.id();
    let number = new.number;
    m.tx.exec_later(
        "INSERT INTO run (id, tenant_id, project_id, resource_id, kind, number, revision, state, params, engine, attempt,
           job_id, log_lines, log_bytes, version, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $9, 1, $10, 0, 0, 1, $11, $12)",
        params![
            run_id,
            m.context.scope.tenant_id,
            m.context.scope.project_id,
            resource.id,
            resource.kind,
            number,
            new.revision,
            new.params.to_string(),
            new.engine,
            job_id,
            m.context.principal.name,
            m.now
        ],
    )?;
    m.tx.exec_later(
        "INSERT INTO run_attempt (run_id, attempt, state, cursor) VALUES ($1, 1, 'queued', 0)",
        params![run_id],
    )?;
    m.tx.exec_later("UPDATE resource SET last_run = $2 WHERE id = $1", params![resource.id, number])?;
    let subject = Subject {
        kind: Some(&resource.kind),
        resource_id: Some(resource.id),
        resource_name: Some(&resource.name),
        run_id: Some(run_id),
        job_id: Some(job_id),
    };
    m.event("run.queued", subject, &json!({ "number": number, "revision": new.revision, "attempt": 1 }))?;
    let change =
        Change::add(format!("/runs/{number}"), json!({ "revision": new.revision, "params": new.params }));
    let object = Object { kind: &resource.kind, id: resource.id.uuid(), name: &resource.name };
    m.audit(&object, &[change], Some(job_id))?;
    let input = RunInput { run_id, attempt: 1 }.to_json();
    Ok(Intended { input, resource: Some(resource), run_id: Some(run_id) })
}

pub(crate) fn intend_stop(m: &mut Mutation<'_, '_>, job_id: JobId, run_id: RunId) -> Result<Intended> {
    let run = run_lock(m.tx, m.context.scope, run_id)?;
    m.tx.exec(
        "UPDATE run SET stop_requested_at = COALESCE(stop_requested_at, $2), version = version + 1 WHERE id = $1",
        params![run.id, m.now],
    )?;
    if run.external_id.is_none() {
        cancel_request(m, run.job_id)?;
    }
    let change = Change::replace("/stop_requested", false.into(), true.into());
    record(m, &run, job_id, "run.stop_requested", change)?;
    let input = RunInput { run_id: run.id, attempt: run.attempt }.to_json();
    Ok(Intended { input, run_id: Some(run.id), resource: Some(run.into_resource()) })
}

pub(crate) fn intend_retry(m: &mut Mutation<'_, '_>, job_id: JobId, run_id: RunId) -> Result<Intended> {
    let run = run_lock(m.tx, m.context.scope, run_id)?;
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
    let change = Change::replace("/attempt", run.attempt.into(), attempt.into());
    record(m, &run, job_id, "run.queued", change)?;
    let input = RunInput { run_id: run.id, attempt }.to_json();
    Ok(Intended { input, run_id: Some(run.id), resource: Some(run.into_resource()) })
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

pub(crate) fn params_invalid(violations: Vec<Violation>) -> Error {
    let n = violations.len();
    Error::invalid(
        "params_invalid",
        format!("the run's parameters have {n} violation{}", if n == 1 { "" } else { "s" }),
    )
    .with_violations(violations)
}
