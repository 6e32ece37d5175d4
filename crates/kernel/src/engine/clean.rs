//! The one door through which an engine's text enters: a NUL, which no database keeps in text, becomes U+FFFD.
//!
//! Exceptions and stage names are other people's text. Refused later, where it is stored, one NUL would keep an
//! ended run "running" for ever.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    id::RunId,
};
use serde_json::Value;

use super::{EngineReading, Observation, RunEngine, RunTicket, Submitted};

const NUL: char = '\0';
const REPLACEMENT: &str = "\u{FFFD}";

/// An engine as the kernel uses it.
pub(crate) struct Clean(pub Arc<dyn RunEngine>);

#[async_trait]
impl RunEngine for Clean {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn health(&self) -> EngineReading {
        self.0.health().await
    }

    async fn health_of(&self, external_id: &str) -> Option<EngineReading> {
        self.0.health_of(external_id).await
    }

    async fn submit(&self, ticket: &RunTicket) -> Result<Submitted> {
        let mut submitted = self.0.submit(ticket).await.map_err(error)?;
        match &mut submitted {
            Submitted::Adopted { external_id } => text(external_id),
            Submitted::NotYet { waiting_for, .. } => text(waiting_for),
        }
        Ok(submitted)
    }

    async fn reaches(&self, external_id: &str) -> bool {
        self.0.reaches(external_id).await
    }

    async fn observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation> {
        let mut seen = self.0.observe(ticket, cursor).await.map_err(error)?;
        observation(&mut seen);
        Ok(seen)
    }

    async fn stop(&self, ticket: &RunTicket) -> Result<()> {
        self.0.stop(ticket).await.map_err(error)
    }

    async fn request(&self, ticket: &RunTicket, item: Value, timeout: Duration) -> Result<Value> {
        self.0.request(ticket, item, timeout).await
    }

    fn output_dir(&self, run_id: RunId) -> Option<PathBuf> {
        self.0.output_dir(run_id)
    }
}

pub(crate) fn text(text: &mut String) {
    if text.contains(NUL) {
        *text = text.replace(NUL, REPLACEMENT);
    }
}

fn error(mut error: Error) -> Error {
    text(&mut error.detail);
    error
}

fn value(value: &mut Value) {
    match value {
        Value::String(found) => text(found),
        Value::Array(elements) => elements.iter_mut().for_each(self::value),
        Value::Object(members) => {
            if members.keys().any(|key| key.contains(NUL)) {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(key, member)| (key.replace(NUL, REPLACEMENT), member))
                    .collect();
            }
            members.values_mut().for_each(self::value);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn observation(seen: &mut Observation) {
    for line in &mut seen.logs {
        // Its text stays as it is: a log's chunk holds it escaped.
        line.stage.iter_mut().for_each(text);
    }
    for fact in &mut seen.facts {
        text(&mut fact.event_type);
        value(&mut fact.data);
    }
    for (stage, point) in &mut seen.points {
        text(stage);
        value(point);
    }
    let numbers = [
        &mut seen.engine_detail,
        &mut seen.progress,
        &mut seen.failure,
        &mut seen.serving,
        &mut seen.results,
    ];
    numbers.into_iter().flatten().for_each(value);
    if let Some(end) = &mut seen.end {
        end.code.iter_mut().chain(&mut end.message).for_each(text);
    }
}
