//! The run file: what one run is, with nothing left to look up, as the runner reads it.
//!
//! Params are put in here, so the runner knows none of `${…}`, of templates or of archives.

use std::path::{Path, PathBuf};

use qd_core::violation::Violation;
use serde_json::{Map, Value, json};

use crate::params::substitute;
use crate::spec::PipelineSpec;

/// What a run file is made from, beside the spec.
#[derive(Debug, Clone)]
pub struct RunFacts<'a> {
    pub run_id: String,
    /// `curate#42`
    pub run_ref: &'a str,
    pub params: &'a Map<String, Value>,
    /// Unpacked archives, the pipeline's own first.
    pub code: &'a [PathBuf],
    /// Where results go.
    pub output: &'a Path,
    /// Where relative input paths begin.
    pub spec_dir: &'a Path,
}

/// The run file of a resolved spec (see [`crate::templates::resolve`]).
///
/// # Errors
/// A violation for each reference that cannot be followed: the spec was not validated.
pub fn run_file(spec: &PipelineSpec, facts: &RunFacts<'_>) -> Result<Value, Vec<Violation>> {
    let mut violations = Vec::new();
    let mut put_in = |value: Value, at: &str| {
        substitute(&value, facts.params, at).unwrap_or_else(|found| {
            violations.extend(found);
            Value::Null
        })
    };
    let mut stages = Vec::new();
    for (index, stage) in spec.stages.iter().enumerate() {
        let mut stage = to_value(stage);
        if let Some(params) = stage.get_mut("params") {
            *params = put_in(params.take(), &format!("/stages/{index}/params"));
        }
        stages.push(stage);
    }
    let io = put_in(to_value(&spec.io), "/io");
    let config = put_in(Value::Object(spec.runtime.config.clone()), "/runtime/config");
    let env = put_in(to_value(&spec.runtime.env), "/runtime/env");
    if !violations.is_empty() {
        return Err(violations);
    }
    Ok(json!({
        "run_id": facts.run_id,
        "run": facts.run_ref,
        "attempt_output": facts.output,
        "code": facts.code,
        "params": facts.params,
        "execution_mode": spec.execution_mode,
        "stages": stages,
        "io": io,
        "config": config,
        "env": as_texts(env),
        "spec_dir": facts.spec_dir,
    }))
}

/// An environment holds texts: a param of another type becomes one.
fn as_texts(env: Value) -> Value {
    let Value::Object(members) = env else { return env };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.into_iter().map(|(name, value)| (name, Value::String(text(value)))).collect::<Map<_, _>>().into()
}

fn to_value(part: &impl serde::Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_put_in() {
        let spec: PipelineSpec = serde_json::from_value(json!({
            "execution_mode": "batch",
            "params": { "type": "object", "properties": { "n": { "type": "integer" }, "glob": { "type": "string" } } },
            "stages": [{
                "id": "a", "name": "A", "uses": "m:A", "workers": 1, "run_attempts": 3,
                "params": { "n": "${params.n}", "text": "n is ${params.n}" }, "resources": { "cpus": 0.5 }
            }],
            "io": { "input": { "files": { "glob": "${params.glob}" } }, "output": { "jsonl": { "path": "out.jsonl" } } },
            "runtime": { "env": { "N": "${params.n}" }, "config": { "slots_per_actor": "${params.n}" } }
        }))
        .unwrap();
        let params = json!({ "n": 2, "glob": "*.txt" }).as_object().unwrap().clone();
        let facts = RunFacts {
            run_id: "0198".into(),
            run_ref: "curate#42",
            params: &params,
            code: &["/data/code/ab".into()],
            output: Path::new("/data/runs/0198/output"),
            spec_dir: Path::new("/data/code/ab"),
        };
        insta::assert_json_snapshot!(run_file(&spec, &facts).unwrap());

        let unknown = run_file(&spec, &RunFacts { params: &Map::new(), ..facts }).unwrap_err();
        let at: Vec<&str> = unknown.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(
            at,
            [
                "/stages/0/params/n",
                "/stages/0/params/text",
                "/io/input/files/glob",
                "/runtime/config/slots_per_actor",
                "/runtime/env/N"
            ]
        );
    }
}
