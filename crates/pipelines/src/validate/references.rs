//! `${params.<name>}`: every reference in the spec has its param.

use qd_core::violation::{Pointer, Violation};
use serde_json::Value;

use crate::params::{self, unknown_param};
use crate::spec::PipelineSpec;
use crate::target;

pub(super) fn check(spec: &PipelineSpec) -> Vec<Violation> {
    let names: Vec<&str> = params::names(&spec.params).collect();
    substituted(spec)
        .into_iter()
        .flat_map(|(value, at)| params::references(&value, &at))
        .filter_map(|reference| match reference.name {
            Ok(name) if names.contains(&name.as_str()) => None,
            Ok(name) => Some(unknown_param(&reference.pointer, &name, names.iter().copied())),
            Err(violation) => Some(violation),
        })
        .collect()
}

/// The parts of a spec in which references are followed, with their places.
pub(crate) fn substituted(spec: &PipelineSpec) -> Vec<(Value, String)> {
    let root = Pointer::root();
    let mut parts: Vec<(Value, String)> = spec
        .stages
        .iter()
        .enumerate()
        .map(|(index, stage)| {
            (Value::Object(stage.params.clone()), String::from(root.key("stages").index(index).key("params")))
        })
        .collect();
    let io = serde_json::to_value(&spec.io).unwrap_or_default();
    parts.push((io, root.key("io").into()));
    let env = serde_json::to_value(&spec.runtime.env).unwrap_or_default();
    parts.push((env, root.key("runtime").key("env").into()));
    parts.push((spec.runtime.target.clone().into(), target::AT.into()));
    let config = Value::Object(spec.runtime.config.clone());
    parts.push((config, root.key("runtime").key("config").into()));
    parts
}
