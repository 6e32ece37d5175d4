//! What a plane says of a kind of resource. The kernel names no kind.

use async_trait::async_trait;
use qd_core::{error::Result, violation::Violation};
use serde::Serialize;
use serde_json::Value;

use crate::{code::CodeStore, context::Scope, resources::SpecReader};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindScope {
    Platform,
    Project,
}

/// Something that a person can do to a resource of the kind beyond the routes that all kinds have.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ActionInfo {
    pub verb: &'static str,
    pub title: &'static str,
    /// Refused without a `reason`, which is kept on job and audit.
    pub reason: bool,
}

/// The static facts of a kind, from which routes, CLI verbs, OpenAPI and UI are made.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct KindInfo {
    /// As in documents: `Pipeline`.
    pub kind: &'static str,
    /// As in URLs and the CLI: `pipelines`.
    pub plural: &'static str,
    pub singular: &'static str,
    /// For people: `Pipelines`.
    pub title: &'static str,
    /// One sentence that says what such a resource is.
    pub summary: &'static str,
    /// The group of the UI's navigation: `build`, `operate`, `understand` or `platform`.
    pub group: &'static str,
    pub scope: KindScope,
    /// The usual run engine of a runnable kind (see [`Kind::engine`]), none for a standing one.
    pub engine: Option<&'static str>,
    pub actions: Vec<ActionInfo>,
    /// JSON Schema of `spec`.
    pub schema: Value,
    /// A small spec that is valid as it stands, shown where a person makes the first item.
    pub example: Value,
}

impl KindInfo {
    pub fn runnable(&self) -> bool {
        self.engine.is_some()
    }
}

/// What validation may read: the code archives and the other specs of the scope, nothing else.
#[derive(Clone)]
pub struct SpecView {
    pub scope: Scope,
    pub code: CodeStore,
    pub specs: SpecReader,
}

/// The behaviour of a kind. Pure but for what [`SpecView`] reads.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    fn info(&self) -> &KindInfo;

    /// Checks the shape and returns the normalised spec (defaults written out), or all violations with pointers
    /// relative to the spec.
    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>>;

    /// Replaces references by pinned ones when a revision is cut, so that an old revision keeps meaning what it meant.
    async fn pin(&self, spec: Value, _view: &SpecView) -> Result<Value> {
        Ok(spec)
    }

    /// The resources that a parsed spec refers to, by kind and name: those that are applied with it come first.
    fn depends_on(&self, _spec: &Value) -> Vec<(&'static str, String)> {
        vec![]
    }

    /// Everything that is wrong with a parsed spec, all of it. `Err` only when that cannot be found out now.
    async fn validate(&self, _spec: &Value, _view: &SpecView) -> Result<Vec<Violation>> {
        Ok(vec![])
    }

    /// The engine that carries out a run of this published spec with these parameters.
    fn engine(&self, _spec: &Value, _params: &Value) -> Option<&'static str> {
        self.info().engine
    }

    /// JSON Schema of what a run asks for; `None` when it asks for nothing.
    fn params_schema(&self, _spec: &Value) -> Option<Value> {
        None
    }

    /// The run's parameters with defaults filled in, or all violations with pointers under `/params`.
    fn run_params(&self, _spec: &Value, params: &Value) -> std::result::Result<Value, Vec<Violation>> {
        match params.as_object() {
            Some(map) if map.is_empty() => Ok(params.clone()),
            _ => Err(vec![Violation::new("/params", "unknown_param", "this kind takes no parameters")]),
        }
    }
}
