//! The narrow trait to the outside: where runs are carried out.
//!
//! An engine is idempotent by the run's id and attempt: submit twice, and the second adopts the first. It keeps no state of
//! ours; what it reports is read from a cursor, so that an observation taken twice is stored once.

pub(crate) mod clean;

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    error::Result,
    id::{ResourceId, RunId},
    state::RunState,
    time::Timestamp,
};
use serde::Serialize;
use serde_json::Value;

use crate::context::Scope;

/// All that an engine needs to know of one attempt of a run.
#[derive(Debug, Clone)]
pub struct RunTicket {
    pub run_id: RunId,
    pub scope: Scope,
    pub resource_id: ResourceId,
    /// `curate#42`
    pub run_ref: String,
    pub kind: String,
    /// From 1; a retry is the next attempt of the same run.
    pub attempt: u32,
    /// The pinned published revision's spec.
    pub spec: Value,
    /// Checked, with defaults filled in.
    pub params: Value,
    pub correlation_id: String,
    /// The engine's own name of the attempt, once adopted.
    pub external_id: Option<String>,
    /// What is stored of what the engine said of itself last ([`Observation::engine_detail`]), in this attempt or an earlier
    /// one.
    pub engine_detail: Option<Value>,
    /// A submit before this call may have reached the engine, whichever process made it and whatever became of it.
    pub tried_before: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    Healthy,
    /// Not ready yet, and getting there by itself.
    Preparing,
    Degraded,
    Unknown,
}

/// What was last read of an engine, and when.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct EngineReading {
    pub name: String,
    pub title: String,
    pub state: EngineState,
    /// One sentence for a person: what runs there, or why it does not.
    pub detail: String,
    pub version: Option<String>,
    pub observed_at: Timestamp,
    /// While preparing: `{step, total, title, detail}`.
    pub progress: Option<Value>,
}

/// What submit came to.
#[derive(Debug)]
pub enum Submitted {
    /// The engine has the attempt, under this name, now or from an earlier submit.
    Adopted { external_id: String },
    /// Not yet: something has to be made ready first. Asked again at the stated time; says what is waited for.
    NotYet { look_again: Duration, waiting_for: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug = 10,
    Info = 20,
    Warning = 30,
    Error = 40,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
    /// Said by the engine's driver or supervisor, not by a stage.
    Driver,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub at: Timestamp,
    pub stage: Option<String>,
    pub stream: LogStream,
    pub level: LogLevel,
    pub text: String,
}

/// Something noteworthy that happened inside a run, shown on its timeline: `event_type` is `run.<what>`.
#[derive(Debug, Clone)]
pub struct RunFact {
    pub at: Timestamp,
    pub event_type: String,
    pub data: Value,
}

#[derive(Debug, Clone)]
pub struct RunEnd {
    /// succeeded, failed or stopped.
    pub state: RunState,
    /// Stable code of a failure: `stage_failed`, `runner_killed`, `lost`, …
    pub code: Option<String>,
    pub message: Option<String>,
    pub exit_code: Option<i64>,
    pub at: Timestamp,
}

/// What was learnt since a cursor. Fields that are `None` say nothing new.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// Where to read on from.
    pub cursor: i64,
    pub logs: Vec<LogLine>,
    pub facts: Vec<RunFact>,
    /// When the engine began the work; moves the run to running.
    pub started_at: Option<Timestamp>,
    pub engine_detail: Option<Value>,
    pub progress: Option<Value>,
    /// Points for the run's charts: stage id, and `{at, items_per_s, queue, actors}`.
    pub points: Vec<(String, Value)>,
    pub failure: Option<Value>,
    pub serving: Option<Value>,
    pub results: Option<Value>,
    pub end: Option<RunEnd>,
}

impl Observation {
    /// Whether it tells nothing that is to be kept, its cursor apart.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let told = [&self.engine_detail, &self.progress, &self.failure, &self.serving, &self.results];
        self.logs.is_empty()
            && self.facts.is_empty()
            && self.points.is_empty()
            && told.iter().all(|value| value.is_none())
            && self.started_at.is_none()
            && self.end.is_none()
    }
}

#[async_trait]
pub trait RunEngine: Send + Sync + 'static {
    fn name(&self) -> &'static str;

    async fn health(&self) -> EngineReading;

    /// The health of the place where one attempt is; none where the attempt's own observations say all that is known of it.
    async fn health_of(&self, _external_id: &str) -> Option<EngineReading> {
        Some(self.health().await)
    }

    /// Starts the attempt, or adopts it where it was started before.
    async fn submit(&self, ticket: &RunTicket) -> Result<Submitted>;

    /// Whether this process can see an attempt of that name; where it cannot, another one can, and follows it.
    async fn reaches(&self, _external_id: &str) -> bool {
        true
    }

    /// Waits until there is something after `cursor`, about a second at most, and returns a bounded part of it. What is told
    /// without moving the cursor (that the engine has become unknown, say) holds no logs. An observation is stored only while
    /// the cursor and the ticket's `engine_detail` are the stored ones.
    /// An engine that cannot be reached is an error, never an end.
    async fn observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation>;

    /// Asks the attempt to end; safe to call again. The end itself is observed.
    async fn stop(&self, ticket: &RunTicket) -> Result<()>;

    /// One item through a serving run. Errors: not serving (conflict), queue full (rate_limited), time-out (unavailable).
    async fn request(&self, ticket: &RunTicket, item: Value, timeout: Duration) -> Result<Value>;

    /// The folder with the run's results, where this engine keeps them on this machine.
    fn output_dir(&self, _run_id: RunId) -> Option<std::path::PathBuf> {
        None
    }
}
