//! Publishing a revision: checked once more against the world of now, then made the one that runs start from.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    error::{Error, ErrorKind, Result},
    id::{JobId, ResourceId},
    plan::Plan,
    state::RevisionState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    jobs::NewJob,
    mutation::{Mutation, Object},
    operation::{Operation, Outcome, SUPERSEDED, Step, plan},
    params,
    resources::{self, Locked},
    revisions::{no_revision, publish_changes, require_active},
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
    /// Which of the requests to publish the resource it is, from 1: one that was made later stands.
    pub request: i64,
}

/// Asks for a revision of a locked resource to be published, as a job.
pub(crate) fn request(
    m: &mut Mutation<'_, '_>,
    operation: &dyn Operation,
    job_id: JobId,
    kind: &str,
    resource: &Locked,
    revision: i64,
) -> Result<()> {
    let changes = publish_changes(m, resource, revision)?;
    let (resource_id, name, request) = (resource.id, resource.name.clone(), resource.publish_asked + 1);
    m.tx.exec_later("UPDATE resource SET publish_asked = $2 WHERE id = $1", params![resource_id, request])?;
    let input = json!({
        "kind": kind, "resource_id": resource_id, "name": name, "revision": revision, "request": request,
    });
    NewJob { id: job_id, operation, input: &input, resource_id: Some(resource_id), run_id: None }
        .insert(m)?;
    m.audit(&Object { kind, id: resource_id.uuid(), name: &name }, &changes, Some(job_id))
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
        m.tx.exec_later(
            "UPDATE resource SET publish_done = $2 WHERE id = $1 AND publish_done < $2",
            params![resource.id, input.request],
        )?;
        return Ok(());
    }
    if let Some(published) = resource.published_number.filter(|_| resource.publish_done > input.request) {
        let by = format!("superseded by revision {published}, which was asked for later");
        return Err(Error::conflict(SUPERSEDED, by));
    }
    require_active(resource.state, &resource.name)?;
    let state: Option<RevisionState> = m.tx.opt(
        "SELECT state FROM revision WHERE resource_id = $1 AND number = $2",
        params![resource.id, input.revision],
        |row| row.get(0),
    )?;
    let state = state.ok_or_else(|| no_revision(&resource.name, input.revision))?;
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
        "UPDATE resource SET published_number = $2, publish_done = $3, version = version + 1, updated_at = $4 WHERE id = $1",
        params![resource.id, input.revision, input.request, m.now],
    )?;
    let data = json!({ "revision": input.revision, "before": resource.published_number });
    m.event("revision.published", resources::subject(&input.kind, resource.id, &resource.name), &data)
}
