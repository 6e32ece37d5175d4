//! What the runner's `describe` tells of a pipeline's code.

mod client;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::Resources;

pub use client::{Describer, NotDescribed, Question};

/// The classes and functions that a spec names, as they are in the pinned code, and what the installed Xenna knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Versions of the runner, Python, Xenna and Ray.
    pub runner: Option<String>,
    pub python: Option<String>,
    pub xenna: Option<String>,
    pub ray: Option<String>,
    /// CPUs that a local Ray gives itself here.
    #[serde(default)]
    pub cpus: Option<f64>,
    /// Fields of `PipelineConfig`.
    #[serde(default)]
    pub config_fields: BTreeMap<String, Field>,
    /// Fields of `StageSpec`.
    #[serde(default)]
    pub stage_spec_fields: BTreeMap<String, Field>,
    /// By import path.
    #[serde(default)]
    pub classes: BTreeMap<String, Described>,
    /// By import path.
    #[serde(default)]
    pub callables: BTreeMap<String, Described>,
}

/// A field of one of Xenna's classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Field {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub default: Value,
    #[serde(default)]
    pub schema: Option<Value>,
}

/// A class or a function, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub enum Described {
    Ok(Box<Signature>),
    Failed(Failure),
}

impl Described {
    #[must_use]
    pub fn as_ok(&self) -> Option<&Signature> {
        match self {
            Self::Ok(signature) => Some(signature),
            Self::Failed(_) => None,
        }
    }
}

/// What can be called, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    pub doc: Option<String>,
    pub name: String,
    pub params: ParamsOf,
    #[serde(default)]
    pub batch_size: Option<u32>,
    #[serde(default)]
    pub resources: Option<Resources>,
}

/// Keyword arguments as a JSON Schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ParamsOf {
    pub schema: Value,
}

/// Why there is nothing to call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub code: String,
    pub detail: String,
    #[serde(default)]
    pub traceback: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    ok: bool,
    #[serde(flatten)]
    rest: Value,
}

impl From<Wire> for Described {
    fn from(wire: Wire) -> Self {
        let unreadable = |error: serde_json::Error| Failure {
            code: "unreadable".to_owned(),
            detail: format!("the runner's description cannot be read: {error}"),
            traceback: None,
        };
        if wire.ok {
            match serde_json::from_value(wire.rest) {
                Ok(signature) => Self::Ok(Box::new(signature)),
                Err(error) => Self::Failed(unreadable(error)),
            }
        } else {
            Self::Failed(serde_json::from_value(wire.rest).unwrap_or_else(unreadable))
        }
    }
}

impl From<Described> for Wire {
    fn from(described: Described) -> Self {
        let (ok, rest) = match described {
            Described::Ok(signature) => (true, serde_json::to_value(signature)),
            Described::Failed(failure) => (false, serde_json::to_value(failure)),
        };
        Self { ok, rest: rest.unwrap_or_default() }
    }
}
