//! Resources and their working copies: what exists by name, and the mutable draft that revisions are cut from.

mod change;
mod read;
mod working_copy;

use std::collections::BTreeMap;

use qd_core::{
    document::Metadata,
    id::{ResourceId, RunId},
    state::{ResourceState, RevisionState, RunState},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use change::{MetadataPatch, NewResource};
pub(crate) use change::{describe, described, insert, subject};
pub(crate) use read::{Locked, lock, not_found, peek, resource_by_id};
pub use read::{ResourceFilter, SpecReader};
pub use working_copy::WorkingCopy;
pub(crate) use working_copy::{check_body, write as working_copy_write};

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Published {
    pub number: i64,
    pub published_at: Option<Timestamp>,
    pub spec_hash: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RevisionRef {
    pub number: i64,
    pub state: RevisionState,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunSummary {
    pub id: RunId,
    pub number: i64,
    pub state: RunState,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// A named thing of one kind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Resource {
    pub id: ResourceId,
    pub kind: String,
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub tags: Vec<String>,
    pub owners: Vec<String>,
    pub teams: Vec<String>,
    pub state: ResourceState,
    /// Grows with each change of the resource's own fields; the ETag.
    pub version: i64,
    pub created_at: Timestamp,
    pub created_by: String,
    pub updated_at: Timestamp,
    pub published: Option<Published>,
    pub latest_revision: Option<RevisionRef>,
    pub last_run: Option<RunSummary>,
    /// The newest runs, newest first, ten at most.
    pub recent_runs: Vec<RunSummary>,
    /// The working copy differs from what the newest revision was cut from.
    pub changed: bool,
}

/// The part of the metadata that is kept as one JSON text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoredMetadata {
    pub labels: BTreeMap<String, String>,
    pub tags: Vec<String>,
    pub owners: Vec<String>,
    pub teams: Vec<String>,
}

impl From<&Metadata> for StoredMetadata {
    fn from(m: &Metadata) -> Self {
        Self {
            labels: m.labels.clone(),
            tags: m.tags.clone(),
            owners: m.owners.clone(),
            teams: m.teams.clone(),
        }
    }
}

impl StoredMetadata {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".into())
    }
}
