//! Plans, what a job has beyond its short form, and explanations: as far as the command line looks into them.

use serde::Deserialize;
use serde_json::Value;

use super::Change;

/// What a change would do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Plan {
    pub operation: String,
    pub steps: Vec<PlanStep>,
    pub gates: Vec<Gate>,
    pub preconditions: Vec<Precondition>,
    pub postconditions: Vec<String>,
    pub affected: Vec<Affected>,
    pub locks: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PlanStep {
    pub name: String,
    pub title: String,
    pub target: String,
    pub changes: Vec<Change>,
    pub risk: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Gate {
    pub name: String,
    pub state: String,
    pub evidence: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Precondition {
    pub subject: String,
    pub expected: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Affected {
    pub kind: String,
    pub name: String,
    pub why: String,
}

/// The answer to a dry run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Preview {
    pub plan: Plan,
    pub hash: String,
    pub needs_approval: bool,
}

/// A plan that is kept; in lists without `plan`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StoredPlan {
    pub id: String,
    pub operation: String,
    pub state: String,
    pub hash: String,
    pub risk: String,
    pub plan: Plan,
    pub targets: Vec<String>,
    pub reason: String,
    pub created_by: String,
    pub created_at: Option<String>,
    pub expires_at: Option<String>,
    pub needs_approval: bool,
    pub decided_by: Option<String>,
    pub decided_at: Option<String>,
    pub decision: Option<String>,
    pub stale: Option<String>,
    pub job_id: Option<String>,
    pub may_decide: bool,
}

/// A key of a job's plan.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct JobLock {
    pub key: String,
    pub held: bool,
    pub holder: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Explanation {
    pub object: String,
    pub sentence: String,
    pub evidence: Vec<Evidence>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Evidence {
    pub what: String,
    pub value: Value,
    pub at: Option<String>,
}
