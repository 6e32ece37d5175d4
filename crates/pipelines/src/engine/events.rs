//! The runner's events, and what each adds to an observation.

use qd_core::time::Timestamp;
use qd_kernel::engine::{Observation, RunFact};
use serde_json::{Map, Value, json};

use super::memory::Memory;

/// Facts of one observation; more of a kind would say nothing new on a timeline.
const MAX_FACTS: usize = 50;

/// Takes an event; answers whether the memory has to be kept.
pub(super) fn take(
    event: Value,
    at: Timestamp,
    memory: &mut Memory,
    seen: &mut Observation,
    metrics: bool,
) -> bool {
    let Value::Object(mut event) = event else { return false };
    let kind = event.shift_remove("type");
    match kind.as_ref().and_then(Value::as_str).unwrap_or_default() {
        "hello" => {
            let versions =
                ["xenna", "ray", "python", "runner"].map(|name| (name.to_owned(), event.get(name).cloned()));
            let versions: Map<_, _> =
                versions.into_iter().filter_map(|(name, version)| Some((name, version?))).collect();
            seen.engine_detail = Some(versions.into());
            false
        }
        "state" => {
            let phase = event.get("state").and_then(Value::as_str).map(str::to_owned);
            if memory.phase == phase {
                return false;
            }
            fact(seen, at, "run.phase", json!({ "phase": phase }));
            memory.phase = phase;
            true
        }
        "stages" => {
            for stage in event.get("stages").and_then(Value::as_array).into_iter().flatten() {
                if let (Some(id), Some(name)) = (text(stage, "id"), text(stage, "name")) {
                    memory.stages.insert(id, name);
                }
            }
            true
        }
        "progress" => {
            if metrics {
                seen.points.extend(points(&event, at));
            }
            seen.progress = Some(progress(event, memory));
            false
        }
        "serving" => {
            seen.serving = Some(event.into());
            false
        }
        "dropped" => {
            fact(seen, at, "run.dropped", event.into());
            false
        }
        "failure" => {
            let failure = Value::Object(event);
            let told = ["stage", "batch", "item", "exception", "message"];
            let told: Map<_, _> = told
                .into_iter()
                .map(|name| (name.to_owned(), failure.get(name).cloned().unwrap_or_default()))
                .collect();
            fact(seen, at, "run.failure", told.into());
            seen.failure = Some(failure.clone());
            memory.failure = Some(failure);
            true
        }
        "result" => {
            let results = Value::Object(event);
            seen.results = Some(results.clone());
            memory.results = Some(results);
            true
        }
        // A newer runner may say more than is understood here.
        _ => false,
    }
}

fn fact(seen: &mut Observation, at: Timestamp, event_type: &str, data: Value) {
    if seen.facts.len() < MAX_FACTS {
        seen.facts.push(RunFact { at, event_type: event_type.to_owned(), data });
    }
}

fn progress(mut event: Map<String, Value>, memory: &Memory) -> Value {
    event.insert("phase".into(), memory.phase.clone().into());
    for stage in event.get_mut("stages").and_then(Value::as_array_mut).into_iter().flatten() {
        let id = text(stage, "id").unwrap_or_default();
        let name = memory.stages.get(&id).unwrap_or(&id).clone();
        if let Some(stage) = stage.as_object_mut() {
            stage.insert("name".into(), name.into());
        }
    }
    event.into()
}

fn points(event: &Map<String, Value>, at: Timestamp) -> Vec<(String, Value)> {
    let stages = event.get("stages").and_then(Value::as_array).into_iter().flatten();
    stages
        .filter_map(|stage| {
            let actors = stage.get("actors").and_then(|actors| actors.get("ready"));
            let point = json!({
                "at": at, "items_per_s": stage.get("items_per_s"), "queue": stage.get("queue_in"), "actors": actors,
            });
            Some((text(stage, "id")?, point))
        })
        .collect()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}
