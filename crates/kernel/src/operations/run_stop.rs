//! Stopping a run: its engine is asked, and the job ends when the run was observed to have ended.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    error::{Error, ErrorKind, Result},
    plan::Plan,
};
use serde_json::{Value, json};

use super::{RunInput, engine_missing};
use crate::operation::{Operation, Outcome, Step, plan};

pub const STOP: &str = "run.stop";
/// The end of a run wakes its stop job; this is the net below.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(crate) struct Stop;

#[async_trait]
impl Operation for Stop {
    fn name(&self) -> &'static str {
        STOP
    }

    fn plan(&self, input: &Value) -> Result<Plan> {
        let target = format!("runs/{}", input["run_id"].as_str().unwrap_or(""));
        plan(
            STOP,
            input,
            &target,
            &[("stop", "Ask the engine to stop the run"), ("ended", "Wait until the run has ended")],
        )
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let Ok(input) = serde_json::from_value::<RunInput>(step.input.clone()) else {
            return Outcome::Fatal(Error::internal("bad_job_input", "the job's input cannot be read"));
        };
        let (ticket, run) = match step.kernel.run_ticket(step.context.scope, input.run_id).await {
            Ok(found) => found,
            Err(error) if error.kind == ErrorKind::NotFound => return Outcome::Fatal(error),
            Err(error) => return Outcome::Retry(error),
        };
        if run.attempt != input.attempt || run.state.is_terminal() {
            return Outcome::done(json!({ "state": run.state }));
        }
        if step.name == "ended" {
            return Outcome::Wait { after: LOOK_AGAIN, waiting_for: "the run to end".into() };
        }
        if ticket.external_id.is_none() {
            // Its start was asked to cancel; if the engine takes it all the same, the next look stops it there.
            return Outcome::Wait {
                after: Duration::from_millis(200),
                waiting_for: "the start of the run to be called off".into(),
            };
        }
        let Some(engine) = step.kernel.registry.find_engine(&run.engine) else {
            return engine_missing(&run.engine);
        };
        match engine.stop(&ticket).await {
            Ok(()) => Outcome::done(json!({ "asked": true })),
            Err(error) => Outcome::Retry(error),
        }
    }
}
