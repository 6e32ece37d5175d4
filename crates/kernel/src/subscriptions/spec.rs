//! What a subscription asks for.

use qd_core::violation::Violation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connections::shape;

const MOST_PATTERNS: usize = 50;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionSpec {
    /// The connection of type `webhook` that messages are sent over.
    #[schemars(length(min = 1, max = 40))]
    pub connection: String,
    /// Types of events: one (`run.failed`), all of a noun (`run.*`), or `*`.
    #[schemars(length(min = 1, max = 50))]
    pub events: Vec<String>,
}

impl SubscriptionSpec {
    /// The spec, or everything that is wrong with it.
    pub fn read(spec: &Value) -> Result<Self, Vec<Violation>> {
        let read: Self = shape::read(spec)?;
        let mut found = vec![];
        if read.connection.is_empty() {
            found.push(Violation::new("/connection", "empty", "the name of a connection is wanted"));
        }
        if read.events.is_empty() {
            found.push(Violation::new("/events", "too_few", "a type of events is wanted"));
        }
        if read.events.len() > MOST_PATTERNS {
            let detail = format!("{} types of events; at most {MOST_PATTERNS}", read.events.len());
            found.push(Violation::new("/events", "too_many", detail));
        }
        for (place, pattern) in read.events.iter().enumerate().filter(|(_, pattern)| !is_pattern(pattern)) {
            let detail = format!("{pattern:?} is no type of events: write run.failed, run.* or *");
            found.push(Violation::new(format!("/events/{place}"), "invalid_format", detail));
        }
        if found.is_empty() { Ok(read) } else { Err(found) }
    }

    pub fn wants(&self, event_type: &str) -> bool {
        let noun = event_type.split('.').next().unwrap_or_default();
        self.events.iter().any(|pattern| {
            pattern == "*" || pattern == event_type || pattern.strip_suffix(".*").is_some_and(|of| of == noun)
        })
    }
}

fn is_pattern(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.len() <= 60 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    text == "*" || text.split_once('.').is_some_and(|(noun, fact)| word(noun) && (fact == "*" || word(fact)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_is_a_type_or_all_of_a_noun() {
        let spec = |events: Value| SubscriptionSpec::read(&json!({ "connection": "chat", "events": events }));
        let some = spec(json!(["revision.*", "run.failed"])).unwrap();
        assert!(["revision.submitted", "revision.withdrawn", "run.failed"].iter().all(|one| some.wants(one)));
        assert!(!some.wants("run.queued") && !some.wants("revisions.x"));
        assert!(spec(json!(["*"])).unwrap().wants("anything.at_all"));
        for wrong in
            [json!([]), json!(["run"]), json!(["*.failed"]), json!(["run.*.*"]), json!(["Run.failed"])]
        {
            assert!(spec(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
