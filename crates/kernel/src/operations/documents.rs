//! Applying documents as one change over several resources, each after those that it refers to.
//!
//! What is wanted (resources, working copies, revisions) is written with the job; its steps publish one revision after the
//! other. If one cannot be published, those before it go back to what was published before.

use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    diff::{Change, diff},
    document::Document,
    error::{Error, Result},
    plan::{Affected, Risk},
    state::{ResourceState, RevisionState},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    publish::{self, PublishInput, check, cut_again},
    read,
};
use crate::{
    access::objects::{self, On},
    apply::{Applied, ApplyOutcome, Newest, Pinned, apply_one, described},
    changes::STALE_PREFLIGHT,
    context::Context,
    kernel::Kernel,
    mutation::{Mutation, Object},
    operation::{
        Apply, Intended, Intent, Operation, Outcome, Planned, SeenResource, Step, View, plan_of, step,
    },
    params,
    registry::Registry,
    resources, reviews,
};

pub const APPLY: &str = "documents.apply";
/// What the name of a step begins with that cuts a revision and publishes nothing. A request has such steps or publishing ones.
const REVISE: &str = "revise:";
/// The same of a step that submits a revision for review, where the project publishes nothing else.
const SUBMIT: &str = "submit:";

pub(crate) struct Documents;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DocumentsRequest {
    pub documents: Vec<Document>,
    /// For whoever reads the history.
    pub message: String,
    /// Also makes what is new the published revision.
    pub publish: bool,
}

/// What the job's steps are handed: the step `publish:<path>` at an index is the entry there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DocumentsInput {
    pub publishes: Vec<PublishInput>,
    /// Of each document, in the order of the request.
    pub revisions: Vec<Option<i64>>,
}

/// One document beside what it is compared with.
struct Seen {
    resource: Option<SeenResource>,
    published: Option<i64>,
    applied: Applied,
    /// The number of the revision that it has afterwards.
    number: i64,
    /// Of that revision, where it is there already.
    state: Option<RevisionState>,
}

impl Seen {
    /// Somebody submitted it before.
    fn waits(&self) -> bool {
        matches!(self.state, Some(RevisionState::InReview | RevisionState::Approved))
    }
}

