//! Target, code, requirements, environment and links.

use std::collections::HashMap;

use qd_core::error::clip;
use qd_core::name::Name;
use qd_core::violation::{Pointer, Violation};

use super::grammar::{is_identifier, requirement};
use crate::spec::{Code, PipelineSpec};
use crate::target::{self, Target};

/// Packages whose version is the environment's business: another one would replace what the runner was made for.
const OWN_PACKAGES: [&str; 3] = ["cosmos-xenna", "ray", "qd-runner"];
/// Variables by which Quarterdeck steers the runner and its Ray.
const OWN_VARIABLES: [&str; 5] =
    ["PYTHONPATH", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"];

pub(super) fn check(spec: &PipelineSpec) -> Vec<Violation> {
    let at = Pointer::root().key("runtime");
    let runtime = &spec.runtime;
    let mut violations = Vec::new();
    // A name that could be none of a connection; whether there is one is asked where specs can be read.
    if let Some(Target::Connection(name)) = target::by_default(spec)
        && let Err(error) = Name::parse(&name)
    {
        violations.push(error.at(at.key("target").as_str()));
    }
    violations.extend(check_code(runtime.code.as_ref(), at.key("code").as_str()));
    check_requirements(&runtime.requirements, &at.key("requirements"), &mut violations);
    for name in runtime.env.keys() {
        let at = at.key("env").key(name);
        if !is_identifier(name) {
            let detail = format!("{:?} is no name of an environment variable", clip(name, 60));
            violations.push(Violation::new(&at, "invalid_name", detail));
        } else if name.starts_with("QD_") || OWN_VARIABLES.contains(&name.as_str()) {
            let detail = format!("{name} is set by Quarterdeck");
            violations.push(Violation::new(&at, "not_allowed", detail));
        }
    }
    let links = &spec.links;
    for (kind, names) in
        [("datasets", &links.datasets), ("models", &links.models), ("artifacts", &links.artifacts)]
    {
        check_links(names, &Pointer::root().key("links").key(kind), &mut violations);
    }
    violations
}

/// A revision pins its code: a folder's name alone says nothing on another machine.
pub(super) fn check_code(code: Option<&Code>, at: &str) -> Vec<Violation> {
    match code {
        Some(Code::Folder(folder)) => {
            let detail = format!("the folder {:?} is not packed: `qd apply` does that", clip(folder, 80));
            vec![Violation::new(at, "code_not_packed", detail)]
        }
        Some(Code::Packed(_)) | None => Vec::new(),
    }
}

fn check_requirements(requirements: &[String], at: &Pointer, violations: &mut Vec<Violation>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, text) in requirements.iter().enumerate() {
        let at = at.index(index);
        let Some((package, _)) = requirement(text) else {
            let detail = format!("{:?} is no pinned package: write package==version", clip(text, 80));
            violations.push(Violation::new(&at, "invalid_requirement", detail));
            continue;
        };
        if OWN_PACKAGES.contains(&package.as_str()) {
            let detail =
                format!("the version of {package} is that of the server's environment: leave it out");
            violations.push(Violation::new(&at, "not_allowed", detail));
        }
        if let Some(first) = seen.get(&package) {
            let detail = format!("{package} is required by /runtime/requirements/{first} already");
            violations.push(Violation::new(&at, "duplicate", detail));
        } else {
            seen.insert(package, index);
        }
    }
}

fn check_links(names: &[String], at: &Pointer, violations: &mut Vec<Violation>) {
    for (index, name) in names.iter().enumerate() {
        let at = at.index(index);
        if let Err(error) = Name::parse(name) {
            violations.push(error.at(&at));
        } else if let Some(first) =
            names.iter().position(|other| other == name).filter(|first| *first < index)
        {
            let detail = format!("{name} is listed already, at position {first}");
            violations.push(Violation::new(&at, "duplicate", detail));
        }
    }
}
