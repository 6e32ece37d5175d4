//! What the server sends, as far as the command line looks into it.
//!
//! Lenient on purpose: an older or newer server may leave fields out or add some. `-o json` never goes through
//! these types, it prints the answer itself.

pub mod plan;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::client::problem::Violation;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Kind {
    pub kind: String,
    pub plural: String,
    pub title: Option<String>,
    pub runnable: bool,
    pub scope: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    pub id: Option<String>,
    pub name: String,
    pub kind: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resource {
    pub id: String,
    pub kind: String,
    pub name: String,
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub tags: Vec<String>,
    pub owners: Vec<String>,
    pub teams: Vec<String>,
    pub state: String,
    pub created_at: Option<String>,
    pub created_by: Option<Value>,
    pub updated_at: Option<String>,
    pub published: Option<Published>,
    pub latest_revision: Option<Latest>,
    pub last_run: Option<RunSummary>,
    pub changed: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Published {
    pub number: u64,
    pub published_at: Option<String>,
    pub spec_hash: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Latest {
    pub number: u64,
    pub state: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    pub number: u64,
    pub state: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub created_at: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Revision {
    pub number: u64,
    pub state: String,
    pub spec_hash: Option<String>,
    pub message: Option<String>,
    pub created_by: Option<Value>,
    pub created_at: Option<String>,
    pub published_at: Option<String>,
    pub origin: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Run {
    pub id: String,
    pub number: u64,
    #[serde(rename = "ref")]
    pub reference: String,
    pub kind: Option<String>,
    pub resource: Named,
    pub revision: Option<u64>,
    pub state: String,
    pub code: Option<String>,
    pub message: Option<String>,
    pub params: Value,
    pub engine: Option<String>,
    pub engine_detail: Option<Value>,
    pub attempt: u64,
    pub attempts: Vec<RunAttempt>,
    pub created_at: Option<String>,
    pub created_by: Option<Value>,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub stop_requested_at: Option<String>,
    pub usual_duration_s: Option<f64>,
    pub progress: Option<Progress>,
    pub failure: Option<RunFailure>,
    pub serving: Option<Serving>,
    pub results: Option<Results>,
    pub job_id: Option<String>,
}

impl Run {
    pub fn ended(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "stopped")
    }

    /// What a person calls the run: `curate#42`.
    pub fn label(&self) -> &str {
        if self.reference.is_empty() { &self.id } else { &self.reference }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RunAttempt {
    pub attempt: u64,
    pub state: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub exit_code: Option<i64>,
    pub code: Option<String>,
    pub message: Option<String>,
}

/// A count that the engine may not know: null is shown as nothing.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Progress {
    pub inputs_total: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub inputs_done: u64,
    #[serde(deserialize_with = "number")]
    pub outputs: u64,
    #[serde(deserialize_with = "number")]
    pub dropped: u64,
    pub bottleneck: Option<String>,
    pub phase: Option<String>,
    pub stages: Vec<Stage>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Stage {
    pub id: String,
    pub name: Option<String>,
    pub state: String,
    pub actors: Actors,
    #[serde(deserialize_with = "number")]
    pub queue_in: u64,
    #[serde(deserialize_with = "number")]
    pub queue_out: u64,
    #[serde(deserialize_with = "number")]
    pub items_in: u64,
    #[serde(deserialize_with = "number")]
    pub items_out: u64,
    #[serde(deserialize_with = "number")]
    pub dropped: u64,
    pub items_per_s: Option<f64>,
    pub process_time_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Actors {
    #[serde(deserialize_with = "number")]
    pub target: u64,
    #[serde(deserialize_with = "number")]
    pub pending: u64,
    #[serde(deserialize_with = "number")]
    pub ready: u64,
    #[serde(deserialize_with = "number")]
    pub running: u64,
    #[serde(deserialize_with = "number")]
    pub idle: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RunFailure {
    pub stage: Option<String>,
    pub batch: Option<u64>,
    pub batch_size: Option<u64>,
    pub item: Option<u64>,
    pub item_preview: Option<String>,
    pub exception: Option<String>,
    pub message: Option<String>,
    pub traceback: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Serving {
    pub ready: bool,
    pub rate: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub queued: u64,
    #[serde(deserialize_with = "number")]
    pub in_flight: u64,
    #[serde(deserialize_with = "number")]
    pub answered: u64,
    #[serde(deserialize_with = "number")]
    pub failed: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Results {
    #[serde(deserialize_with = "number")]
    pub outputs: u64,
    #[serde(deserialize_with = "number")]
    pub dropped: u64,
    /// The first hundred.
    pub files: Vec<ResultFile>,
    pub files_total: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ResultFile {
    pub path: String,
    #[serde(deserialize_with = "number")]
    pub bytes: u64,
    pub items: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    pub id: String,
    pub operation: String,
    pub state: String,
    pub resource: Option<Named>,
    pub run_id: Option<String>,
    pub reason: Option<String>,
    pub created_by: Option<Value>,
    pub created_at: Option<String>,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub waiting_for: Option<String>,
    pub error: Option<JobError>,
    pub cancel_requested: bool,
    pub steps: Vec<Step>,
    pub correlation_id: Option<String>,
    /// From here on only where one job is asked for.
    pub plan_id: Option<String>,
    pub plan_hash: Option<String>,
    pub plan: plan::Plan,
    pub locks: Vec<plan::JobLock>,
    pub audit: Vec<AuditRecord>,
    pub events: Vec<Event>,
}

impl Job {
    pub fn ended(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled" | "undone")
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct JobError {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    pub name: String,
    pub title: Option<String>,
    pub state: String,
    pub attempts: u64,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub error: Option<Value>,
}

/// 202: a job was made, and a run where the operation starts one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Accepted {
    pub job: Job,
    pub run: Option<Run>,
}

/// Events are paged by position, oldest first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EventPage {
    pub items: Vec<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    pub pos: u64,
    #[serde(rename = "type")]
    pub event_type: String,
    pub at: Option<String>,
    pub kind: Option<String>,
    pub resource_name: Option<String>,
    pub run_id: Option<String>,
    pub job_id: Option<String>,
    pub actor: Option<Value>,
    pub data: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LogLine {
    pub n: u64,
    pub run_id: Option<String>,
    pub attempt: u64,
    pub stage: Option<String>,
    pub stream: String,
    pub level: String,
    pub at: Option<String>,
    pub text: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LogPage {
    pub items: Vec<LogLine>,
    /// Where to read on; `None` at the end of what there is.
    pub next: Option<u64>,
    /// The newest line, 0 without any.
    pub last: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Change {
    pub pointer: String,
    pub op: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Applied {
    pub items: Vec<AppliedItem>,
    pub job: Option<Job>,
    /// Of a dry run.
    pub plan: Option<plan::Preview>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AppliedItem {
    pub kind: String,
    pub name: String,
    pub outcome: String,
    pub revision: Option<Value>,
    pub changes: Vec<Change>,
    pub violations: Vec<Violation>,
    pub waits_for_review: bool,
}

impl AppliedItem {
    /// The revision's number; the server may send the number or the revision itself.
    pub fn revision_number(&self) -> Option<u64> {
        let revision = self.revision.as_ref()?;
        revision.as_u64().or_else(|| revision.get("number")?.as_u64())
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Engine {
    pub name: String,
    pub state: String,
    pub detail: Value,
    pub observed_at: Option<String>,
    pub version: Option<Value>,
    /// While it is being prepared.
    pub progress: Option<EngineProgress>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EngineProgress {
    pub step: u64,
    pub total: u64,
    pub title: String,
    pub detail: Option<String>,
}

impl Engine {
    /// The detail as one line, with the step while it is being prepared.
    pub fn detail_text(&self) -> String {
        match &self.progress {
            Some(progress) if progress.total > 0 => {
                let detail = progress.detail.as_deref().filter(|detail| !detail.is_empty());
                let detail = detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
                format!("step {} of {}: {}{detail}", progress.step, progress.total, progress.title)
            }
            _ => text_of(&self.detail),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AuditRecord {
    pub id: Value,
    pub at: Option<String>,
    pub actor: Option<Value>,
    pub on_behalf_of: Option<String>,
    pub action: String,
    pub object: Option<Named>,
    pub outcome: String,
    pub reason: Option<String>,
    pub changes: Vec<Change>,
    pub job_id: Option<String>,
    pub seal: Option<AuditSeal>,
}

/// The place of a record in its chain.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AuditSeal {
    pub seq: i64,
}

/// A person's or program's name, from a plain string or an object with `name`.
pub fn actor_name(actor: Option<&Value>) -> String {
    match actor {
        Some(Value::Object(object)) => {
            object.get("name").or_else(|| object.get("id")).map(text_of).unwrap_or_default()
        }
        Some(value) => text_of(value),
        None => String::new(),
    }
}

/// A value in words: strings as they are, objects by their `message`, `detail` or `title`, others as JSON.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(object) => ["message", "detail", "title"]
            .iter()
            .find_map(|name| object.get(*name).and_then(Value::as_str))
            .map_or_else(|| value.to_string(), str::to_owned),
        other => other.to_string(),
    }
}