#[async_trait]
impl Operation for Documents {
    fn name(&self) -> &'static str {
        APPLY
    }

    /// Finds the kinds, pins and validates every spec.
    async fn preflight(&self, kernel: &Kernel, context: &Context, input: &Value) -> Result<Value> {
        let wanted: DocumentsRequest = read(input)?;
        for document in &wanted.documents {
            // A plan shows what it would change.
            kernel.document_seen(context, document).await?;
        }
        Ok(json!(kernel.documents_pin(context.scope, &wanted.documents, wanted.publish).await?))
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        let wanted: DocumentsRequest = read(input)?;
        let mut pinned: Vec<Pinned> = read(view.preflight)?;
        // Each after those that it refers to; they are numbered so by the preflight.
        pinned.sort_by_key(|p| p.order);
        let (mut steps, mut items) = (vec![], vec![]);
        // The message says why; what would be done is the same whatever it says.
        let mut input = input.clone();
        if let Some(input) = input.as_object_mut() {
            input.remove("message");
        }
        let mut plan = plan_of(APPLY, &input, vec![])?;
        let review = wanted.publish && view.review_required()?;
        for pinned in pinned {
            let Some(document) = wanted.documents.get(pinned.document) else {
                return Err(Error::stale(STALE_PREFLIGHT, "the documents are others"));
            };
            let mut seen = look(view, document, &pinned, wanted.publish)?;
            let name = document.metadata.name.to_string();
            let path = view.path(&document.kind, &name);
            let unpublished = wanted.publish && seen.published != Some(seen.number);
            seen.applied.waits_for_review = unpublished && review;
            if unpublished && seen.waits() && review {
                let why = format!(
                    "revision {} is {} already",
                    seen.number,
                    seen.state.map_or("there", RevisionState::as_str)
                );
                plan.affected.push(Affected { kind: document.kind.clone(), name, why });
            } else if unpublished {
                let mut changes: Vec<Change> = seen
                    .applied
                    .changes
                    .iter()
                    .filter(|c| !c.pointer.starts_with("/spec"))
                    .cloned()
                    .collect();
                changes.extend(against_published(view, &seen, &pinned.spec)?);
                if !review && seen.state == Some(RevisionState::InReview) {
                    return Err(reviews::refusal(&path, seen.number, RevisionState::InReview));
                }
                if review {
                    let title = format!("Submit revision {} for review", seen.number);
                    steps.push(step(&format!("{SUBMIT}{path}"), &title, &path, changes, Risk::Low));
                    publish::describe_submitted(&mut plan, &path, seen.number);
                    items.push((pinned.document, seen.applied));
                    continue;
                }
                let title = format!("Publish revision {}", seen.number);
                steps.push(step(&format!("publish:{path}"), &title, &path, changes, Risk::Medium));
                plan.postconditions.push(format!("revision {} of {path} is the published one", seen.number));
                plan.locks.push(path);
            } else if seen.applied.outcome != ApplyOutcome::Unchanged {
                if wanted.publish {
                    let places: Vec<&str> = seen.applied.changes.iter().map(|c| c.pointer.as_str()).collect();
                    let why = format!("changes at {}", places.join(", "));
                    plan.affected.push(Affected { kind: document.kind.clone(), name, why });
                } else {
                    let title = format!("Cut revision {}", seen.number);
                    let changes = seen.applied.changes.clone();
                    steps.push(step(&format!("{REVISE}{path}"), &title, &path, changes, Risk::Low));
                }
            }
            items.push((pinned.document, seen.applied));
        }
        items.sort_by_key(|(document, _)| *document);
        let items: Vec<Applied> = items.into_iter().map(|(_, applied)| applied).collect();
        plan.steps = steps;
        Ok(Planned { plan, resolved: json!(items), reviewed: review })
    }

    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        let wanted: DocumentsRequest = read(intent.input)?;
        let mut pinned: Vec<Pinned> = read(intent.preflight)?;
        pinned.sort_by_key(|p| p.order);
        let items: Vec<Applied> = read(&intent.planned.resolved)?;
        let mut revisions = vec![None; wanted.documents.len()];
        let mut publishes = vec![];
        for pinned in &pinned {
            let Some(document) = wanted.documents.get(pinned.document) else { continue };
            let plural =
                intent.kernel.registry.find_kind(&document.kind).map_or("documents", |k| k.info().plural);
            let (number, created) =
                apply_one(m, &intent.kernel.registry, plural, document, &pinned.spec, &wanted)
                    .map_err(|error| of_document(error, pinned.document))?;
            // A row that is not there cannot be locked: somebody may have made it since the plan looked.
            let planned = items.get(pinned.document).map(|item| item.outcome);
            if created != (planned == Some(ApplyOutcome::Created)) {
                return Err(moved_on(document.metadata.name.as_ref()));
            }
            if let Some(at) = revisions.get_mut(pinned.document) {
                *at = Some(number);
            }
            if !wanted.publish {
                continue;
            }
            let name = document.metadata.name.as_ref();
            let path = format!("{plural}/{name}");
            let on = On::revision(&document.kind, name, Some(number));
            let may = |m: &mut Mutation<'_, '_>, verb: &str| {
                objects::check(m.tx, &intent.kernel.registry, m.context, &format!("{plural}.{verb}"), &on)
            };
            let resource = resources::lock(m.tx, m.context.scope, &document.kind, name)?;
            let waits = items.get(pinned.document).is_some_and(|item| item.waits_for_review);
            if intent.planned.plan.steps.iter().any(|step| step.name == format!("{SUBMIT}{path}")) {
                may(m, "submit")?;
                let registry = &intent.kernel.registry;
                let what = (&*document.kind, plural);
                let change = reviews::submit(m, registry, what, &resource, number, &wanted.message)?;
                let object = Object { kind: &document.kind, id: resource.id.uuid(), name };
                m.audit(&object, &[change], Some(intent.job_id))?;
                continue;
            }
            may(m, "publish")?;
            if !waits && resource.published_number != Some(number) {
                let kind = (&*document.kind, &*path);
                publishes.push(publish::intend(m, intent, kind, &resource, number, None)?);
            }
        }
        let resource = match &publishes[..] {
            [one] => Some(one.resource()),
            _ => None,
        };
        Ok(Intended { input: json!(DocumentsInput { publishes, revisions }), resource, run_id: None })
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(2)
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        if is_written(step.name) {
            // Cut or submitted with the job; there is nothing left to do.
            return Outcome::done(Value::Null);
        }
        let input = match published_by(step) {
            Ok(input) => input,
            Err(error) => return Outcome::Fatal(error),
        };
        match check(step, &input).await {
            Outcome::Done { .. } => {}
            other => return other,
        }
        let before = match step
            .kernel
            .resource_get(step.context.scope, &input.kind, &input.resource_id.to_string())
            .await
        {
            Ok(resource) => resource.published.map(|published| published.number),
            Err(error) => return Outcome::Retry(error),
        };
        let output = json!({ "revision": input.revision, "before": before });
        let registry = step.kernel.registry.clone();
        Outcome::done_with(output, move |m| publish::publish(m, &registry, &input).map(drop))
    }

    fn undoable(&self, step: &str) -> bool {
        !is_written(step)
    }

    /// What was published before is published again, as a new revision; what was never published is no more.
    async fn undo(&self, step: &Step<'_>) -> Result<Option<Apply>> {
        let input = published_by(step)?;
        let before = step.output["before"].as_i64();
        let registry = step.kernel.registry.clone();
        Ok(Some(Box::new(move |m| unpublish(m, &registry, &input, before))))
    }
}

