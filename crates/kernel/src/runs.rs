//! Runs: one execution of a runnable resource on its engine, numbered per resource, with attempts.
//!
//! A run's row moves by observation once its engine has adopted it; requests only state what is wanted.

mod change;
mod read;
mod request;

use qd_core::{
    id::{JobId, ResourceId, RunId},
    state::RunState,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

pub use change::start_request;
pub(crate) use change::{NewRun, intend_retry, intend_start, intend_stop, params_invalid};
pub use read::{RunFilter, RunLogInfo};
pub(crate) use read::{StoredRun, not_found as run_not_found, resource_of, run_lock, run_peek, ticket};

/// JSON kept as text in the database and passed on as it is.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Raw(pub Box<RawValue>);

impl JsonSchema for Raw {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Json".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": true })
    }
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunResource {
    pub id: ResourceId,
    pub name: String,
}

/// One try of a run, with an engine id of its own.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunAttempt {
    pub attempt: i64,
    pub state: RunState,
    /// The engine's name of it; none until the engine has adopted it.
    pub external_id: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub exit_code: Option<i64>,
    pub code: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Run {
    pub id: RunId,
    pub number: i64,
    /// `curate#42`
    #[serde(rename = "ref")]
    pub run_ref: String,
    pub kind: String,
    pub resource: RunResource,
    pub revision: i64,
    pub state: RunState,
    /// Stable code of a failure.
    pub code: Option<String>,
    pub message: Option<String>,
    #[schemars(with = "Raw")]
    pub params: Raw,
    pub engine: String,
    pub engine_detail: Option<Raw>,
    pub attempt: i64,
    /// Empty in lists.
    pub attempts: Vec<RunAttempt>,
    /// The counts and the stages as last observed.
    pub progress: Option<Raw>,
    pub failure: Option<Raw>,
    pub serving: Option<Raw>,
    pub results: Option<Raw>,
    pub job_id: JobId,
    pub created_at: Timestamp,
    pub created_by: String,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub stop_requested_at: Option<Timestamp>,
    /// Mean of the last succeeded runs of the resource, seconds; only for one run.
    pub usual_duration_s: Option<f64>,
}
