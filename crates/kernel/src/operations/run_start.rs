//! Starting a run's attempt: the job ends when the engine has adopted it; from then on the run is observed.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    diff::Change,
    error::{Error, ErrorKind, Result},
    id::RunId,
    plan::Risk,
    state::RunState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{RunInput, engine_missing, read};
use crate::{
    engine::Submitted,
    jobs::JobResource,
    mutation::{Mutation, Subject},
    observer::Follow,
    operation::{Apply, Ending, Intended, Intent, Operation, Outcome, Planned, Step, View, plan_of, step},
    params,
    runs::{self, NewRun, params_invalid, run_lock},
    slots,
};

pub const START: &str = "run.start";
pub const RETRY: &str = "run.retry";

/// Starts the first attempt of a new run, or the next one of a run that ended.
pub(crate) struct Start {
    pub name: &'static str,
}

/// A new run that is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StartRequest {
    pub kind: String,
    pub name: String,
    pub params: Value,
    /// The published one where none is named.
    pub revision: Option<i64>,
}

/// A run that is to be tried again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RetryRequest {
    pub run_id: RunId,
}

/// What the plan of a new run came to.
#[derive(Debug, Serialize, Deserialize)]
struct Resolved {
    resource: JobResource,
    /// The run's.
    number: i64,
    revision: i64,
    params: Value,
    engine: String,
}

fn plan_start(input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
    let wanted: StartRequest = read(input)?;
    let Some(kind) = view.registry().find_kind(&wanted.kind).cloned() else {
        return Err(Error::internal("kind_unknown", format!("no kind {} is registered", wanted.kind)));
    };
    let resource = view.resource(&wanted.kind, &wanted.name)?;
    let number = match wanted.revision {
        Some(number) => number,
        None => view.published(&resource).ok_or_else(|| {
            let detail = format!("{} has no published revision to run; publish one first", wanted.name);
            Error::conflict("nothing_published", detail)
        })?,
    };
    let revision = view.revision(&resource, number)?;
    if revision.published_at.is_none() {
        let detail =
            format!("revision {number} of {} was never published; only published specs run", wanted.name);
        return Err(Error::conflict("revision_never_published", detail));
    }
    let params = kind.run_params(&revision.spec, &wanted.params).map_err(params_invalid)?;
    let engine = kind
        .engine(&revision.spec, &params)
        .ok_or_else(|| Error::conflict("kind_not_runnable", format!("{} has no runs", kind.info().plural)))?;
    let change = Change::add("/runs/-", json!({ "revision": number, "params": params, "engine": engine }));
    let title = format!("Hand a run of revision {number} to the engine {engine}");
    let steps = vec![step("submit", &title, &resource.path, vec![change], Risk::Low)];
    let mut plan = plan_of(START, input, steps)?;
    plan.postconditions.push(format!("the engine {engine} has adopted the run"));
    let resolved = Resolved {
        number: resource.last_run + 1,
        resource: JobResource { kind: resource.kind, id: resource.id, name: resource.name },
        revision: number,
        params,
        engine: engine.to_owned(),
    };
    Ok(Planned { plan, resolved: json!(resolved), reviewed: false })
}

fn plan_retry(input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
    let wanted: RetryRequest = read(input)?;
    let run = view.run(wanted.run_id)?;
    run.state.retry()?;
    let attempt = run.attempt + 1;
    let change = Change::replace("/attempt", run.attempt.into(), attempt.into());
    let title = format!("Hand attempt {attempt} to the engine {}", run.engine);
    let mut plan = plan_of(RETRY, input, vec![step("submit", &title, &run.path, vec![change], Risk::Low)])?;
    plan.postconditions.push(format!("the engine {} has adopted attempt {attempt}", run.engine));
    Ok(plan.into())
}

