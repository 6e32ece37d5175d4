//! The kind that kernel tests work on, and documents of it. Runnable on the [`FakeEngine`](crate::FakeEngine).
//!
//! A spec is any object; what the tests need beyond that: `count` must not be negative, `also` neither (so that one spec can
//! break two rules), `"after": "x"` refers to the sample `x`, `max_active_runs` limits its runs, `"over": "x"` carries them out over the connection `x`, `"wants": "x"` makes runs ask for the parameter `x`, and `"unavailable": true` makes validation fail
//! as if something it needs could not be reached.

use async_trait::async_trait;
use qd_core::{
    document::{API_VERSION, Document, Metadata},
    error::{Error, Result},
    violation::Violation,
};
use qd_kernel::access::objects::PlaceAt;
use qd_kernel::kind::{Kind, KindInfo, KindScope, SpecView};
use serde_json::{Value, json};

use crate::engine::FAKE;

/// As in documents.
pub const SAMPLE: &str = "Sample";

pub struct Sample {
    info: KindInfo,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            info: KindInfo {
                kind: SAMPLE,
                plural: "samples",
                singular: "sample",
                title: "Samples",
                summary: "What tests work on.",
                group: "build",
                scope: KindScope::Project,
                engine: Some(FAKE),
                actions: vec![],
                schema: json!({ "type": "object" }),
                example: json!({ "count": 1 }),
            },
        }
    }
}

#[async_trait]
impl Kind for Sample {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        match spec.get("count") {
            None | Some(Value::Number(_)) => Ok(spec.clone()),
            Some(_) => Err(vec![Violation::new("/count", "wrong_type", "count is a number")]),
        }
    }

    fn place(&self) -> Option<PlaceAt> {
        Some(PlaceAt { cluster: "/cluster", namespace: "/namespace" })
    }

    fn depends_on(&self, spec: &Value) -> Vec<(&'static str, String)> {
        spec["after"].as_str().map(|name| (SAMPLE, name.to_owned())).into_iter().collect()
    }

    async fn validate(&self, spec: &Value, _view: &SpecView) -> Result<Vec<Violation>> {
        if spec["unavailable"] == true {
            return Err(
                Error::unavailable("needed_service", "what is needed cannot be reached").with_retry_after(1)
            );
        }
        let negative = |field: &str| spec[field].as_f64().is_some_and(|n| n < 0.0);
        Ok(["count", "also"]
            .into_iter()
            .filter(|field| negative(field))
            .map(|field| Violation::new(format!("/{field}"), "negative", format!("{field} is negative")))
            .collect())
    }

    fn max_active_runs(&self, spec: &Value) -> Option<u32> {
        spec["max_active_runs"].as_u64().and_then(|most| u32::try_from(most).ok())
    }

    fn connection(&self, spec: &Value, _params: &Value) -> Option<String> {
        spec["over"].as_str().map(str::to_owned)
    }

    fn run_params(&self, spec: &Value, params: &Value) -> std::result::Result<Value, Vec<Violation>> {
        let wanted = spec["wants"].as_str();
        let given = params.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let mut violations: Vec<Violation> = given
            .filter(|name| Some(*name) != wanted)
            .map(|name| {
                Violation::new(format!("/params/{name}"), "unknown_param", format!("there is no {name}"))
            })
            .collect();
        if let Some(name) = wanted.filter(|name| params.get(*name).is_none()) {
            let detail = format!("{name} is wanted");
            violations.push(Violation::new(format!("/params/{name}"), "missing_param", detail));
        }
        if violations.is_empty() { Ok(params.clone()) } else { Err(violations) }
    }
}

/// A document of the sample kind.
pub fn document(name: &str, spec: Value) -> Document {
    document_of(SAMPLE, name, spec)
}

/// A document of any kind.
pub fn document_of(kind: &str, name: &str, spec: Value) -> Document {
    let name = name.parse().unwrap_or_else(|error| panic!("{name:?} is no name: {error}"));
    Document { api_version: API_VERSION.into(), kind: kind.into(), metadata: Metadata::named(name), spec }
}
