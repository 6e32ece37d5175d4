//! Publishing a revision: checked once more against the world of now, then made the one that runs start from.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    error::{Error, ErrorKind, Result},
    id::{PrincipalId, ResourceId},
    plan::{Affected, Gate, GateState, Plan, PlanStep, Risk},
    state::RevisionState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::read;
use crate::{
    access::objects::{self, On},
    changes::STALE_PREFLIGHT,
    context::Context,
    jobs::JobResource,
    kernel::Kernel,
    mutation::Mutation,
    operation::{
        Intended, Intent, Operation, Outcome, Planned, SUPERSEDED, SeenResource, Step, View, plan_of, step,
    },
    params,
    registry::Registry,
    resources::{self, Locked},
    reviews,
    revisions::{Cut, Origin, insert, no_revision, publish_changes, require_active},
};

pub const PUBLISH: &str = "revision.publish";
pub const ROLLBACK: &str = "revision.rollback";

/// Publishes; a rollback differs only in that its revision was cut with an old spec.
pub(crate) struct Publish {
    pub name: &'static str,
}

/// What is asked for: a revision of a resource, the newest where none is named.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PublishRequest {
    pub kind: String,
    pub name: String,
    pub revision: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PublishInput {
    pub kind: String,
    pub resource_id: ResourceId,
    pub name: String,
    pub revision: i64,
    /// Which of the requests to publish the resource it is, from 1: one that was made later stands.
    pub request: i64,
    /// Who asked; not known of a job that is older than this field.
    #[serde(default)]
    pub by: Option<PrincipalId>,
}

impl PublishInput {
    pub fn resource(&self) -> JobResource {
        JobResource { kind: self.kind.clone(), id: self.resource_id, name: self.name.clone() }
    }
}

/// Whether a step of a plan publishes its target, by itself or among documents.
pub(crate) fn publishes(step: &PlanStep) -> bool {
    step.name == "publish" || step.name.starts_with("publish:")
}

/// The step of a request in a project that publishes only what was reviewed: what it asks for waits for somebody else.
pub(crate) const SUBMIT: &str = "submit";

/// Says in a plan that a revision waits for review afterwards.
pub(crate) fn describe_submitted(plan: &mut Plan, path: &str, revision: i64) {
    plan.postconditions.push(format!(
        "revision {revision} of {path} is in review; once somebody else has approved it, it can be published"
    ));
    plan.locks.push(path.to_owned());
}

/// Notes that a revision of a locked resource is asked for, with the audit record. `plan` is the one that publishes it alone: what an
/// approval was given to.
pub(crate) fn intend(
    m: &mut Mutation<'_, '_>,
    intent: &Intent<'_>,
    (kind, path): (&str, &str),
    resource: &Locked,
    revision: i64,
    plan: Option<&Plan>,
) -> Result<PublishInput> {
    if resource.published_number != Some(revision) {
        reviews::approved(m, (resource, path), revision, plan)?;
    }
    ask(m, intent, kind, resource, revision)
}

fn ask(
    m: &mut Mutation<'_, '_>,
    intent: &Intent<'_>,
    kind: &str,
    resource: &Locked,
    revision: i64,
) -> Result<PublishInput> {
    let known = intent.kernel.registry.find_kind(kind);
    if let Some(known) = known {
        let spec: Value = m.tx.one(
            "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
            params![resource.id, revision],
            |row| row.get(0),
        )?;
        if let Some((action, on)) = known.publishing_takes(&spec) {
            objects::check(m.tx, &intent.kernel.registry, m.context, &action, &on)?;
        }
    }
    let changes =
        publish_changes(m.tx, (resource.id, &resource.name), resource.published_number, revision, revision)?;
    let request = resource.publish_asked + 1;
    m.tx.exec_later("UPDATE resource SET publish_asked = $2 WHERE id = $1", params![resource.id, request])?;
    m.audit(&resource.object(kind), &changes, Some(intent.job_id))?;
    Ok(PublishInput {
        kind: kind.into(),
        resource_id: resource.id,
        name: resource.name.clone(),
        revision,
        request,
        by: Some(m.context.principal.id),
    })
}

/// What everybody who publishes a resource says of it in his plan.
pub(crate) fn describe(plan: &mut Plan, resource: &SeenResource, revision: i64) {
    plan.postconditions.push(format!("revision {revision} of {} is the published one", resource.path));
    plan.affected.push(Affected {
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        why: format!("what starts from now on uses revision {revision}"),
    });
    plan.locks.push(resource.path.clone());
}

/// The gate of a spec that was validated.
pub(crate) fn spec_gate(violations: &[String]) -> Gate {
    let (state, evidence) = match violations {
        [] => (GateState::Pass, "the spec has no violations".to_owned()),
        list => (GateState::Fail, list.join("; ")),
    };
    Gate { name: "spec".into(), state, evidence }
}

