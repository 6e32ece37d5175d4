//! Stages made from templates.
//!
//! When a revision is cut, the template's spec is written into the stage's reference (`template.pinned`): an old
//! revision keeps the class, code and defaults that it was cut with, and a run needs nothing but its revision.

use std::collections::BTreeSet;

use qd_core::canonical::Digest;
use qd_core::violation::{Pointer, Violation};
use serde_json::{Map, Value};

use crate::spec::{Code, PipelineSpec, Stage, StageTemplateSpec};

/// A spec in which every pinned template has become its class, and all code that it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub spec: PipelineSpec,
    /// The pipeline's own first, with the place where each is named.
    pub code: Vec<(Digest, String)>,
}

/// Puts the pinned templates in. A stage whose template is not pinned stays as it is.
#[must_use]
pub fn resolve(spec: &PipelineSpec) -> Resolved {
    let mut spec = spec.clone();
    let root = Pointer::root();
    let mut code = Vec::new();
    add(&mut code, spec.runtime.code.as_ref(), &root.key("runtime").key("code"));
    for (index, stage) in spec.stages.iter_mut().enumerate() {
        let Some(template) = stage.template.as_ref().and_then(|template| template.pinned.clone()) else {
            continue;
        };
        add(&mut code, template.code.as_ref(), &root.key("stages").index(index).key("template"));
        put_in(stage, *template);
    }
    let mut seen = BTreeSet::new();
    code.retain(|(digest, _)| seen.insert(digest.clone()));
    Resolved { spec, code }
}

/// The violation for a template that is not there.
#[must_use]
pub fn unknown_template(index: usize, name: &str, revision: Option<u32>) -> Violation {
    let detail = match revision {
        Some(revision) => format!("there is no revision {revision} of a stage template {name:?}"),
        None => format!("there is no published stage template {name:?}"),
    };
    Violation::new(format!("/stages/{index}/template"), "unknown_template", detail)
}

fn add(code: &mut Vec<(Digest, String)>, found: Option<&Code>, at: &Pointer) {
    if let Some(digest) = found.and_then(Code::digest) {
        code.push((digest.clone(), at.to_string()));
    }
}

fn put_in(stage: &mut Stage, template: StageTemplateSpec) {
    let mut params: Map<String, Value> = template.params;
    params.extend(std::mem::take(&mut stage.params));
    stage.params = params;
    stage.uses = Some(template.uses);
    stage.template = None;
    stage.resources = match (stage.resources, template.resources) {
        (Some(own), Some(shared)) => Some(own.or(shared)),
        (own, shared) => own.or(shared),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stages_own_words_win_over_its_template() {
        let (own, shared) = (Digest::of("own"), Digest::of("shared"));
        let template = json!({
            "name": "dedup", "revision": 3,
            "pinned": {
                "uses": "dedup:Stage", "params": { "threshold": 0.8, "fields": ["text"] }, "resources": { "cpus": 1, "gpus": 2 },
                "code": { "digest": shared }
            }
        });
        let spec: PipelineSpec = serde_json::from_value(json!({
            "stages": [
                { "id": "a", "template": template, "params": { "threshold": 0.5 } },
                { "id": "b", "template": template, "resources": { "cpus": 0.25 } },
                { "id": "c", "template": { "name": "other" } }
            ],
            "runtime": { "code": { "digest": own } }
        }))
        .unwrap();
        let resolved = resolve(&spec);
        let [a, b, c] = resolved.spec.stages.as_slice() else { unreachable!("three stages") };
        assert_eq!(Value::from(a.params.clone()), json!({ "threshold": 0.5, "fields": ["text"] }));
        assert_eq!((a.uses.as_deref(), a.resources.unwrap().cpus), (Some("dedup:Stage"), Some(1.0)));
        let of_b = b.resources.unwrap();
        assert_eq!((of_b.cpus, of_b.gpus, b.template.is_none()), (Some(0.25), Some(2.0), true));
        assert_eq!((c.uses.as_deref(), c.template.is_some()), (None, true));
        assert_eq!(
            resolved.code,
            [(own, "/runtime/code".to_owned()), (shared, "/stages/0/template".to_owned())]
        );
    }
}
