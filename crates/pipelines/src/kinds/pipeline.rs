//! The kind `Pipeline`.
//!
//! Validation goes as far as it can: what is wrong with the spec alone is said without any environment, and only a
//! spec that is right so far is held against its code.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::error::{Error, ErrorKind, Result, clip};
use qd_core::violation::Violation;
use qd_kernel::connections::CONNECTION;
use qd_kernel::kind::{Kind, KindInfo, KindScope, SpecView};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Backing, STAGE_TEMPLATE};
use crate::code::unpack;
use crate::describe::Question;
use crate::engine::ray::ray_connection;
use crate::engine::{RAY, XENNA};
use crate::params;
use crate::spec::{ExecutionMode, PipelineSpec, StageTemplateSpec};
use crate::target::{self, Target};
use crate::templates::{Resolved, resolve, unknown_template};
use crate::validate::{Capacity, pipeline_schema, validate_described, validate_semantics, validate_shape};

/// The kind's name in documents.
pub const PIPELINE: &str = "Pipeline";

const SERVES_HERE: &str =
    "a serving pipeline runs on the target local: nothing outside of a job reaches its queues";

/// How long a validation waits for an environment that is being made; then the caller is asked to come back.
const ENVIRONMENT_WAIT: Duration = Duration::from_secs(10);

pub(super) struct Pipelines {
    info: KindInfo,
    backing: Backing,
}

impl Pipelines {
    pub fn new(backing: Backing) -> Self {
        let info = KindInfo {
            kind: PIPELINE,
            plural: "pipelines",
            singular: "pipeline",
            title: "Pipelines",
            summary: "Stages in a line that process items on Ray: streaming, in batches, or serving requests.",
            group: "build",
            scope: KindScope::Project,
            engine: Some(XENNA),
            actions: Vec::new(),
            schema: pipeline_schema(),
            example: json!({
                "execution_mode": "streaming",
                "params": {
                    "type": "object",
                    "properties": { "min_words": { "type": "integer", "default": 20, "minimum": 0 } }
                },
                "stages": [
                    {
                        "id": "filter",
                        "name": "Filter",
                        "uses": "curate.stages:QualityFilter",
                        "params": { "min_words": "${params.min_words}" },
                        "resources": { "cpus": 0.25 },
                        "workers": 1
                    }
                ],
                "io": {
                    "input": { "items": ["a first text", "a second text"] },
                    "output": { "jsonl": { "path": "results.jsonl" } }
                },
                "runtime": { "target": "local", "code": "./code" }
            }),
        };
        Self { info, backing }
    }

    /// What is wrong in the light of the pinned code.
    async fn describe(&self, resolved: &Resolved, view: &SpecView) -> Result<Vec<Violation>> {
        let mut question = Question::default();
        for (digest, at) in &resolved.code {
            let archive = match view.code.get(view.scope, digest).await {
                Ok(archive) => archive,
                Err(error) if error.kind == ErrorKind::NotFound => {
                    let detail = format!("no code with the digest {digest} was uploaded");
                    return Ok(vec![Violation::new(at.as_str(), "unknown_code", detail)]);
                }
                Err(error) => return Err(error),
            };
            let (wanted, root) = (digest.clone(), self.backing.code_root.clone());
            let unpacked = tokio::task::spawn_blocking(move || unpack(&archive, &wanted, &root)).await;
            let folder = unpacked.map_err(|error| {
                Error::internal("code_unpack", "could not unpack the pipeline's code").with_source(error)
            })??;
            question.code.push((digest.clone(), folder));
        }
        let spec = &resolved.spec;
        question.classes = spec.stages.iter().filter_map(|stage| stage.uses.clone()).collect();
        let callable = spec.io.input.as_ref().and_then(|input| input.callable.as_ref());
        question.callables = callable.iter().map(|callable| callable.uses.clone()).collect();

        // What a param gives is known at the run only.
        let fixed = spec.runtime.env.iter().filter(|(_, value)| !value.contains("${"));
        question.env = fixed.map(|(name, value)| (name.clone(), value.clone())).collect();

        let environments = &self.backing.environments;
        let requirements = &spec.runtime.requirements;
        let environment = match tokio::time::timeout(ENVIRONMENT_WAIT, environments.wait(requirements)).await
        {
            Ok(environment) => environment?,
            Err(_) => environments.ready(requirements)?,
        };
        match self.backing.describer.describe(&environment, &question).await {
            Ok(description) => {
                let capacity = match target::by_default(spec) {
                    Some(Target::Local) => {
                        description.cpus.map_or_else(machine, |cpus| Capacity { cpus, ..machine() })
                    }
                    _ => Capacity::UNKNOWN,
                };
                Ok(validate_described(spec, &description, &capacity))
            }
            Err(error) => Ok(vec![Violation::new("/runtime/code", "code_not_described", error.to_string())]),
        }
    }
}

