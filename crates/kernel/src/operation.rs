//! Changes that are carried out as jobs. A plane writes what the steps are and what each does; the job engine makes each
//! take effect once.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    canonical::hash_json,
    diff::Change,
    error::{Error, Result},
    id::{JobId, RunId},
    plan::{Plan, PlanStep, Risk},
    time::Timestamp,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    jobs::JobResource,
    kernel::Kernel,
    mutation::{Mutation, Object},
};

mod view;

pub use view::{SeenResource, SeenRevision, SeenRun, View};

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
    /// Its place in the plan, from 0.
    pub index: usize,
    pub name: &'a str,
    /// From 1.
    pub attempt: u32,
    pub input: &'a Value,
    /// Outputs of the steps before, by index.
    pub outputs: &'a [Value],
    /// What the step itself had come to; `null` until it took effect, so only an undo sees one.
    pub output: &'a Value,
    /// Fires when somebody asks to cancel the job, or when its lease is lost; while a step is called off or undone, only then.
    pub cancelled: CancellationToken,
    /// Guards writes to the outside: grows with each worker that takes the job.
    pub fencing_token: i64,
    pub(crate) fences: &'a [(String, i64)],
    pub now: Timestamp,
}

impl Step<'_> {
    /// Guards writes to what a lock of the plan stands for: grows with each worker and with each job that holds the key,
    /// so that whoever keeps the highest one it has seen refuses all who held the lock before. Zero for a key that the
    /// plan did not ask for.
    pub fn fence(&self, key: &str) -> i64 {
        self.fences.iter().find(|(held, _)| held == key).map_or(0, |(_, fence)| *fence)
    }
}

/// A plan, and what the operation found out while it made it and wants back in [`Operation::intend`].
#[derive(Debug, Clone)]
pub struct Planned {
    pub plan: Plan,
    pub resolved: Value,
    /// A review is its second person: what it does was approved by one, or is submitted to one.
    pub reviewed: bool,
}

impl From<Plan> for Planned {
    fn from(plan: Plan) -> Self {
        Self { plan, resolved: Value::Null, reviewed: false }
    }
}

/// What is asked for, as the transaction that makes the job sees it.
pub struct Intent<'a> {
    pub kernel: &'a Kernel,
    pub job_id: JobId,
    pub input: &'a Value,
    pub preflight: &'a Value,
    pub planned: &'a Planned,
}

/// What a job carries.
#[derive(Debug, Clone)]
pub struct Intended {
    /// What its steps are handed.
    pub input: Value,
    pub resource: Option<JobResource>,
    pub run_id: Option<RunId>,
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

    /// What the plan must know that no transaction can find out: what the world says, what a kind's validation answers.
    /// Reads only; kept with the plan and asked again before it is applied.
    async fn preflight(&self, _kernel: &Kernel, _context: &Context, _input: &Value) -> Result<Value> {
        Ok(Value::Null)
    }

    /// What carrying the input out would do. Pure: the same input and the same view give the same bytes. What it looks at
    /// through the view becomes the plan's preconditions.
    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned>;

    /// Writes what is wanted, in the transaction that makes the job, with its audit record. The plan's steps act on what
    /// this answers. By default nothing but the job is written.
    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        let object = Object { kind: "Job", id: intent.job_id.uuid(), name: self.name() };
        m.audit(&object, &[Change::add("/input", intent.input.clone())], Some(intent.job_id))?;
        Ok(Intended { input: intent.input.clone(), resource: None, run_id: None })
    }

    /// Whether it is all tenants' whichever project it was asked for in: then who may cancel jobs there may not cancel it.
    fn is_platforms(&self) -> bool {
        false
    }

    async fn run(&self, step: &Step<'_>) -> Outcome;

    /// Called instead of [`Operation::run`] when the job was asked to cancel before this step was done, and before the job
    /// fails in this step: takes back what an attempt may have left outside. An error is tried again until it succeeds.
    async fn call_off(&self, _step: &Step<'_>) -> Result<()> {
        Ok(())
    }

    /// Whether [`Operation::undo`] can take back what the step did. Of a job that fails or is cancelled, the steps that took
    /// effect are undone in reverse order where they can be; what cannot be undone stays done.
    fn undoable(&self, _step: &str) -> bool {
        false
    }

    /// Takes back what a step did that took effect. As a step it may be attempted twice; its database work goes into the
    /// transaction that records the undo.
    async fn undo(&self, _step: &Step<'_>) -> Result<Option<Apply>> {
        Ok(None)
    }

    /// Lower is sooner: 0 for what people wait for at a screen, 1 for all else, 2 for what may wait.
    fn priority(&self) -> i64 {
        1
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
    let steps = steps.iter().map(|(name, title)| step(name, title, target, vec![], Risk::Low)).collect();
    plan_of(operation, input, steps)
}

pub fn step(name: &str, title: &str, target: &str, changes: Vec<Change>, risk: Risk) -> PlanStep {
    PlanStep { name: name.into(), title: title.into(), target: target.into(), changes, risk }
}

/// A plan of these steps and nothing else.
pub fn plan_of(operation: &str, input: &Value, steps: Vec<PlanStep>) -> Result<Plan> {
    Ok(Plan {
        operation: operation.to_owned(),
        input_hash: hash_json(input)?,
        steps,
        gates: vec![],
        preconditions: vec![],
        postconditions: vec![],
        affected: vec![],
        locks: vec![],
    })
}
