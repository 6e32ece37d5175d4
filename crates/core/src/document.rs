//! The envelope of every document: `apiVersion`, `kind`, `metadata`, `spec`.
//!
//! [`Document::from_value`] is the way in for what people send: it names everything that is wrong at once. The serde
//! impls are for what was checked before; they refuse unknown fields and bad names and know no other limit. What a
//! `spec` must look like is known to its kind, and whether there is such a kind to the registry: neither is checked here.

mod checks;
mod metadata;
mod read;
pub mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::violation::Violation;

pub use checks::{depth_limit, reject_control_characters};
pub use metadata::{DESCRIPTION_MAX, DISPLAY_NAME_MAX, ENTRIES_MAX, LABEL_MAX, Metadata, SUBJECT_MAX};

/// The one `apiVersion` of this build.
pub const API_VERSION: &str = "quarterdeck/v1";

/// Deepest nesting of a document; the document itself is level 1.
pub const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// As registered, such as `Pipeline`.
    pub kind: String,
    pub metadata: Metadata,
    /// What the kind says.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub spec: Value,
}

impl Document {
    /// Reads a document, or says everything that is wrong with its envelope. Of the spec it checks what holds for every
    /// kind: nesting, control characters, numbers that cannot be kept.
    pub fn from_value(value: Value) -> Result<Self, Vec<Violation>> {
        read::document(value)
    }
}
