//! Changes that are carried out as jobs. A plane writes what the steps are and what each does; the job engine makes each
//! take effect once.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    canonical::hash_json,
    error::{Error, Result},
    id::JobId,
    plan::{Plan, PlanStep, Risk},
    time::Timestamp,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{context::Context, kernel::Kernel, mutation::Mutation};

/// Database work of a step or of a job's end: runs in the transaction that commits it, behind the fence.
pub type Apply = Box<dyn FnMut(&mut Mutation<'_, '_>) -> Result<()> + Send>;

/// The code of an error by which an [`Apply`] ends its job as superseded; the detail says by what.
pub const SUPERSEDED: &str = "job_superseded";

/// What a step came to.
pub enum Outcome {
    /// The step took effect. `output` is kept on the step and handed to those after it.
    Done { output: Value, apply: Option<Apply> },
    /// The world is not ready. The step is looked at again `after` this long; no worker is held meanwhile.
    Wait { after: Duration, waiting_for: String },
    /// It went wrong in a way that may pass: tried again with backoff until the attempts are used up.
    Retry(Error),
    /// It went wrong for good.
    Fatal(Error),
    /// Something newer made this job pointless; it ends as cancelled and names what.
    Superseded { by: String },
}

impl Outcome {
    pub fn done(output: Value) -> Self {
        Self::Done { output, apply: None }
    }

    pub fn done_with(
        output: Value,
        apply: impl FnMut(&mut Mutation<'_, '_>) -> Result<()> + Send + 'static,
    ) -> Self {
        Self::Done { output, apply: Some(Box::new(apply)) }
    }
}

/// One attempt of one step.
pub struct Step<'a> {
    pub kernel: &'a Kernel,
    /// The job's creator, scope and ids; outbound calls carry them on.
    pub context: &'a Context,
    pub job_id: JobId,
    pub name: &'a str,
    /// From 1.
    pub attempt: u32,
    pub input: &'a Value,
    /// Outputs of the steps before, by index.
    pub outputs: &'a [Value],
    /// Fires when somebody asks to cancel the job, or when its lease is lost.
    pub cancelled: CancellationToken,
    /// Guards writes to the outside: only ever grows for one job.
    pub fencing_token: i64,
    pub now: Timestamp,
}

/// How a job ended when it did not succeed.
#[derive(Debug, Clone)]
pub enum Ending {
    Failed { code: String, message: String },
    Cancelled { reason: String },
}

#[async_trait]
pub trait Operation: Send + Sync + 'static {
    /// `run.start`
    fn name(&self) -> &'static str;

    /// The ordered steps for this input. Pure: the same input gives the same bytes.
    fn plan(&self, input: &Value) -> Result<Plan>;

    async fn run(&self, step: &Step<'_>) -> Outcome;

    /// Called instead of [`Operation::run`] when the job was asked to cancel before this step was done, and before the job
    /// fails in this step: takes back what an attempt may have left outside. An error is tried again until it succeeds.
    async fn call_off(&self, _step: &Step<'_>) -> Result<()> {
        Ok(())
    }

    /// How long one attempt of a step may take before it is cut off and counted as a retry.
    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_secs(60)
    }

    /// How often a step is tried before its error is final.
    fn max_attempts(&self, _step: &str) -> u32 {
        5
    }

    /// What else to write when the job ends without success, in the same transaction.
    fn ended(&self, _input: &Value, _ending: &Ending) -> Option<Apply> {
        None
    }
}

/// A plan of steps that each act on one target and carry no diff of their own.
pub fn plan(operation: &str, input: &Value, target: &str, steps: &[(&str, &str)]) -> Result<Plan> {
    Ok(Plan {
        operation: operation.to_owned(),
        input_hash: hash_json(input)?,
        steps: steps
            .iter()
            .map(|(name, title)| PlanStep {
                name: (*name).to_owned(),
                title: (*title).to_owned(),
                target: target.to_owned(),
                changes: vec![],
                risk: Risk::Low,
            })
            .collect(),
        gates: vec![],
        preconditions: vec![],
        postconditions: vec![],
        affected: vec![],
    })
}