#[async_trait]
impl Operation for Publish {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Validates the spec that is asked for.
    async fn preflight(&self, kernel: &Kernel, context: &Context, input: &Value) -> Result<Value> {
        let wanted: PublishRequest = read(input)?;
        let resource = kernel.resource_get(context.scope, &wanted.kind, &wanted.name).await?;
        let newest = resource.latest_revision.as_ref().map_or(0, |newest| newest.number);
        let number = wanted.revision.unwrap_or(newest);
        if number == 0 {
            return Ok(json!({ "revision": 0, "violations": [] }));
        }
        let spec = kernel.revision_get(context.scope, &wanted.kind, &wanted.name, number).await?.spec;
        let violations = match kernel.registry.find_kind(&wanted.kind) {
            Some(kind) => kind.validate(&spec, &kernel.spec_view(context.scope)).await?,
            None => vec![],
        };
        let violations: Vec<String> = violations.iter().map(ToString::to_string).collect();
        Ok(json!({ "revision": number, "violations": violations }))
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        let wanted: PublishRequest = read(input)?;
        let resource = view.resource(&wanted.kind, &wanted.name)?;
        let (source, number) = match (self.name, wanted.revision) {
            (ROLLBACK, Some(old)) => (old, view.newest(&resource) + 1),
            (_, Some(number)) => (number, number),
            (_, None) => {
                let newest = view.newest(&resource);
                (newest, newest)
            }
        };
        if source == 0 {
            let detail =
                format!("{} has no revision yet; cut one from the working copy first", resource.name);
            return Err(Error::conflict("no_revision", detail));
        }
        if view.preflight["revision"] != json!(source) {
            return Err(Error::stale(STALE_PREFLIGHT, "another revision was cut meanwhile"));
        }
        let after = view.revision(&resource, source)?;
        let published = view.published(&resource);
        let changes = publish_changes(view.tx(), (resource.id, &resource.name), published, source, number)?;
        if self.name == ROLLBACK && view.review_required()? {
            let title = format!("Submit revision {number}, with the spec of revision {source}, for review");
            let step = step(SUBMIT, &title, &resource.path, changes, Risk::Low);
            let mut plan = plan_of(self.name, input, vec![step])?;
            describe_submitted(&mut plan, &resource.path, number);
            let resolved =
                json!({ "source": source, "revision": number, "path": resource.path, "submit": true });
            return Ok(Planned { plan, resolved, reviewed: true });
        }
        let title = match self.name {
            ROLLBACK => format!("Publish revision {number}, with the spec of revision {source}"),
            _ => {
                if after.state == RevisionState::Superseded {
                    let detail = format!(
                        "revision {number} of {} was published before; roll back to it: its spec comes back as a new revision",
                        resource.name
                    );
                    return Err(Error::conflict("illegal_revision_move", detail));
                }
                if published != Some(number) {
                    view.publishable(&resource, &after)?;
                }
                format!("Publish revision {number}")
            }
        };
        let violations: Vec<String> = read(&view.preflight["violations"])?;
        let steps = vec![
            step("check", "Check the spec once more", &resource.path, vec![], Risk::Low),
            step("publish", &title, &resource.path, changes, Risk::Medium),
        ];
        let mut plan = plan_of(self.name, input, steps)?;
        plan.gates.push(spec_gate(&violations));
        describe(&mut plan, &resource, number);
        let resolved = json!({ "source": source, "revision": number, "path": resource.path });
        let reviewed = self.name == PUBLISH && after.state == RevisionState::Approved;
        Ok(Planned { plan, resolved, reviewed })
    }

    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        let wanted: PublishRequest = read(intent.input)?;
        let resource = resources::lock(m.tx, m.context.scope, &wanted.kind, &wanted.name)?;
        let number = intent.planned.resolved["revision"].as_i64().unwrap_or_default();
        if self.name == ROLLBACK {
            let source = intent.planned.resolved["source"].as_i64().unwrap_or_default();
            let why = m.reason().to_owned();
            cut_again(m, &wanted.kind, &resource, source, &why)?;
        }
        let resolved = &intent.planned.resolved;
        let path = resolved["path"].as_str().unwrap_or_default();
        if resolved["submit"] == true {
            return submit(m, intent, (&wanted.kind, path), &resource, number);
        }
        let input = match self.name {
            // Its revision is made here, so nobody can have approved it: in a project that wants that it was submitted.
            ROLLBACK => {
                let plural = path.split('/').next().unwrap_or_default();
                let on = On::revision(&wanted.kind, &resource.name, Some(number));
                objects::check(m.tx, &intent.kernel.registry, m.context, &format!("{plural}.publish"), &on)?;
                ask(m, intent, &wanted.kind, &resource, number)?
            }
            _ => {
                self::intend(m, intent, (&wanted.kind, path), &resource, number, Some(&intent.planned.plan))?
            }
        };
        Ok(Intended { input: json!(input), resource: Some(input.resource()), run_id: None })
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(2)
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let input: PublishInput = match read(step.input) {
            Ok(input) => input,
            Err(error) => return Outcome::Fatal(error),
        };
        match step.name {
            "check" => check(step, &input).await,
            // Submitted with the job; what publishes it is asked for later.
            SUBMIT => Outcome::done(json!({ "revision": input.revision, "state": RevisionState::InReview })),
            _ => {
                let registry = step.kernel.registry.clone();
                Outcome::done_with(json!({ "revision": input.revision }), move |m| {
                    publish(m, &registry, &input).map(drop)
                })
            }
        }
    }
}

