//! A plan: what a change would do, before anybody does it.
//!
//! Pure data, and a pure function of its inputs: no time, no id, no order that depends on a hash map, so that the same
//! inputs give the same bytes and an approval can be given to a hash. Secrets never stand in a plan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::canonical::{Digest, hash_json};
use crate::diff::{Change, diff};
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
    /// Keys that the change holds while it is carried out, sorted: `pipelines/curate` of the project, `tenant:quota` of the
    /// whole tenant. Two changes with a key in common are carried out one after the other.
    pub locks: Vec<String>,
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

impl Risk {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
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

/// Something that was so when the plan was made and is so no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// That of the precondition, or `gate <name>`, or a pointer into the plan.
    pub subject: String,
    pub from: Value,
    pub to: Value,
}

impl Plan {
    /// What moved between this plan and `now`, which was made of the same input later. Preconditions first, then gates; what
    /// neither explains is said by its place in the plan.
    pub fn moved(&self, now: &Self) -> Vec<Moved> {
        let facts = |plan: &Self| -> BTreeMap<String, Value> {
            let looked = plan.preconditions.iter().map(|p| (p.subject.clone(), p.expected.clone()));
            let gates = plan
                .gates
                .iter()
                .map(|g| (format!("gate {}", g.name), json!({ "state": g.state, "evidence": g.evidence })));
            looked.chain(gates).collect()
        };
        let (before, after) = (facts(self), facts(now));
        let subjects: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let value =
            |facts: &BTreeMap<String, Value>, subject| facts.get(subject).cloned().unwrap_or_default();
        let moved: Vec<Moved> = subjects
            .into_iter()
            .map(|subject| Moved {
                subject: subject.clone(),
                from: value(&before, subject),
                to: value(&after, subject),
            })
            .filter(|moved| moved.from != moved.to)
            .collect();
        if !moved.is_empty() {
            return moved;
        }
        diff(&json!(self), &json!(now))
            .into_iter()
            .map(|change| Moved {
                subject: change.pointer,
                from: change.before.unwrap_or_default(),
                to: change.after.unwrap_or_default(),
            })
            .collect()
    }

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
