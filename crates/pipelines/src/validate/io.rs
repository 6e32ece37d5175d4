//! Input and output: one source, one way to keep results, and paths that stay where they belong.

use std::path::{Component, Path};

use qd_core::violation::{Pointer, Violation};

use super::stages::check_uses;
use crate::spec::{ExecutionMode, Input, Output, PipelineSpec};

pub(super) fn check(spec: &PipelineSpec) -> Vec<Violation> {
    let mut violations = Vec::new();
    let serving = spec.execution_mode == ExecutionMode::Serving;
    check_input(spec.io.input.as_ref(), serving, &mut violations);
    check_output(&spec.io.output, serving, &mut violations);
    violations
}

fn check_input(input: Option<&Input>, serving: bool, violations: &mut Vec<Violation>) {
    let at = Pointer::root().key("io").key("input");
    let given: Vec<&str> = input.map(sources).unwrap_or_default();
    if serving {
        if !given.is_empty() {
            let detail = "a serving pipeline takes its items from requests: leave input out";
            violations.push(Violation::new(&at, "not_allowed", detail));
        }
        return;
    }
    let Some(input) = input else {
        let detail = "a pipeline needs an input: files, jsonl, items or callable";
        violations.push(Violation::new(&at, "missing_field", detail));
        return;
    };
    match given.as_slice() {
        [_] => {}
        [] => {
            let detail = "an input is one of files, jsonl, items, callable";
            violations.push(Violation::new(&at, "exactly_one", detail));
        }
        many => {
            let detail =
                format!("an input is one of files, jsonl, items, callable; given are {}", many.join(", "));
            violations.push(Violation::new(&at, "exactly_one", detail));
        }
    }
    if let Some(callable) = &input.callable {
        violations.extend(check_uses(&callable.uses, at.key("callable").key("uses").as_str()));
    }
}

fn sources(input: &Input) -> Vec<&'static str> {
    [
        ("files", input.files.is_some()),
        ("jsonl", input.jsonl.is_some()),
        ("items", input.items.is_some()),
        ("callable", input.callable.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect()
}

fn check_output(output: &Output, serving: bool, violations: &mut Vec<Violation>) {
    let at = Pointer::root().key("io").key("output");
    let given = [
        ("jsonl", output.jsonl.is_some()),
        ("files", output.files.is_some()),
        ("none", output.none.is_some()),
    ];
    let given: Vec<&str> = given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
    if given.len() > 1 {
        let detail = format!("an output is one of jsonl, files, none; given are {}", given.join(", "));
        violations.push(Violation::new(&at, "exactly_one", detail));
    }
    if serving {
        for kept in given.iter().filter(|name| **name != "none") {
            let detail = "a serving pipeline answers each request with its result: leave output out";
            violations.push(Violation::new(at.key(kept), "not_allowed", detail));
        }
    }
    if let Some(jsonl) = &output.jsonl {
        check_inside(&jsonl.path, &at.key("jsonl").key("path"), violations);
    }
    if let Some(files) = &output.files {
        check_inside(&files.dir, &at.key("files").key("dir"), violations);
    }
}

/// Results stay in the run's output folder.
fn check_inside(path: &str, at: &Pointer, violations: &mut Vec<Violation>) {
    let parts = || Path::new(path).components();
    let inside = parts().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let named = parts().any(|part| matches!(part, Component::Normal(_)));
    if inside && !named {
        let detail = format!("{path:?} is the run's output folder itself: give a name in it");
        violations.push(Violation::new(at, "path_outside", detail));
    }
    if !inside {
        let detail = format!("{path:?} leaves the run's output folder: give a relative path without \"..\"");
        violations.push(Violation::new(at, "path_outside", detail));
    }
}
