//! What a pipeline runs on and with, and what is recorded of it.

use std::collections::BTreeMap;

use qd_core::canonical::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::schema;

/// What a pipeline runs on and with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Runtime {
    /// Where it runs: `local` is a Ray of the run's own, on the machine of the server; any other name is that of a connection
    /// to a Ray cluster. `${params.<name>}` lets a run choose.
    #[serde(default = "local")]
    pub target: String,
    /// How many of its runs may be active at once; those over it wait their turn. No limit without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_active_runs: Option<u32>,
    /// The pipeline's code: a folder beside the spec, which `qd apply` packs and pins by its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::code")]
    pub code: Option<Code>,
    /// Python packages beside Xenna's own, each as `package==version`.
    #[serde(default)]
    #[schemars(length(max = 200), example = example_requirements())]
    pub requirements: Vec<String>,
    /// Environment variables of driver and workers.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Fields of the installed Xenna's `PipelineConfig`.
    #[serde(default)]
    pub config: Map<String, Value>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            target: local(),
            max_active_runs: None,
            code: None,
            requirements: Vec::new(),
            env: BTreeMap::new(),
            config: Map::new(),
        }
    }
}

fn local() -> String {
    "local".to_owned()
}

fn example_requirements() -> [&'static str; 1] {
    ["pillow==11.0.0"]
}

/// Code, before and after packing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Code {
    /// As a person writes it; only a working copy may hold it.
    Folder(String),
    /// As a revision pins it.
    Packed(PackedCode),
}

/// A code archive by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct PackedCode {
    /// Digest of the uncompressed archive.
    pub digest: Digest,
    /// The folder that was packed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Code {
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Folder(_) => None,
            Self::Packed(packed) => Some(&packed.digest),
        }
    }
}

/// What is recorded of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Observability {
    /// Whether the throughput of stages is kept for the run's charts.
    #[serde(default = "yes")]
    pub metrics: bool,
    /// The least grave lines that driver and workers write.
    #[serde(default)]
    pub log_level: LogLevel,
}

impl Default for Observability {
    fn default() -> Self {
        Self { metrics: true, log_level: LogLevel::default() }
    }
}

fn yes() -> bool {
    true
}

/// How grave a line must be to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogLevel {
    Debug,
    #[default]
    Info,
    Warning,
    Error,
}

impl LogLevel {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