#[async_trait]
impl Operation for Start {
    fn name(&self) -> &'static str {
        self.name
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        if self.name == RETRY { plan_retry(input, view) } else { plan_start(input, view) }
    }

    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        if self.name == RETRY {
            return runs::intend_retry(m, intent.job_id, read::<RetryRequest>(intent.input)?.run_id);
        }
        let Resolved { resource, number, revision, params, engine } = read(&intent.planned.resolved)?;
        let new = NewRun { number, revision, params: &params, engine: &engine };
        runs::intend_start(m, intent.job_id, resource, &new)
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(5)
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let Ok(input) = serde_json::from_value::<RunInput>(step.input.clone()) else {
            return Outcome::Fatal(Error::internal("bad_job_input", "the job's input cannot be read"));
        };
        let mut candidate = match step.kernel.run_candidate(step.context.scope, input.run_id).await {
            Ok(found) => found,
            Err(error) if error.kind == ErrorKind::NotFound => return Outcome::Fatal(error),
            Err(error) => return Outcome::Retry(error),
        };
        let run = &candidate.run;
        if run.attempt != input.attempt || run.state.is_terminal() {
            return Outcome::Superseded {
                by: format!("attempt {} of the run, which is {}", run.attempt, run.state),
            };
        }
        let Some(engine) = step.kernel.registry.find_engine(&run.engine) else {
            return engine_missing(&run.engine);
        };
        match step.kernel.run_admit(step.job_id, &candidate).await {
            Ok(None) => {}
            Ok(Some(waiting_for)) => return Outcome::Wait { after: slots::LOOK_AGAIN, waiting_for },
            Err(error) => return Outcome::Retry(error),
        }
        let ticket = &mut candidate.ticket;
        ticket.correlation_id.clone_from(&step.context.ids.correlation_id);
        let submitted = tokio::select! {
            submitted = engine.submit(ticket) => submitted,
            // The next look either calls the start off or leaves it to the worker that has the lease now.
            () = step.cancelled.cancelled() => {
                return Outcome::Retry(Error::unavailable("start_interrupted", "the start was interrupted"));
            }
        };
        match submitted {
            Ok(Submitted::Adopted { external_id }) => {
                let output = json!({ "external_id": external_id });
                let follow = step.kernel.run_follow(ticket, &**engine, &external_id).await;
                Outcome::done_with(output, move |m| adopted(m, input, &external_id, follow.as_ref()))
            }
            Ok(Submitted::NotYet { look_again, waiting_for }) => {
                Outcome::Wait { after: look_again, waiting_for }
            }
            Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal) => {
                Outcome::Retry(error)
            }
            Err(error) => Outcome::Fatal(error),
        }
    }

    /// The engine may have the attempt although its answer was never kept: it must not go on unobserved.
    async fn call_off(&self, step: &Step<'_>) -> Result<()> {
        let Ok(input) = serde_json::from_value::<RunInput>(step.input.clone()) else { return Ok(()) };
        let (mut ticket, run) = step.kernel.run_ticket(step.context.scope, input.run_id).await?;
        if run.attempt != input.attempt || run.state.is_terminal() {
            return Ok(());
        }
        // A worker that died in an attempt before this one cannot say how far it came.
        ticket.tried_before = step.attempt > 1;
        match step.kernel.registry.find_engine(&run.engine) {
            Some(engine) => match engine.stop(&ticket).await {
                Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
                stopped => stopped,
            },
            None => Ok(()),
        }
    }

    fn ended(&self, input: &Value, ending: &Ending) -> Option<Apply> {
        let input: RunInput = serde_json::from_value(input.clone()).ok()?;
        let ending = ending.clone();
        Some(Box::new(move |m| not_started(m, input, &ending)))
    }
}

fn adopted(
    m: &mut Mutation<'_, '_>,
    input: RunInput,
    external_id: &str,
    follow: Option<&Follow>,
) -> Result<()> {
    m.tx.exec_later(
        "UPDATE run_attempt SET external_id = $3 WHERE run_id = $1 AND attempt = $2",
        params![input.run_id, input.attempt, external_id],
    )?;
    match follow {
        Some(follow) => follow.write(m)?,
        None => m.wake_runs(),
    }
    Ok(())
}

/// The job failed or was cancelled before the engine took the run: the run ends with it.
fn not_started(m: &mut Mutation<'_, '_>, input: RunInput, ending: &Ending) -> Result<()> {
    let run = run_lock(m.tx, m.context.scope, input.run_id)?;
    if run.attempt != input.attempt || run.state.is_terminal() {
        return Ok(());
    }
    let (state, code, message) = match ending {
        Ending::Failed { code, message } => (RunState::Failed, Some(code.as_str()), message.as_str()),
        Ending::Cancelled { .. } => (RunState::Stopped, None, "stopped before it started"),
    };
    run.state.step(state)?;
    m.tx.exec_later(
        "UPDATE run SET state = $2, code = $3, message = $4, ended_at = $5, version = version + 1 WHERE id = $1",
        params![run.id, state.as_str(), code, message, m.now],
    )?;
    m.tx.exec_later(
        "UPDATE run_attempt SET state = $3, code = $4, message = $5, ended_at = $6 WHERE run_id = $1 AND attempt = $2",
        params![run.id, run.attempt, state.as_str(), code, message, m.now],
    )?;
    if slots::release(m.tx, m.context.scope, &run, m.due_now)? {
        m.wake_jobs();
    }
    let subject = Subject {
        kind: Some(&run.kind),
        resource_id: Some(run.resource_id),
        resource_name: Some(&run.resource_name),
        run_id: Some(run.id),
        job_id: None,
    };
    m.event(
        &format!("run.{state}"),
        subject,
        &json!({ "number": run.number, "attempt": run.attempt, "code": code, "message": message }),
    )
}
