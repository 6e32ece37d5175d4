//! A schedule as a person writes it.

use qd_core::{
    time::Timestamp,
    violation::{Pointer, Violation},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::times::Times;

/// What is started when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleSpec {
    /// Minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[schemars(length(min = 1, max = 200))]
    pub cron: String,
    /// A name of the IANA time zone database, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 100))]
    pub time_zone: String,
    /// What it acts on: its published revision at that time.
    pub target: ScheduleTarget,
    /// What is done with the target: `run` starts a run.
    #[serde(default)]
    pub action: Action,
    /// Parameters of the runs that it starts.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// What becomes of instants that nobody was there for.
    #[serde(default)]
    pub misfire: Misfire,
    /// Whether it starts a run while one that it started before is still active: `forbid` skips the instant.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// A paused schedule does not fire, and does not make up for it.
    #[serde(default)]
    pub paused: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct ScheduleTarget {
    /// As in documents, such as `Pipeline`.
    pub kind: String,
    pub name: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Action {
    #[default]
    Run,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Misfire {
    /// `skip` passes over them; `run_once` fires once, for the newest, in place of all; `run_all` makes up for each, the
    /// oldest first.
    pub policy: MisfirePolicy,
    /// Seconds after which an instant counts as missed.
    #[schemars(range(min = 1, max = 86400))]
    pub grace_seconds: u32,
    /// With `run_all`: the newest so many of those that were missed.
    #[schemars(range(min = 1, max = 100))]
    pub limit: u32,
}

impl Default for Misfire {
    fn default() -> Self {
        Self { policy: MisfirePolicy::default(), grace_seconds: 60, limit: 10 }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum MisfirePolicy {
    Skip,
    #[default]
    RunOnce,
    RunAll,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Concurrency {
    #[default]
    Allow,
    Forbid,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A moment from which every expression that ever fires is found to fire.
const SOME_DAY: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl ScheduleSpec {
    /// Reads the shape, then everything that the spec alone can be wrong in.
    pub(super) fn read(spec: &Value) -> Result<Self, Vec<Violation>> {
        let read: Self = serde_path_to_error::deserialize(spec).map_err(|error| vec![misfit(error)])?;
        let mut found = vec![];
        match Times::new(&read.cron, &read.time_zone) {
            Err(violations) => found.extend(violations),
            Ok(times) if times.after(SOME_DAY).is_none() => {
                let detail = format!("there is no day on which {:?} would fire", read.cron);
                found.push(Violation::new("/cron", "never_fires", detail));
            }
            Ok(_) => {}
        }
        let misfire = &read.misfire;
        let mut in_range = |field: &str, value: u32, most: u32| {
            if !(1..=most).contains(&value) {
                let detail = format!("{field} is {value}; it must be between 1 and {most}");
                found.push(Violation::new(format!("/misfire/{field}"), "out_of_range", detail));
            }
        };
        in_range("grace_seconds", misfire.grace_seconds, 86_400);
        in_range("limit", misfire.limit, 100);
        if found.is_empty() { Ok(read) } else { Err(found) }
    }
}

/// Where serde stopped, in the words of all validation.
fn misfit(error: serde_path_to_error::Error<serde_json::Error>) -> Violation {
    let at = error.path().iter().fold(Pointer::root(), |at, segment| match segment {
        serde_path_to_error::Segment::Seq { index } => at.index(*index),
        serde_path_to_error::Segment::Map { key } => at.key(key),
        _ => at,
    });
    let text = error.into_inner().to_string();
    let named = |start: &str| text.strip_prefix(start).and_then(|rest| rest.split('`').next());
    if let Some(field) = named("missing field `") {
        return Violation::new(at.key(field).as_str(), "missing_field", format!("{field} is missing"));
    }
    let code = match text.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["unknown", "field"] => "unknown_field",
        ["unknown", "variant"] => "not_an_option",
        _ => "wrong_type",
    };
    Violation::new(at.as_str(), code, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(spec: Value) -> Vec<(String, String)> {
        let found = ScheduleSpec::read(&spec).map(|_| vec![]).unwrap_or_else(|found| found);
        found.into_iter().map(|one| (one.pointer, one.code)).collect()
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let target = json!({ "kind": "Pipeline", "name": "curate" });
        let at = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
        let with = |field: &str, value: Value| {
            let mut spec = json!({ "cron": "30 2 * * *", "target": target });
            spec[field] = value;
            wrong(spec)
        };
        assert_eq!(with("paused", json!(true)), []);
        assert_eq!(wrong(json!({ "target": target })), at("/cron", "missing_field"));
        assert_eq!(with("target", json!({ "kind": "Pipeline" })), at("/target/name", "missing_field"));
        assert_eq!(with("cron", json!(5)), at("/cron", "wrong_type"));
        assert_eq!(with("cron", json!("60 2 * * *")), at("/cron", "bad_cron"));
        assert_eq!(with("cron", json!("0 30 2 * * *")), at("/cron", "bad_cron"), "there are no seconds");
        assert_eq!(with("cron", json!("0 0 30 2 *")), at("/cron", "never_fires"));
        assert_eq!(with("time_zone", json!("Europe/Atlantis")), at("/time_zone", "unknown_time_zone"));
        assert_eq!(with("misfire", json!({ "policy": "panic" })), at("/misfire/policy", "not_an_option"));
        assert_eq!(with("misfire", json!({ "limit": 0 })), at("/misfire/limit", "out_of_range"));
        assert_eq!(with("croon", json!("x")), at("/croon", "unknown_field"));
        let both = wrong(json!({ "cron": "soon", "time_zone": "Mars/Base", "target": target }));
        assert_eq!(both.len(), 2, "{both:?}");
    }
}
