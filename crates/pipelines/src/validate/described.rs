//! What the pinned code says: classes and functions that exist, params that fit them, config that Xenna knows.

use std::collections::HashSet;

use qd_core::suggest;
use qd_core::violation::{Pointer, Violation};
use serde_json::{Map, Value};

use crate::conformance::Conformance;
use crate::describe::{Described, Description};
use crate::params::{self, references};
use crate::spec::PipelineSpec;

pub(super) fn check(spec: &PipelineSpec, description: &Description) -> Vec<Violation> {
    let mut violations = Vec::new();
    let defaults = params::defaults(&spec.params);
    let root = Pointer::root();
    for (index, stage) in spec.stages.iter().enumerate() {
        let at = root.key("stages").index(index);
        let Some(uses) = &stage.uses else { continue };
        let Some(class) = description.classes.get(uses) else { continue };
        check_object(class, &stage.params, &at, &defaults, &mut violations);
    }
    if let Some(callable) = spec.io.input.as_ref().and_then(|input| input.callable.as_ref())
        && let Some(function) = description.callables.get(&callable.uses)
    {
        let at = root.key("io").key("input").key("callable");
        check_object(function, &callable.params, &at, &defaults, &mut violations);
    }
    check_config(&spec.runtime.config, description, &defaults, &mut violations);
    violations
}

/// A class or function at `at`, which has the members `uses` and `params`.
fn check_object(
    described: &Described,
    given: &Map<String, Value>,
    at: &Pointer,
    defaults: &Map<String, Value>,
    violations: &mut Vec<Violation>,
) {
    match described {
        Described::Failed(failure) => {
            let code = match failure.code.as_str() {
                "not_found" => "class_not_found",
                "import_error" => "import_failed",
                other => other,
            };
            violations.push(Violation::new(at.key("uses"), code, failure.detail.clone()));
        }
        Described::Ok(described) => {
            let at = at.key("params");
            let given = Value::Object(given.clone());
            match Conformance::new(described.params.schema.clone(), at.as_str()) {
                Ok(checker) => violations.extend(fitting(&checker, &given, &at, defaults)),
                Err(violation) => violations.push(violation),
            }
        }
    }
}

fn check_config(
    config: &Map<String, Value>,
    description: &Description,
    defaults: &Map<String, Value>,
    violations: &mut Vec<Violation>,
) {
    let at = Pointer::root().key("runtime").key("config");
    for (name, value) in config {
        let at = at.key(name);
        let Some(field) = description.config_fields.get(name) else {
            let detail = match name.as_str() {
                "execution_mode" => "execution_mode stands at the top of the spec".to_owned(),
                "return_last_stage_outputs" => "this follows from io.output".to_owned(),
                other => {
                    let hint = suggest::hint(other, description.config_fields.keys().map(String::as_str));
                    let version = description.xenna.as_deref().unwrap_or("that is installed");
                    format!(
                        "cosmos-xenna {version} has no PipelineConfig.{}{hint}",
                        qd_core::error::clip(other, 60)
                    )
                }
            };
            violations.push(Violation::new(&at, "unknown_field", detail));
            continue;
        };
        if let Some(schema) = &field.schema
            && let Ok(checker) = Conformance::new(schema.clone(), at.as_str())
        {
            violations.extend(fitting(&checker, value, &at, defaults));
        }
    }
}

/// What is wrong with `value` when the defaults of the run's params are put in. Where a param has no default, what
/// its value will be is not known, and nothing is said of that place.
fn fitting(
    checker: &Conformance,
    value: &Value,
    at: &Pointer,
    defaults: &Map<String, Value>,
) -> Vec<Violation> {
    let found = references(value, at.as_str());
    let open: HashSet<&str> = found
        .iter()
        .filter(|reference| reference.name.as_ref().map_or(true, |name| !defaults.contains_key(name)))
        .map(|reference| reference.pointer.as_str())
        .collect();
    let mut known = defaults.clone();
    for reference in &found {
        if let Ok(name) = &reference.name {
            known.entry(name.clone()).or_insert(Value::Null);
        }
    }
    let Ok(value) = params::substitute(value, &known, at.as_str()) else { return Vec::new() };
    let mut violations = checker.violations(&value, at.as_str());
    violations.retain(|violation| !open.contains(violation.pointer.as_str()));
    violations
}
