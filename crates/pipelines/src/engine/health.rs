//! What the engine's health is: whether there is an environment to run in.

use qd_core::time::Timestamp;
use qd_kernel::engine::{EngineReading, EngineState};

use super::XENNA;
use crate::environment::Status;

pub(super) fn reading(status: Option<Status>, now: Timestamp) -> EngineReading {
    let mut reading = EngineReading {
        name: XENNA.to_owned(),
        title: "Xenna on local Ray".to_owned(),
        state: EngineState::Unknown,
        detail: "its Python environment was not asked for yet".to_owned(),
        version: None,
        observed_at: now,
        progress: None,
    };
    match status {
        None => {}
        Some(Status::Preparing(progress)) => {
            reading.state = EngineState::Preparing;
            reading.detail = format!("the Python environment is being prepared: {progress}");
            reading.progress = serde_json::to_value(progress).ok();
        }
        Some(Status::Ready(environment)) => {
            let versions = environment.versions;
            let named =
                |name: &str, version: Option<&String>| version.map(|version| format!("{name} {version}"));
            let parts = [
                named("Xenna", versions.xenna.as_ref()),
                named("Ray", versions.ray.as_ref()),
                named("Python", Some(&versions.python)),
            ];
            reading.state = EngineState::Healthy;
            reading.detail = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
            reading.version = versions.xenna;
        }
        Some(Status::Failed(failure)) => {
            reading.state = EngineState::Degraded;
            reading.detail = format!("the Python environment could not be prepared: {}", failure.why);
        }
    }
    reading
}
