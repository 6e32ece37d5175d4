//! The kernel's own operations: publishing, rolling back, starting, stopping and retrying.

pub mod publish;
pub mod run_start;
pub mod run_stop;

use qd_core::id::RunId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::registry::Registry;

pub(crate) fn register(registry: &mut Registry) {
    registry
        .operation(publish::Publish { name: publish::PUBLISH })
        .operation(publish::Publish { name: publish::ROLLBACK })
        .operation(run_start::Start { name: run_start::START })
        .operation(run_start::Start { name: run_start::RETRY })
        .operation(run_stop::Stop);
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
