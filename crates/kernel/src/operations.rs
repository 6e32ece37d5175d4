//! The kernel's own operations: applying documents, publishing, rolling back, starting, stopping and retrying, exchanging keys, deleting and exporting
//! tenants and projects.

pub mod documents;
pub mod export;
pub mod publish;
pub mod removal;
pub mod run_start;
pub mod run_stop;
pub mod secret_rotate;

use std::time::Duration;

use qd_core::{
    error::{Error, Result},
    id::RunId,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{operation::Outcome, registry::Registry};

/// How long a job waits for a process that has its engine.
const ENGINE_LOOK: Duration = Duration::from_secs(5);

pub(crate) fn register(registry: &mut Registry) {
    registry
        .operation(documents::Documents)
        .operation(publish::Publish { name: publish::PUBLISH })
        .operation(publish::Publish { name: publish::ROLLBACK })
        .operation(run_start::Start { name: run_start::START })
        .operation(run_start::Start { name: run_start::RETRY })
        .operation(run_stop::Stop)
        .operation(removal::Delete { name: removal::TENANT_DELETE })
        .operation(removal::Delete { name: removal::PROJECT_DELETE })
        .operation(export::Export)
        .operation(secret_rotate::RotateDataKey)
        .operation(secret_rotate::RotateMasterKey);
}

/// Another process may have it, or this one after its next start.
fn engine_missing(name: &str) -> Outcome {
    Outcome::Wait { after: ENGINE_LOOK, waiting_for: format!("no engine {name} in this process") }
}

/// The input of a job about one attempt of a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RunInput {
    pub run_id: RunId,
    pub attempt: i64,
}

impl RunInput {
    pub(crate) fn to_json(self) -> Value {
        json!({ "run_id": self.run_id, "attempt": self.attempt })
    }
}

/// A job's input, or a request's, as the operation wrote it.
pub(crate) fn read<T: DeserializeOwned>(input: &Value) -> Result<T> {
    T::deserialize(input).map_err(|error| {
        Error::internal("bad_job_input", "the job's input cannot be read").with_source(error)
    })
}
