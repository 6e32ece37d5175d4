//! Publishing a revision: checked once more against the world of now, then made the one that runs start from.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    error::{Error, ErrorKind, Result},
    id::ResourceId,
    plan::Plan,
    state::RevisionState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    mutation::Mutation,
    operation::{Operation, Outcome, Step, plan},
    params, resources,
    revisions::no_revision,
};

pub const PUBLISH: &str = "revision.publish";
pub const ROLLBACK: &str = "revision.rollback";

/// Publishes; a rollback differs only in that its revision was cut with an old spec.
pub(crate) struct Publish {
    pub name: &'static str,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PublishInput {
    pub kind: String,
    pub resource_id: ResourceId,
    pub name: String,
    pub revision: i64,
}

impl PublishInput {
    pub(crate) fn to_json(&self) -> Value {
        json!({ "kind": self.kind, "resource_id": self.resource_id, "name": self.name, "revision": self.revision })
    }
}

#[async_trait]
impl Operation for Publish {
    fn name(&self) -> &'static str {
        self.name
    }

    fn plan(&self, input: &Value) -> Result<Plan> {
        let target =
            format!("{}/{}", input["kind"].as_str().unwrap_or(""), input["name"].as_str().unwrap_or(""));
        let title = format!("Publish revision {}", input["revision"]);
        plan(self.name, input, &target, &[("check", "Check the spec once more"), ("publish", &title)])
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(2)
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let input: PublishInput = match serde_json::from_value(step.input.clone()) {
            Ok(input) => input,
            Err(error) => {
                return Outcome::Fatal(
                    Error::internal("bad_job_input", "the job's input cannot be read").with_source(error),
                );
            }
        };
        match step.name {
            "check" => check(step, &input).await,
            _ => Outcome::done_with(json!({ "revision": input.revision }), move |m| publish(m, &input)),
        }
    }
}

async fn check(step: &Step<'_>, input: &PublishInput) -> Outcome {
    let Some(kind) = step.kernel.registry.find_kind(&input.kind).cloned() else {
        return Outcome::Fatal(Error::internal(
            "kind_unknown",
            format!("no kind {} is registered", input.kind),
        ));
    };
    let scope = step.context.scope;
    let id = input.resource_id.to_string();
    let spec = match step.kernel.revision_get(scope, &input.kind, &id, input.revision).await {
        Ok(revision) => revision.spec,
        Err(error) if error.kind == ErrorKind::NotFound => return Outcome::Fatal(error),
        Err(error) => return Outcome::Retry(error),
    };
    match kind.validate(&spec, &step.kernel.spec_view(scope)).await {
        Ok(violations) if violations.is_empty() => Outcome::done(json!({ "violations": 0 })),
        Ok(violations) => {
            let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
            Outcome::Fatal(Error::invalid("spec_invalid", list.join("; ")))
        }
        Err(error) if error.kind == ErrorKind::Unavailable => {
            let after = Duration::from_secs(u64::from(error.retry_after_s.unwrap_or(2)));
            Outcome::Wait { after, waiting_for: error.detail }
        }
        Err(error) => Outcome::Retry(error),
    }
}

fn publish(m: &mut Mutation<'_, '_>, input: &PublishInput) -> Result<()> {
    let resource = resources::resource_by_id(m.tx, m.context.scope, input.resource_id)?;
    if resource.published_number == Some(input.revision) {
        return Ok(());
    }
    let state: Option<String> = m.tx.opt(
        "SELECT state FROM revision WHERE resource_id = $1 AND number = $2",
        params![resource.id, input.revision],
        |row| row.get(0),
    )?;
    let state: RevisionState = state.ok_or_else(|| no_revision(&resource.name, input.revision))?.parse()?;
    state.step(RevisionState::Published)?;
    if let Some(old) = resource.published_number {
        m.tx.exec(
            "UPDATE revision SET state = 'superseded' WHERE resource_id = $1 AND number = $2 AND state = 'published'",
            params![resource.id, old],
        )?;
    }
    m.tx.exec(
        "UPDATE revision SET state = 'published', published_at = $3 WHERE resource_id = $1 AND number = $2",
        params![resource.id, input.revision, m.now],
    )?;
    m.tx.exec(
        "UPDATE resource SET published_number = $2, version = version + 1, updated_at = $3 WHERE id = $1",
        params![resource.id, input.revision, m.now],
    )?;
    let data = json!({ "revision": input.revision, "before": resource.published_number });
    m.event("revision.published", resources::subject(&input.kind, resource.id, &resource.name), &data)
}