/// Puts the revision of a rollback into review instead of publishing it.
fn submit(
    m: &mut Mutation<'_, '_>,
    intent: &Intent<'_>,
    (kind, path): (&str, &str),
    resource: &Locked,
    revision: i64,
) -> Result<Intended> {
    let plural = path.split('/').next().unwrap_or_default();
    let on = On::resource(kind, &resource.name);
    objects::check(m.tx, &intent.kernel.registry, m.context, &format!("{plural}.submit"), &on)?;
    let why = m.reason().to_owned();
    let change = reviews::submit(m, &intent.kernel.registry, (kind, plural), resource, revision, &why)?;
    let object = resource.object(kind);
    m.audit(&object, &[change], Some(intent.job_id))?;
    let input = PublishInput {
        kind: kind.to_owned(),
        resource_id: resource.id,
        name: resource.name.clone(),
        revision,
        request: resource.publish_asked,
        by: Some(m.context.principal.id),
    };
    Ok(Intended { input: json!(input), resource: Some(input.resource()), run_id: None })
}

/// Cuts the next revision with the spec of an old one.
pub(crate) fn cut_again(
    m: &mut Mutation<'_, '_>,
    kind: &str,
    resource: &Locked,
    old: i64,
    why: &str,
) -> Result<i64> {
    let spec: Option<Value> = m.tx.opt(
        "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
        params![resource.id, old],
        |row| row.get(0),
    )?;
    let spec = spec.ok_or_else(|| no_revision(&resource.name, old))?;
    let number = resource.last_revision + 1;
    let message = format!("Roll back to revision {old}: {why}");
    let cut = Cut {
        resource_id: resource.id,
        number,
        origin: Origin::Rollback,
        source: Some(old),
        spec: &spec,
        message: &message,
    };
    insert(m, kind, &resource.name, &cut)?;
    Ok(number)
}

pub(crate) async fn check(step: &Step<'_>, input: &PublishInput) -> Outcome {
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

/// Makes the revision the published one; answers which one was before.
pub(crate) fn publish(
    m: &mut Mutation<'_, '_>,
    registry: &Registry,
    input: &PublishInput,
) -> Result<Option<i64>> {
    put(m, registry, input, reviews::may_publish)
}

/// Publishes what was published before, in place of what could not be published with the rest: nobody is asked again.
pub(crate) fn restore(m: &mut Mutation<'_, '_>, registry: &Registry, input: &PublishInput) -> Result<()> {
    put(m, registry, input, |_, _, _, state| Ok(state.step(RevisionState::Published).map(drop)?)).map(drop)
}

fn put(
    m: &mut Mutation<'_, '_>,
    registry: &Registry,
    input: &PublishInput,
    check: fn(&mut Mutation<'_, '_>, &str, i64, RevisionState) -> Result<()>,
) -> Result<Option<i64>> {
    let resource = resources::resource_by_id(m.tx, m.context.scope, input.resource_id)?;
    if resource.published_number == Some(input.revision) {
        m.tx.exec_later(
            "UPDATE resource SET publish_done = $2 WHERE id = $1 AND publish_done < $2",
            params![resource.id, input.request],
        )?;
        return Ok(resource.published_number);
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
    check(m, &resource.name, input.revision, state)?;
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
    reviews::published(m, &input.kind, &resource, Some(input.revision))?;
    if let Some(kind) = registry.find_kind(&input.kind) {
        kind.published(m, resource.id, input.revision, input.by)?;
    }
    let data = json!({ "revision": input.revision, "before": resource.published_number });
    m.event("revision.published", resources::subject(&input.kind, resource.id, &resource.name), &data)?;
    Ok(resource.published_number)
}