/// Whether the step was done when its job was made.
fn is_written(step: &str) -> bool {
    step.starts_with(REVISE) || step.starts_with(SUBMIT)
}

/// The entry that this step carries out.
fn published_by(step: &Step<'_>) -> Result<PublishInput> {
    let input: DocumentsInput = read(step.input)?;
    let found = input.publishes.into_iter().nth(step.index);
    found.ok_or_else(|| Error::internal("bad_job_input", "the job has no document for this step"))
}

fn look(view: &mut View<'_, '_>, document: &Document, pinned: &Pinned, publish: bool) -> Result<Seen> {
    let name = document.metadata.name.to_string();
    let after = described(&document.metadata, &pinned.spec);
    let Some(resource) = view.resource_if_any(&document.kind, &name)? else {
        if pinned.newest != 0 {
            return Err(moved_on(&name));
        }
        let applied = Applied {
            kind: document.kind.clone(),
            name,
            outcome: ApplyOutcome::Created,
            revision: Some(1),
            changes: diff(&json!({}), &after),
            waits_for_review: false,
        };
        return Ok(Seen { resource: None, published: None, applied, number: 1, state: None });
    };
    let newest = view.newest(&resource);
    if newest != pinned.newest {
        return Err(moved_on(&name));
    }
    let published = view.published(&resource);
    let (number, spec, state) = match newest {
        0 => (1, json!({}), None),
        _ => {
            let found = view.revision(&resource, newest)?;
            let newest = Newest { number: newest, spec: found.spec, state: found.state };
            (newest.number_for(&pinned.spec, publish), newest.spec, Some(newest.state))
        }
    };
    let changed_number = number != newest;
    let changes = diff(&json!({ "metadata": resource.described, "spec": spec }), &after);
    let outcome =
        if changed_number || !changes.is_empty() { ApplyOutcome::Changed } else { ApplyOutcome::Unchanged };
    let applied = Applied {
        kind: document.kind.clone(),
        name,
        outcome,
        revision: Some(number),
        changes,
        waits_for_review: false,
    };
    let state = state.filter(|_| !changed_number);
    Ok(Seen { resource: Some(resource), published, applied, number, state })
}

fn against_published(view: &mut View<'_, '_>, seen: &Seen, spec: &Value) -> Result<Vec<Change>> {
    let before = match (&seen.resource, seen.published) {
        (Some(resource), Some(published)) => view.revision(resource, published)?.spec,
        _ => json!({}),
    };
    let wrap = |number: Option<i64>, spec: &Value| json!({ "published": number, "spec": spec });
    Ok(diff(&wrap(seen.published, &before), &wrap(Some(seen.number), spec)))
}

/// Says which of the documents is meant.
fn of_document(mut error: Error, document: usize) -> Error {
    for violation in &mut error.violations {
        violation.document = Some(document);
    }
    error
}

fn moved_on(name: &str) -> Error {
    Error::stale(STALE_PREFLIGHT, format!("{name} was changed meanwhile"))
}

fn unpublish(
    m: &mut Mutation<'_, '_>,
    registry: &Registry,
    input: &PublishInput,
    before: Option<i64>,
) -> Result<()> {
    let resource = resources::resource_by_id(m.tx, m.context.scope, input.resource_id)?;
    if resource.published_number != Some(input.revision) || resource.state != ResourceState::Active {
        // Somebody published another one since, or put it away: that stands.
        return Ok(());
    }
    if let Some(before) = before.filter(|before| *before != input.revision) {
        let why = format!("revision {} was applied together with one that failed", input.revision);
        let revision = cut_again(m, &input.kind, &resource, before, &why)?;
        return publish::restore(m, registry, &PublishInput { revision, ..input.clone() });
    }
    if before == Some(input.revision) {
        return Ok(());
    }
    m.tx.exec(
        "UPDATE revision SET state = 'superseded' WHERE resource_id = $1 AND number = $2",
        params![resource.id, input.revision],
    )?;
    m.tx.exec(
        "UPDATE resource SET published_number = NULL, version = version + 1, updated_at = $2 WHERE id = $1",
        params![resource.id, m.now],
    )?;
    reviews::published(m, &input.kind, &resource, None)?;
    let data = json!({ "revision": input.revision });
    m.event("revision.unpublished", resources::subject(&input.kind, resource.id, &resource.name), &data)
}
