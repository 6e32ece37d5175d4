//! Stages and the templates that stages are made from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::runtime::Code;
use super::schema::whole_number;

/// One step of a pipeline: a subclass of Xenna's `Stage`, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Stage {
    /// Name of the stage in logs, errors and the graph; unique in the pipeline.
    #[schemars(example = &"filter")]
    pub id: String,
    /// What people read; the id, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 120))]
    pub name: Option<String>,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub description: Option<String>,
    /// The class, as `package.module:Class`, in the pipeline's code or in one of its requirements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"curate.stages:QualityFilter")]
    pub uses: Option<String>,
    /// A stage template instead of a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateRef>,
    /// Keyword arguments of the class. A string that is exactly one `${params.<name>}` takes that value with its type.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// What one worker needs; what the class itself says, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Number of workers; as many as Xenna finds good, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(range(min = 1, max = 100_000))]
    pub workers: Option<u32>,
    /// Number of workers on each node, instead of `workers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub workers_per_node: Option<f64>,
    /// Items that one call of `process_data` gets; what the class itself says, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub batch_size: Option<u32>,
    /// How often `setup` is tried; the config's `num_setup_attempts_python`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub setup_attempts: Option<u32>,
    /// How often a batch is tried; the config's `num_run_attempts_python`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub run_attempts: Option<u32>,
    /// Whether a batch that fails is dropped (and counted) instead of failing the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_failures: Option<bool>,
    /// Whether a failed batch is tried again item by item, to name the item that fails. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_failures: Option<bool>,
    /// Whether a worker is replaced after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_workers_on_failure: Option<bool>,
    /// Batches that wait at a worker, the one in work included.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub slots_per_actor: Option<u32>,
    /// Minutes after which a worker is replaced; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub worker_max_lifetime_m: Option<f64>,
    /// Minutes between two such replacements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub worker_restart_interval_m: Option<f64>,
    /// Percentage of workers whose setup may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_setup_failure_percentage: Option<f64>,
    /// Factor by which Xenna gives this stage more workers than it seems to need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub over_provision_factor: Option<f64>,
}

/// What one worker needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Resources {
    /// CPUs; parts are allowed. What the class itself says, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), example = 0.25)]
    pub cpus: Option<f64>,
    /// GPUs; parts are allowed. What the class itself says, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub gpus: Option<f64>,
}

impl Resources {
    /// Each number from here, or else from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { cpus: self.cpus.or(other.cpus), gpus: self.gpus.or(other.gpus) }
    }
}

/// Which stage template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct TemplateRef {
    /// Name of the template.
    pub name: String,
    /// Its revision; the one published when the pipeline's revision is cut, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    pub revision: Option<u32>,
    /// The template as it was when the revision was cut. Quarterdeck writes this; it is not for editing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Box<StageTemplateSpec>>,
}

/// A stage that pipelines share: a class with defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageTemplateSpec {
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub description: Option<String>,
    /// The class, as `package.module:Class`.
    #[schemars(example = &"curate.stages:QualityFilter")]
    pub uses: String,
    /// Defaults of the class's keyword arguments; a stage's own win.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// What one worker needs, unless the stage says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Code that holds the class; a pipeline that uses the template gets it beside its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::schema::code")]
    pub code: Option<Code>,
}
