//! Stopping a run: its engine is asked, and the job ends when the run was observed to have ended.

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
    mutation::Mutation,
    operation::{Intended, Intent, Operation, Outcome, Planned, Step, View, plan_of, step},
    runs,
};

pub const STOP: &str = "run.stop";
/// The end of a run wakes its stop job; this is the net below.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(crate) struct Stop;

/// A run that is to end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StopRequest {
    pub run_id: RunId,
}

#[async_trait]
impl Operation for Stop {
    fn name(&self) -> &'static str {
        STOP
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        let wanted: StopRequest = read(input)?;
        let run = view.run(wanted.run_id)?;
        if run.state.is_terminal() {
            let detail = format!("{}#{} is {} already", run.resource_name, run.number, run.state);
            return Err(Error::conflict("run_ended", detail));
        }
        let change = Change::replace("/state", json!(run.state), json!(RunState::Stopped));
        let ask = format!("Ask the engine {} to stop the run", run.engine);
        let steps = vec![
            step("stop", &ask, &run.path, vec![change], Risk::Medium),
            step("ended", "Wait until the run has ended", &run.path, vec![], Risk::Low),
        ];
        let mut plan = plan_of(STOP, input, steps)?;
        plan.postconditions.push(format!("{} has ended", run.path));
        Ok(plan.into())
    }

    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        runs::intend_stop(m, intent.job_id, read::<StopRequest>(intent.input)?.run_id)
    }

    /// Whoever stops a run waits for it.
    fn priority(&self) -> i64 {
        0
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
            // Its own server may be restarting: the wish waits for it, however long.
            Err(error) if error.code == "another_servers_run" => Outcome::Wait {
                after: LOOK_AGAIN,
                waiting_for: format!("the server that has it: {}", error.detail),
            },
            Err(error) => Outcome::Retry(error),
        }
    }
}
