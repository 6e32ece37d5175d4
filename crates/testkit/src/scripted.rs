//! An operation whose steps a test writes: the names come from the job's input, what they do from a closure.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use qd_core::{error::Result, id::JobId, time::Timestamp};
use qd_kernel::operation::{Apply, Ending, Operation, Outcome, Planned, Step, View, plan};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The operation of [`Scripted`].
pub const SCRIPTED: &str = "test.scripted";

/// One attempt of one step, as the closure sees it.
pub struct Call {
    pub job_id: JobId,
    pub step: String,
    pub attempt: u32,
    pub input: Value,
    pub outputs: Vec<Value>,
    pub cancelled: CancellationToken,
    pub fencing_token: i64,
    /// By key of `locks` in the job's input.
    pub fences: Vec<(String, i64)>,
    pub output: Value,
    pub now: Timestamp,
}

impl Call {
    fn of(step: &Step<'_>) -> Self {
        Self {
            job_id: step.job_id,
            step: step.name.to_owned(),
            attempt: step.attempt,
            input: step.input.clone(),
            outputs: step.outputs.to_vec(),
            cancelled: step.cancelled.clone(),
            fencing_token: step.fencing_token,
            fences: step.input["locks"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(|key| (key.to_owned(), step.fence(key)))
                .collect(),
            output: step.output.clone(),
            now: step.now,
        }
    }
}

type Behaviour = Box<dyn Fn(Call) -> BoxFuture<'static, Outcome> + Send + Sync>;
type CallOff = Box<dyn Fn(Call) -> BoxFuture<'static, Result<()>> + Send + Sync>;
type Undo = Box<dyn Fn(Call) -> BoxFuture<'static, Result<Option<Apply>>> + Send + Sync>;
type OnEnd = Box<dyn Fn(&Value, &Ending) -> Option<Apply> + Send + Sync>;

pub struct Scripted {
    run: Behaviour,
    call_off: CallOff,
    undo: Option<Undo>,
    ended: OnEnd,
    timeout: Duration,
    max_attempts: u32,
}

impl Scripted {
    pub fn new<F>(run: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            run: Box::new(move |call| Box::pin(run(call))),
            call_off: Box::new(|_| Box::pin(async { Ok(()) })),
            undo: None,
            ended: Box::new(|_, _| None),
            timeout: Duration::from_secs(60),
            max_attempts: 5,
        }
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub fn max_attempts(mut self, most: u32) -> Self {
        self.max_attempts = most;
        self
    }

    /// What calling a step off does; without it, nothing.
    pub fn on_call_off<F>(mut self, call_off: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.call_off = Box::new(move |call| Box::pin(call_off(call)));
        self
    }

    /// What undoing a step does; without it, nothing can be undone.
    pub fn on_undo<F>(mut self, undo: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Apply>>> + Send + 'static,
    {
        self.undo = Some(Box::new(move |call| Box::pin(undo(call))));
        self
    }

    pub fn on_end(
        mut self,
        ended: impl Fn(&Value, &Ending) -> Option<Apply> + Send + Sync + 'static,
    ) -> Self {
        self.ended = Box::new(ended);
        self
    }

    /// The input of a job that holds these keys.
    pub fn locked(steps: &[&str], locks: &[&str]) -> Value {
        json!({ "steps": steps, "locks": locks })
    }

    /// The input of a job with these steps.
    pub fn input(steps: &[&str]) -> Value {
        json!({ "steps": steps })
    }
}

#[async_trait]
impl Operation for Scripted {
    fn name(&self) -> &'static str {
        SCRIPTED
    }

    fn plan(&self, input: &Value, _view: &mut View<'_, '_>) -> Result<Planned> {
        let names: Vec<&str> =
            input["steps"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let steps: Vec<(&str, &str)> = names.into_iter().map(|name| (name, name)).collect();
        let mut plan = plan(SCRIPTED, input, "test", &steps)?;
        plan.locks = input["locks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        Ok(plan.into())
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        (self.run)(Call::of(step)).await
    }

    async fn call_off(&self, step: &Step<'_>) -> Result<()> {
        (self.call_off)(Call::of(step)).await
    }

    fn undoable(&self, _step: &str) -> bool {
        self.undo.is_some()
    }

    async fn undo(&self, step: &Step<'_>) -> Result<Option<Apply>> {
        match &self.undo {
            Some(undo) => undo(Call::of(step)).await,
            None => Ok(None),
        }
    }

    fn timeout(&self, _step: &str) -> Duration {
        self.timeout
    }

    fn max_attempts(&self, _step: &str) -> u32 {
        self.max_attempts
    }

    fn ended(&self, input: &Value, ending: &Ending) -> Option<Apply> {
        (self.ended)(input, ending)
    }
}
