//! The kind `policies`: what may be done in a project beyond the roles, or not in spite of them, written in Cedar.
//!
//! A policy is a resource like others, with revisions, plans and review. Only administrators make and publish them, whoever owns
//! one. What they mean is in [`crate::access::rules`].

use async_trait::async_trait;
use qd_core::{error::Result, violation::Violation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    access::rules,
    connections::shape,
    kind::{Kind, KindInfo, KindScope, SpecView},
    registry::Registry,
};

pub const POLICY: &str = "Policy";

/// Statements in Cedar, in force in the project where the policy is published.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// One or more statements: `forbid (principal, action == Action::"pipelines.publish", resource);`
    #[schemars(length(min = 1, max = 65_536))]
    pub cedar: String,
    /// What they are for.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
}

pub(crate) fn register(registry: &mut Registry) {
    registry.kind(Policies { info: info() });
}

struct Policies {
    info: KindInfo,
}

/// Largest text, in bytes.
pub(crate) const MAX_BYTES: usize = 65_536;

fn info() -> KindInfo {
    KindInfo {
        kind: POLICY,
        plural: "policies",
        singular: "policy",
        title: "Policies",
        summary: "What may be done in the project beyond the roles, or not in spite of them.",
        group: "platform",
        scope: KindScope::Project,
        engine: None,
        actions: vec![],
        schema: shape::schema::<PolicySpec>(),
        example: json!({
            "description": "Nobody but the team core publishes what is labelled for production.",
            "cedar": "forbid (principal, action in Action::\"*.publish\", resource is Resource)\nwhen { resource.hasTag(\"stage\") && resource.getTag(\"stage\") == \"production\" }\nunless { principal in Team::\"core\" };\n",
        }),
    }
}

#[async_trait]
impl Kind for Policies {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        let read: PolicySpec = shape::read(spec)?;
        if read.cedar.len() > MAX_BYTES {
            let detail = format!("a policy has {MAX_BYTES} bytes at most, this has {}", read.cedar.len());
            return Err(vec![Violation::new("/cedar", "too_long", detail)]);
        }
        Ok(json!(read))
    }

    async fn validate(&self, spec: &Value, view: &SpecView) -> Result<Vec<Violation>> {
        rules::violations(&view.authority, spec["cedar"].as_str().unwrap_or_default())
    }
}
