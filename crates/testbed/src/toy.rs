//! A whole kind in one file: `toys`, what a plane brings and nothing else. Everything beyond this file (routes, OpenAPI, CLI,
//! lists and forms of the UI, audit) follows from its registration; a test holds that.

use async_trait::async_trait;
use qd_core::{
    error::Result,
    violation::{Pointer, Violation},
};
use qd_kernel::{
    kind::{ActionInfo, Kind, KindInfo, KindScope, SpecView},
    registry::Registry,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::noop::NOOP;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToySpec {
    /// What it looks like.
    #[serde(default)]
    color: Color,
    /// Centimetres, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    size: u32,
    /// What it is put together from; names are unique.
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Color {
    #[default]
    Red,
    Green,
    Blue,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    /// How many of them.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    count: u32,
}

fn one() -> u32 {
    1
}

/// What a run asks for: how the no-op engine shall pretend to work.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ToyParams {
    /// Log lines, spread over the time that the run takes.
    #[schemars(range(max = 1_000_000))]
    lines: u32,
    /// Milliseconds until it ends.
    #[schemars(range(max = 3_600_000))]
    take_ms: u32,
    /// End as failed.
    fail: bool,
}

struct Toy {
    info: KindInfo,
}

/// Adds the kind; its engine is registered beside it.
pub fn register(registry: &mut Registry) {
    registry.kind(Toy {
        info: KindInfo {
            kind: "Toy",
            plural: "toys",
            singular: "toy",
            title: "Toys",
            summary: "A thing to play with, whose runs do nothing.",
            group: "build",
            scope: KindScope::Project,
            engine: Some(NOOP),
            actions: vec![ActionInfo { verb: "wind", title: "Wind up", reason: true }],
            schema: schemars::schema_for!(ToySpec).to_value(),
            example: json!({ "color": "red", "size": 12, "parts": [{ "name": "wheel", "count": 4 }] }),
        },
    });
}

#[async_trait]
impl Kind for Toy {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        typed::<ToySpec>(spec, "").map(|spec| json!(spec))
    }

    async fn validate(&self, spec: &Value, _view: &SpecView) -> Result<Vec<Violation>> {
        let spec = match typed::<ToySpec>(spec, "") {
            Ok(spec) => spec,
            Err(violations) => return Ok(violations),
        };
        let mut found = vec![];
        if !(1..=100).contains(&spec.size) {
            let detail = format!("size is {} cm; it must be between 1 and 100", spec.size);
            found.push(Violation::new("/size", "out_of_range", detail));
        }
        for (index, part) in spec.parts.iter().enumerate() {
            let at = Pointer::root().key("parts").index(index);
            if part.count == 0 {
                found.push(Violation::new(at.key("count"), "out_of_range", "a part is there at least once"));
            }
            if let Some(first) = spec.parts[..index].iter().position(|other| other.name == part.name) {
                let detail = format!("part {first} is called {:?} already", part.name);
                found.push(Violation::new(at.key("name"), "duplicate", detail));
            }
        }
        Ok(found)
    }

    fn params_schema(&self, _spec: &Value) -> Option<Value> {
        Some(schemars::schema_for!(ToyParams).to_value())
    }

    fn run_params(&self, _spec: &Value, params: &Value) -> std::result::Result<Value, Vec<Violation>> {
        typed::<ToyParams>(params, "/params").map(|params| json!(params))
    }
}

/// Reads a value as its type; the first thing that does not fit, with its place.
fn typed<T: for<'de> Deserialize<'de>>(value: &Value, under: &str) -> std::result::Result<T, Vec<Violation>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let at = error.path().iter().fold(Pointer::root(), |at, segment| match segment {
            serde_path_to_error::Segment::Seq { index } => at.index(*index),
            serde_path_to_error::Segment::Map { key } => at.key(key),
            _ => at,
        });
        vec![Violation::new(at, "wrong_type", error.into_inner().to_string()).under(under)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy() -> std::sync::Arc<dyn Kind> {
        let mut registry = Registry::default();
        register(&mut registry);
        registry.find_plural("toys").unwrap().clone()
    }

    #[test]
    fn defaults_are_written_out_and_what_does_not_fit_is_pointed_at() {
        let parsed = toy().parse(&json!({ "size": 3, "parts": [{ "name": "wheel" }] })).unwrap();
        assert_eq!(parsed, json!({ "color": "red", "size": 3, "parts": [{ "name": "wheel", "count": 1 }] }));
        let wrong = toy().parse(&json!({ "size": 3, "parts": [{ "name": 7 }] })).unwrap_err();
        assert_eq!((wrong[0].pointer.as_str(), wrong[0].code.as_str()), ("/parts/0/name", "wrong_type"));
        let unknown = toy().run_params(&json!({}), &json!({ "line": 1 })).unwrap_err();
        assert_eq!(unknown[0].pointer, "/params/line");
    }

    #[test]
    fn the_example_and_empty_params_are_valid() {
        let toy = toy();
        assert!(toy.parse(&toy.info().example).is_ok());
        let params = toy.run_params(&json!({}), &json!({})).unwrap();
        assert_eq!(params, json!({ "lines": 0, "take_ms": 0, "fail": false }));
    }
}