#[async_trait]
impl Kind for Pipelines {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        written_out(&validate_shape(spec)?)
    }

    /// Writes the templates in, each in the revision that is published now unless one is named.
    async fn pin(&self, spec: Value, view: &SpecView) -> Result<Value> {
        let mut spec = validate_shape(&spec).map_err(Error::from_violations)?;
        let mut violations = Vec::new();
        for (index, stage) in spec.stages.iter_mut().enumerate() {
            let Some(template) = &mut stage.template else { continue };
            let revision = template.revision;
            let found =
                view.specs.find(view.scope, STAGE_TEMPLATE, &template.name, revision.map(i64::from)).await?;
            let found = found.and_then(|(number, spec)| {
                let pinned: StageTemplateSpec = serde_json::from_value(spec).ok()?;
                Some((u32::try_from(number).ok()?, pinned))
            });
            match found {
                Some((number, pinned)) => {
                    template.revision = Some(number);
                    template.pinned = Some(Box::new(pinned));
                }
                // A rollback to a revision whose template is gone: it carries what it was pinned to.
                None if template.pinned.is_some() && revision.is_some() => {}
                None => violations.push(unknown_template(index, &template.name, revision)),
            }
        }
        if !violations.is_empty() {
            return Err(Error::from_violations(violations));
        }
        written_out(&spec).map_err(Error::from_violations)
    }

    async fn validate(&self, spec: &Value, view: &SpecView) -> Result<Vec<Violation>> {
        let spec = match validate_shape(spec) {
            Ok(spec) => spec,
            Err(violations) => return Ok(violations),
        };
        let mut violations = validate_semantics(&spec, &capacity(&spec));
        violations.extend(target_violations(&spec, view).await?);
        if !violations.is_empty() {
            return Ok(violations);
        }
        let resolved = resolve(&spec);
        if resolved.spec != spec {
            // The templates' own words: their references, what they need.
            let violations = validate_semantics(&resolved.spec, &capacity(&resolved.spec));
            if !violations.is_empty() {
                return Ok(violations);
            }
        }
        self.describe(&resolved, view).await
    }

    /// Its templates and, where it names one itself, its target's connection.
    fn depends_on(&self, spec: &Value) -> Vec<(&'static str, String)> {
        let stages = spec["stages"].as_array().into_iter().flatten();
        let templates = stages.filter_map(|stage| stage["template"]["name"].as_str());
        let mut found: Vec<_> = templates.map(|name| (STAGE_TEMPLATE, name.to_owned())).collect();
        let target = spec.pointer(target::AT).and_then(Value::as_str).unwrap_or_default();
        if let Some(Target::Connection(name)) = target::of_run(target, &serde_json::Map::new()) {
            found.push((CONNECTION, name));
        }
        found
    }

    fn engine(&self, spec: &Value, params: &Value) -> Option<&'static str> {
        let target = spec.pointer(target::AT).and_then(Value::as_str).unwrap_or_default();
        let params = params.as_object().cloned().unwrap_or_default();
        Some(match target::of_run(target, &params) {
            Some(Target::Connection(_)) => RAY,
            Some(Target::Local) | None => XENNA,
        })
    }

    fn max_active_runs(&self, spec: &Value) -> Option<u32> {
        spec.pointer("/runtime/max_active_runs")
            .and_then(Value::as_u64)
            .and_then(|most| u32::try_from(most).ok())
    }

    fn connection(&self, spec: &Value, params: &Value) -> Option<String> {
        let target = spec.pointer(target::AT).and_then(Value::as_str).unwrap_or_default();
        match target::of_run(target, &params.as_object().cloned().unwrap_or_default()) {
            Some(Target::Connection(name)) => Some(name),
            Some(Target::Local) | None => None,
        }
    }

    fn params_schema(&self, spec: &Value) -> Option<Value> {
        let schema = spec.get("params")?;
        params::names(schema).next()?;
        Some(schema.clone())
    }

    fn run_params(&self, spec: &Value, given: &Value) -> std::result::Result<Value, Vec<Violation>> {
        let spec = validate_shape(spec)?;
        let params = params::run_params(&spec.params, given)?;
        match target::of_run(&spec.runtime.target, &params) {
            Some(Target::Connection(_)) if spec.execution_mode == ExecutionMode::Serving => {
                Err(vec![Violation::new("/params", "not_allowed", SERVES_HERE)])
            }
            _ => Ok(Value::Object(params)),
        }
    }
}

/// A spec as it is kept.
pub(super) fn written_out(spec: &impl Serialize) -> std::result::Result<Value, Vec<Violation>> {
    serde_json::to_value(spec).map_err(|error| vec![Violation::new("", "invalid_value", error.to_string())])
}

/// What can be known of the size of a run's usual target.
fn capacity(spec: &PipelineSpec) -> Capacity {
    match target::by_default(spec) {
        Some(Target::Local) => machine(),
        // What a cluster has changes, and Ray waits for it.
        Some(Target::Connection(_)) | None => Capacity::UNKNOWN,
    }
}

/// What is wrong with the cluster on which runs are carried out unless a parameter says otherwise.
async fn target_violations(spec: &PipelineSpec, view: &SpecView) -> Result<Vec<Violation>> {
    let Some(Target::Connection(name)) = target::by_default(spec) else { return Ok(Vec::new()) };
    let mut violations = Vec::new();
    if spec.execution_mode == ExecutionMode::Serving {
        violations.push(Violation::new("/execution_mode", "not_allowed", SERVES_HERE));
    }
    let found = view.specs.find(view.scope, CONNECTION, &name, None).await?;
    let wrong = match found {
        None => Some(format!(
            "there is no published connection {:?}, and no other target but local",
            clip(&name, 60)
        )),
        Some((_, spec)) if ray_connection(&spec).is_none() => {
            Some(format!("the connection {:?} does not lead to a Ray cluster", clip(&name, 60)))
        }
        Some(_) => None,
    };
    violations.extend(wrong.map(|detail| Violation::new(target::AT, "unknown_target", detail)));
    Ok(violations)
}

/// This machine as a target, as far as it can be known without asking Ray.
fn machine() -> Capacity {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let is_gpu = |name: &str| name.strip_prefix("nvidia").is_some_and(|rest| rest.parse::<u16>().is_ok());
    let gpus = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_gpu))
        .count();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 of either")]
    Capacity { cpus: cpus as f64, gpus: gpus as f64 }
}
