//! Everything that is wrong with a spec, all of it at once, each with a JSON pointer and a stable code.
//!
//! Three steps, each of which needs the one before. *Shape*: types, unknown and missing fields, bounds of single
//! values. *Meaning*: what can be known from the spec alone and the size of its target. *Described*: what only the
//! pinned code knows, as the runner's `describe` tells it. Pointers are relative to the spec.
//!
//! What only a constructor can find out (`check` of the runner) is not looked for here: it runs user code.

mod capacity;
mod described;
mod grammar;
mod graph;
mod io;
mod references;
mod runtime;
mod stages;

use qd_core::violation::Violation;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::conformance::Conformance;
use crate::describe::Description;
use crate::params;
use crate::spec::{PipelineSpec, StageTemplateSpec, plain_schema};

pub use capacity::Capacity;
pub use grammar::is_import_path;

/// Reads a pipeline's spec and writes its defaults out.
///
/// # Errors
/// All faults of shape.
pub fn validate_shape(spec: &Value) -> Result<PipelineSpec, Vec<Violation>> {
    shape(spec)
}

/// Reads a stage template's spec.
///
/// # Errors
/// All faults of shape.
pub fn validate_template_shape(spec: &Value) -> Result<StageTemplateSpec, Vec<Violation>> {
    shape(spec)
}

/// The JSON Schema of a pipeline's spec.
#[must_use]
pub fn pipeline_schema() -> Value {
    plain_schema::<PipelineSpec>()
}

/// The JSON Schema of a stage template's spec.
#[must_use]
pub fn template_schema() -> Value {
    plain_schema::<StageTemplateSpec>()
}

/// What is wrong with the meaning of a spec, as far as it can be known without its code.
#[must_use]
pub fn validate_semantics(spec: &PipelineSpec, capacity: &Capacity) -> Vec<Violation> {
    let mut violations = without_capacity(spec);
    violations.extend(capacity::check(spec, None, capacity));
    violations
}

/// What is wrong with a spec in the light of its code: classes, params, config fields, and what the stages need
/// when the classes themselves say it. To be asked after [`validate_semantics`] found nothing.
#[must_use]
pub fn validate_described(
    spec: &PipelineSpec,
    description: &Description,
    capacity: &Capacity,
) -> Vec<Violation> {
    let mut violations = described::check(spec, description);
    violations.extend(capacity::check(spec, Some(description), capacity));
    violations
}

/// What is wrong with the meaning of a stage template.
#[must_use]
pub fn validate_template(spec: &StageTemplateSpec) -> Vec<Violation> {
    let mut violations = stages::check_uses(&spec.uses, "/uses");
    violations.extend(runtime::check_code(spec.code.as_ref(), "/code"));
    violations
}

fn without_capacity(spec: &PipelineSpec) -> Vec<Violation> {
    let mut violations = params::schema_violations(&spec.params);
    violations.extend(stages::check(spec));
    violations.extend(spec.graph.iter().flat_map(|graph| graph::check(graph, &spec.stages)));
    violations.extend(io::check(spec));
    violations.extend(runtime::check(spec));
    violations.extend(references::check(spec));
    violations
}

fn shape<T: JsonSchema + DeserializeOwned>(spec: &Value) -> Result<T, Vec<Violation>> {
    let checker = Conformance::new(plain_schema::<T>(), "").map_err(|violation| vec![violation])?;
    let violations = checker.violations(spec, "");
    if !violations.is_empty() {
        return Err(violations);
    }
    T::deserialize(spec).map_err(|error| vec![Violation::new("", "invalid_value", error.to_string())])
}
