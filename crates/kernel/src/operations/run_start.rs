//! Starting a run's attempt: the job ends when the engine has adopted it; from then on the run is observed.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    error::{Error, ErrorKind, Result},
    plan::Plan,
    state::RunState,
};
use serde_json::{Value, json};

use super::{RunInput, engine_missing};
use crate::{
    engine::Submitted,
    mutation::{Mutation, Subject},
    operation::{Apply, Ending, Operation, Outcome, Step, plan},
    params,
    runs::run_lock,
};

pub const START: &str = "run.start";
pub const RETRY: &str = "run.retry";

/// Starts an attempt; a retry differs only in which attempt it is.
pub(crate) struct Start {
    pub name: &'static str,
}

#[async_trait]
impl Operation for Start {
    fn name(&self) -> &'static str {
        self.name
    }

    fn plan(&self, input: &Value) -> Result<Plan> {
        let target = format!("runs/{}", input["run_id"].as_str().unwrap_or(""));
        plan(self.name, input, &target, &[("submit", "Hand the run to its engine")])
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(5)
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let Ok(input) = serde_json::from_value::<RunInput>(step.input.clone()) else {
            return Outcome::Fatal(Error::internal("bad_job_input", "the job's input cannot be read"));
        };
        let (mut ticket, run) = match step.kernel.run_ticket(step.context.scope, input.run_id).await {
            Ok(found) => found,
            Err(error) if error.kind == ErrorKind::NotFound => return Outcome::Fatal(error),
            Err(error) => return Outcome::Retry(error),
        };
        if run.attempt != input.attempt || run.state.is_terminal() {
            return Outcome::Superseded {
                by: format!("attempt {} of the run, which is {}", run.attempt, run.state),
            };
        }
        ticket.correlation_id.clone_from(&step.context.ids.correlation_id);
        let Some(engine) = step.kernel.registry.find_engine(&run.engine) else {
            return engine_missing(&run.engine);
        };
        let submitted = tokio::select! {
            submitted = engine.submit(&ticket) => submitted,
            // The next look either calls the start off or leaves it to the worker that has the lease now.
            () = step.cancelled.cancelled() => {
                return Outcome::Retry(Error::unavailable("start_interrupted", "the start was interrupted"));
            }
        };
        match submitted {
            Ok(Submitted::Adopted { external_id }) => {
                let output = json!({ "external_id": external_id });
                Outcome::done_with(output, move |m| adopted(m, input, &external_id))
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
        let (ticket, run) = step.kernel.run_ticket(step.context.scope, input.run_id).await?;
        if run.attempt != input.attempt || run.state.is_terminal() {
            return Ok(());
        }
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

fn adopted(m: &mut Mutation<'_, '_>, input: RunInput, external_id: &str) -> Result<()> {
    m.tx.exec_later(
        "UPDATE run_attempt SET external_id = $3 WHERE run_id = $1 AND attempt = $2",
        params![input.run_id, input.attempt, external_id],
    )?;
    m.wake_runs();
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
