//! `toy.five`: an operation of five steps on the fake world ([`crate::world`]), each of which can be told to go wrong.
//!
//! It enters under the locks that are asked for, acts, waits for the world once, acts again, looks whether all is there and
//! leaves. Its effects are named after what was asked for and not after the job, so that two jobs for one request would meet in
//! the world.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    plan::Risk,
};
use qd_kernel::operation::{Apply, Operation, Outcome, Planned, Step, View, plan_of, step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::world::client::{Deed, Phase, WorldClient};

pub const FIVE: &str = "toy.five";

const STEPS: [(&str, &str, Phase); 5] = [
    ("enter", "Enter under the locks", Phase::Enter),
    ("first", "Act", Phase::Inside),
    ("ready", "Wait until the world is ready", Phase::Inside),
    ("second", "Act again", Phase::Inside),
    ("leave", "See that all is there, and leave", Phase::Leave),
];

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Unlike that of any other request.
    name: String,
    /// Of the world.
    world: String,
    #[serde(default)]
    locks: Vec<String>,
    /// How long each act takes, ms.
    #[serde(default)]
    act_ms: u64,
    /// How long the world takes to be ready, ms.
    #[serde(default)]
    wait_ms: u64,
    fail: Option<Fail>,
}

/// The step that goes wrong after it acted: so often that another try helps, or for good.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    step: String,
    /// For good where absent.
    times: Option<u32>,
}

pub struct Five {
    world: WorldClient,
}

impl Five {
    pub fn new() -> Result<Self> {
        Ok(Self { world: WorldClient::new("")? })
    }
}

fn read(input: &Value) -> Result<Input> {
    Input::deserialize(input).map_err(|error| Error::malformed("bad_five", error.to_string()))
}

/// What a step does. The job itself is a key, so that also a job without locks is fenced.
fn deed(step: &Step<'_>, input: &Input) -> Deed {
    let phase = STEPS.get(step.index).map_or(Phase::Free, |(.., phase)| *phase);
    let mut keys: BTreeMap<String, i64> = input
        .locks
        .iter()
        .map(|key| (format!("{}/{key}", step.context.scope.project_id), step.fence(key)))
        .collect();
    keys.insert(format!("job/{}", step.job_id), step.fencing_token);
    Deed {
        name: format!("{}/{}", input.name, step.name),
        holder: step.job_id.to_string(),
        keys,
        phase,
        ready_after_ms: if step.name == "ready" { input.wait_ms } else { 0 },
    }
}

impl Five {
    async fn act(&self, step: &Step<'_>) -> Result<Outcome> {
        let input = read(step.input)?;
        let world = self.world.at(&input.world);
        if step.name == "leave" {
            for (name, ..) in &STEPS[..4] {
                if !world.holds(&format!("{}/{name}", input.name)).await? {
                    let detail = format!("{name} is not there");
                    return Ok(Outcome::Fatal(Error::internal("five_missing", detail)));
                }
            }
        }
        if step.name == "first" || step.name == "second" {
            tokio::time::sleep(Duration::from_millis(input.act_ms)).await;
        }
        let done = world.act(&deed(step, &input)).await?;
        if let Some(fail) = input.fail.filter(|fail| fail.step == step.name) {
            let error = Error::unavailable("five_failed", "it was told to fail");
            match fail.times {
                None => return Ok(Outcome::Fatal(error)),
                Some(times) if step.attempt <= times => return Ok(Outcome::Retry(error)),
                Some(_) => {}
            }
        }
        if done.ready_in_ms > 0 {
            let after = Duration::from_millis(done.ready_in_ms);
            return Ok(Outcome::Wait { after, waiting_for: "the world to be ready".into() });
        }
        Ok(Outcome::done(json!({ "effect": step.name })))
    }

    async fn take_back(&self, step: &Step<'_>) -> Result<()> {
        let input = read(step.input)?;
        self.world.at(&input.world).undo(&deed(step, &input)).await
    }
}

#[async_trait]
impl Operation for Five {
    fn name(&self) -> &'static str {
        FIVE
    }

    fn plan(&self, input: &Value, _view: &mut View<'_, '_>) -> Result<Planned> {
        let wanted = read(input)?;
        let steps =
            STEPS.iter().map(|(name, title, _)| step(name, title, &wanted.name, vec![], Risk::Low)).collect();
        let mut plan = plan_of(FIVE, input, steps)?;
        plan.locks = wanted.locks;
        Ok(plan.into())
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        self.act(step).await.unwrap_or_else(Outcome::Retry)
    }

    /// An attempt may have acted before it went wrong.
    async fn call_off(&self, step: &Step<'_>) -> Result<()> {
        self.take_back(step).await
    }

    fn undoable(&self, _step: &str) -> bool {
        true
    }

    async fn undo(&self, step: &Step<'_>) -> Result<Option<Apply>> {
        self.take_back(step).await.map(|()| None)
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_secs(10)
    }

    fn max_attempts(&self, _step: &str) -> u32 {
        // A storm kills the same step's worker many times; that is no fault of the step.
        1000
    }
}
