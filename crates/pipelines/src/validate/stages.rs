//! Stages one by one: ids, import paths, where the class comes from, workers and what they need.

use std::collections::HashMap;

use qd_core::error::clip;
use qd_core::name::Name;
use qd_core::violation::{Pointer, Violation};

use super::grammar::is_import_path;
use crate::spec::{PipelineSpec, Stage};

pub(super) fn check(spec: &PipelineSpec) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let at = Pointer::root().key("stages");
    for (index, stage) in spec.stages.iter().enumerate() {
        let at = at.index(index);
        if let Err(error) = Name::parse(&stage.id) {
            violations.push(error.at(at.key("id")));
        }
        if let Some(first) = seen.get(stage.id.as_str()) {
            let detail = format!("the id {:?} is taken by /stages/{first}", stage.id);
            violations.push(Violation::new(at.key("id"), "duplicate", detail));
        } else {
            seen.insert(&stage.id, index);
        }
        check_source(stage, &at, &mut violations);
        if stage.workers.is_some() && stage.workers_per_node.is_some() {
            let detail = "give workers or workers_per_node, not both";
            violations.push(Violation::new(at.key("workers_per_node"), "exactly_one", detail));
        }
        if let Some(resources) = &stage.resources {
            for (name, value) in [("cpus", resources.cpus), ("gpus", resources.gpus)] {
                if value.is_some_and(|value| !value.is_finite()) {
                    let detail = format!("{name} must be a finite number");
                    violations.push(Violation::new(at.key("resources").key(name), "out_of_range", detail));
                }
            }
        }
    }
    violations
}

fn check_source(stage: &Stage, at: &Pointer, violations: &mut Vec<Violation>) {
    match (&stage.uses, &stage.template) {
        (Some(uses), None) => violations.extend(check_uses(uses, at.key("uses").as_str())),
        (None, Some(template)) => {
            if let Err(error) = Name::parse(&template.name) {
                violations.push(error.at(at.key("template").key("name")));
            }
        }
        (None, None) => {
            let detail = "a stage needs a class (uses) or a template";
            violations.push(Violation::new(at.key("uses"), "missing_field", detail));
        }
        (Some(_), Some(_)) => {
            let detail = "give uses or template, not both";
            violations.push(Violation::new(at.key("template"), "exactly_one", detail));
        }
    }
}

pub(super) fn check_uses(uses: &str, at: &str) -> Vec<Violation> {
    if is_import_path(uses) {
        return Vec::new();
    }
    let detail = format!("{:?} is no import path: write package.module:Name", clip(uses, 80));
    vec![Violation::new(at, "invalid_import_path", detail)]
}
