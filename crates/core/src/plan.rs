//! A plan: what a change would do, before anybody does it.
//!
//! Pure data, and a pure function of its inputs: no time, no id, no order that depends on a hash map, so that the same
//! inputs give the same bytes and an approval can be given to a hash. Secrets never stand in a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{Digest, hash_json};
use crate::diff::Change;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// `revision.publish`, `run.start`, …
    pub operation: String,
    /// Digest of the canonical JSON of the operation's input; holds the revision's hash where one is published.
    pub input_hash: Digest,
    /// In the order in which they are carried out.
    pub steps: Vec<PlanStep>,
    /// What was checked while planning.
    pub gates: Vec<Gate>,
    /// What must still be so when the plan is applied.
    pub preconditions: Vec<Precondition>,
    /// What will be so afterwards, one sentence each.
    pub postconditions: Vec<String>,
    /// What else will feel it.
    pub affected: Vec<Affected>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStep {
    /// Stable within the operation; the job's step has the same name.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it acts on: `pipelines/curate`.
    pub target: String,
    pub changes: Vec<Change>,
    pub risk: Risk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Risk {
    Low,
    Medium,
    High,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    pub name: String,
    pub state: GateState,
    /// Why it passes or fails, with the numbers.
    pub evidence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum GateState {
    Pass,
    Fail,
    /// Could not be looked at; never counts as passed.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Precondition {
    /// What is looked at: `pipelines/curate published revision`.
    pub subject: String,
    pub expected: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Affected {
    pub kind: String,
    pub name: String,
    pub why: String,
}

impl Plan {
    /// The digest of the canonical JSON of the whole plan: what an approval is given to.
    pub fn hash(&self) -> Result<Digest> {
        let value = serde_json::to_value(self).map_err(|source| {
            Error::internal("canonical_json", "the plan has no JSON form").with_source(source)
        })?;
        hash_json(&value)
    }

    /// The highest risk of its steps; `low` without any.
    pub fn risk(&self) -> Risk {
        self.steps.iter().map(|step| step.risk).max().unwrap_or(Risk::Low)
    }

    /// The gates that stand in the way: failed, or not known.
    pub fn closed_gates(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| gate.state != GateState::Pass)
    }
}
