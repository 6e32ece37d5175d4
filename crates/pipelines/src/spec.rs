//! The specs of this plane's kinds, as people write them: `Pipeline` and `StageTemplate`.
//!
//! One type serves the wire, the revision and the row, because a revisioned document is all three. The types say
//! the shape and the bounds that hold for a value alone (their JSON Schema is what forms and the OpenAPI page
//! show); rules between values are in [`crate::validate`]. Reading writes every default out, except for what is
//! inherited: a stage that says nothing of its retries goes on following the pipeline's config.

mod io;
mod runtime;
mod schema;
mod stage;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use io::{CallableInput, FilesInput, FilesOutput, Input, Io, JsonlInput, JsonlOutput, NoOutput, Output};
pub use runtime::{Code, LogLevel, Observability, PackedCode, Runtime};
pub(crate) use schema::plain_schema;
pub use stage::{Resources, Stage, StageTemplateSpec, TemplateRef};

/// How Xenna carries the stages out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ExecutionMode {
    /// All stages at once, items flow through them; workers are scaled by what each stage needs.
    #[default]
    Streaming,
    /// One stage after another; what lies between them is kept in memory.
    Batch,
    /// All stages at once until stopped; items come one by one as requests.
    Serving,
}

impl ExecutionMode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Batch => "batch",
            Self::Serving => "serving",
        }
    }
}

/// A pipeline: stages in a line, each a class of the user's own code, run by Xenna on Ray.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineSpec {
    /// How the stages are carried out.
    #[serde(default)]
    pub execution_mode: ExecutionMode,
    /// JSON Schema (an object) of what a run asks for. `${params.<name>}` puts a value into the strings of stage
    /// params, io, env and config.
    #[serde(default = "no_params")]
    #[schemars(schema_with = "schema::params", example = example_params())]
    pub params: Value,
    /// The stages in the order in which items pass them.
    #[schemars(length(min = 1, max = 100))]
    pub stages: Vec<Stage>,
    /// The same order as an editor draws it. Without it the stages follow one another as they are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Graph>,
    /// Where items come from and where results go.
    #[serde(default)]
    pub io: Io,
    /// What it runs on and with.
    #[serde(default)]
    pub runtime: Runtime,
    /// What is recorded of its runs.
    #[serde(default)]
    pub observability: Observability,
    /// Other resources that belong to it.
    #[serde(default)]
    pub links: Links,
}

fn no_params() -> Value {
    json!({ "type": "object", "properties": {} })
}

fn example_params() -> Value {
    json!({ "type": "object", "properties": { "threshold": { "type": "number", "default": 0.8 } } })
}

/// The stages as a drawn line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Graph {
    /// One for each stage.
    pub nodes: Vec<Node>,
    /// From each stage to the next.
    #[serde(default)]
    pub edges: Vec<Edge>,
}

/// A stage in the drawing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Node {
    /// The id of the stage.
    pub id: String,
    /// Where an editor shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// A place in the drawing, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Position {
    pub x: f64,
    pub y: f64,
}

/// An arrow in the drawing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Edge {
    /// The id of the stage that gives.
    pub source: String,
    /// The id of the stage that takes.
    pub target: String,
}

/// Other resources that belong to a pipeline, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Links {
    /// Datasets that it reads or makes.
    #[serde(default)]
    pub datasets: Vec<String>,
    /// Models that it uses or makes.
    #[serde(default)]
    pub models: Vec<String>,
    /// Artifacts that it uses or makes.
    #[serde(default)]
    pub artifacts: Vec<String>,
}
