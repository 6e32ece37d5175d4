//! Applying documents: each becomes a resource with a new revision where it differs. All of them, or none.

use std::sync::Arc;

use qd_core::{
    diff::{Change, diff, same as equal},
    document::Document,
    error::{Error, Result},
    violation::Violation,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    context::Context,
    idempotency::IdempotencyKey,
    jobs::{Job, NewJob},
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation, Object},
    operations::publish::{self, PublishInput},
    params,
    resources::{self, NewResource, check_body, describe, lock, subject, working_copy_write},
    revisions::{Cut, Origin, insert, publish_changes, require_active, spec_invalid},
};

/// Documents taken by one apply.
pub const MAX_DOCUMENTS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyOutcome {
    Created,
    Changed,
    Unchanged,
}

/// What applying one document did, or would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Applied {
    pub kind: String,
    pub name: String,
    pub outcome: ApplyOutcome,
    /// The newest revision afterwards; none in a dry run that would create one.
    pub revision: Option<i64>,
    /// Against the newest revision before; metadata under `/metadata`, the spec under `/spec`.
    pub changes: Vec<Change>,
}

struct Prepared {
    kind: Arc<dyn Kind>,
    document: Document,
    pinned: Value,
}

impl Kernel {
    /// What applying would do; writes nothing.
    pub async fn apply_dry_run(&self, context: &Context, documents: Vec<Document>) -> Result<Vec<Applied>> {
        let prepared = self.apply_prepare(context, documents).await?;
        let mut out = vec![];
        for item in prepared {
            let kind = item.kind.info();
            let name = item.document.metadata.name.to_string();
            let (before, revision, exists) = match self.resource_get(context.scope, kind.kind, &name).await {
                Ok(resource) => {
                    require_active(resource.state, &name)?;
                    let number = resource.latest_revision.as_ref().map(|r| r.number);
                    let spec = match number {
                        Some(number) => {
                            self.revision_get(context.scope, kind.kind, &name, number).await?.spec
                        }
                        None => json!({}),
                    };
                    let metadata = json!({
                        "display_name": resource.display_name, "description": resource.description, "labels": resource.labels,
                        "tags": resource.tags, "owners": resource.owners, "teams": resource.teams,
                    });
                    (json!({ "metadata": metadata, "spec": spec }), number, true)
                }
                Err(error) if error.code == "resource_not_found" => (json!({}), None, false),
                Err(error) => return Err(error),
            };
            let changes = diff(&before, &described(&item));
            let outcome = match (exists, changes.is_empty()) {
                (false, _) => ApplyOutcome::Created,
                (true, true) => ApplyOutcome::Unchanged,
                (true, false) => ApplyOutcome::Changed,
            };
            let revision = if outcome == ApplyOutcome::Unchanged { revision } else { None };
            out.push(Applied { kind: kind.kind.into(), name, outcome, revision, changes });
        }
        Ok(out)
    }

    /// Applies all documents in one transaction; with a key it also asks for what changed to be published, a job each.
    pub async fn apply(
        &self,
        context: &Context,
        documents: Vec<Document>,
        message: String,
        publish: Option<IdempotencyKey>,
    ) -> Result<(Vec<Applied>, Vec<Job>)> {
        let prepared = self.apply_prepare(context, documents).await?;
        for item in &prepared {
            crate::access::check(context, &format!("{}.revise", item.kind.info().plural))?;
            if publish.is_some() {
                crate::access::check(context, &format!("{}.publish", item.kind.info().plural))?;
            }
        }
        let operation = self.operation(publish::PUBLISH)?;
        let (applied, job_ids) = self
            .mutate(context, Act::new("documents", "apply"), move |m| {
                let mut applied = vec![];
                let mut jobs = vec![];
                for (index, item) in prepared.iter().enumerate() {
                    let one = apply_one(m, item, &message)?;
                    if let (Some(key), Some(number)) = (&publish, one.revision) {
                        let key = IdempotencyKey {
                            key: format!("{}#{index}", key.key),
                            fingerprint: key.fingerprint.clone(),
                        };
                        jobs.extend(publish_one(m, item, number, &key, &operation)?);
                    }
                    applied.push(one);
                }
                Ok((applied, jobs))
            })
            .await?;
        let mut jobs = vec![];
        for id in job_ids {
            jobs.push(self.job_get(context.scope, id).await?);
        }
        Ok((applied, jobs))
    }

    /// Finds the kinds and prepares the specs; collects the violations of every document.
    async fn apply_prepare(&self, context: &Context, documents: Vec<Document>) -> Result<Vec<Prepared>> {
        if documents.is_empty() {
            return Err(Error::malformed("no_documents", "there is no document to apply"));
        }
        if documents.len() > MAX_DOCUMENTS {
            return Err(Error::too_large(
                "too_many_documents",
                format!("{} documents; at most {MAX_DOCUMENTS} at once", documents.len()),
            ));
        }
        let mut violations = vec![];
        let mut prepared: Vec<Prepared> = vec![];
        for (index, document) in documents.into_iter().enumerate() {
            let at = |mut v: Violation, under: &str| {
                v.pointer = format!("{under}{}", v.pointer);
                v.document = Some(index);
                v
            };
            let Some(kind) = self.registry.find_kind(&document.kind).cloned() else {
                let known: Vec<&str> = self.registry.kinds().map(|k| k.info().kind).collect();
                let detail = format!("there is no kind {:?}; known are {}", document.kind, known.join(", "));
                violations.push(at(Violation::new("/kind", "unknown_kind", detail), ""));
                continue;
            };
            if prepared.iter().any(|p| {
                p.document.kind == document.kind && p.document.metadata.name == document.metadata.name
            }) {
                let detail = format!(
                    "{} {} stands in another document of this apply as well",
                    document.kind, document.metadata.name
                );
                violations.push(at(Violation::new("/metadata/name", "duplicate_document", detail), ""));
                continue;
            }
            if let Err(error) = check_body(&document.spec) {
                if error.violations.is_empty() {
                    return Err(error);
                }
                violations.extend(error.violations.into_iter().map(|v| at(v, "/spec")));
                continue;
            }
            match self.spec_prepare(context.scope, &*kind, &document.spec).await? {
                Ok(pinned) => prepared.push(Prepared { kind, document, pinned }),
                Err(found) => violations.extend(found.into_iter().map(|v| at(v, "/spec"))),
            }
        }
        if violations.is_empty() { Ok(prepared) } else { Err(spec_invalid(violations)) }
    }
}

fn described(item: &Prepared) -> Value {
    let m = &item.document.metadata;
    let metadata = json!({
        "display_name": m.display_name, "description": m.description, "labels": m.labels, "tags": m.tags, "owners": m.owners,
        "teams": m.teams,
    });
    json!({ "metadata": metadata, "spec": item.pinned })
}

fn apply_one(m: &mut Mutation<'_, '_>, item: &Prepared, message: &str) -> Result<Applied> {
    let kind = item.kind.info().kind;
    let name = item.document.metadata.name.to_string();
    let (outcome, id, mut changes, number) = match lock(m.tx, m.context.scope, kind, &name) {
        Ok(resource) => {
            require_active(resource.state, &name)?;
            let changes = describe(m, &resource, &item.document.metadata)?;
            (ApplyOutcome::Changed, resource.id, prefix(changes, "/metadata"), resource.last_revision)
        }
        Err(error) if error.code == "resource_not_found" => {
            let new = NewResource { kind, metadata: &item.document.metadata, spec: &item.document.spec };
            (ApplyOutcome::Created, resources::insert(m, &new)?, vec![], 0)
        }
        Err(error) => return Err(error),
    };
    let latest: Option<String> = m.tx.opt(
        "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
        params![id, number],
        |row| row.get(0),
    )?;
    let same = latest
        .and_then(|spec| serde_json::from_str::<Value>(&spec).ok())
        .is_some_and(|spec| equal(&spec, &item.pinned));
    let revision = if same {
        number
    } else {
        let cut =
            Cut { resource_id: id, number: number + 1, origin: Origin::Apply, spec: &item.pinned, message };
        changes.extend(prefix(insert(m, kind, &name, &cut)?, "/spec"));
        working_copy_write(m, id, &item.document.spec, Some(number + 1))?;
        number + 1
    };
    let object = Object { kind, id: id.uuid(), name: &name };
    if outcome == ApplyOutcome::Changed && changes.is_empty() {
        m.unchanged();
        return Ok(Applied {
            kind: kind.into(),
            name,
            outcome: ApplyOutcome::Unchanged,
            revision: Some(revision),
            changes,
        });
    }
    if outcome == ApplyOutcome::Created {
        changes = diff(&json!({}), &described(item));
    }
    if outcome == ApplyOutcome::Changed {
        m.audit(&object, &changes, None)?;
        m.event("resource.updated", subject(kind, id, &name), &json!({ "changes": changes.len() }))?;
    }
    Ok(Applied { kind: kind.into(), name, outcome, revision: Some(revision), changes })
}

fn publish_one(
    m: &mut Mutation<'_, '_>,
    item: &Prepared,
    number: i64,
    key: &IdempotencyKey,
    operation: &Arc<dyn crate::operation::Operation>,
) -> Result<Option<qd_core::id::JobId>> {
    let kind = item.kind.info().kind;
    let resource = lock(m.tx, m.context.scope, kind, item.document.metadata.name.as_ref())?;
    let job_id = m.id();
    match crate::idempotency::claim(m, key, job_id)? {
        crate::idempotency::Claimed::Replay(job_id) => {
            // The first time there may have been nothing to publish, and so no job.
            let made = m.tx.opt("SELECT id FROM job WHERE id = $1", params![job_id], |row| row.get(0))?;
            return Ok(made);
        }
        crate::idempotency::Claimed::New => {}
    }
    if resource.published_number == Some(number) {
        return Ok(None);
    }
    let changes = publish_changes(m, &resource, number)?;
    let input = PublishInput {
        kind: kind.into(),
        resource_id: resource.id,
        name: resource.name.clone(),
        revision: number,
    }
    .to_json();
    NewJob {
        id: job_id,
        operation: &**operation,
        input: &input,
        resource_id: Some(resource.id),
        run_id: None,
    }
    .insert(m)?;
    m.audit(&Object { kind, id: resource.id.uuid(), name: &resource.name }, &changes, Some(job_id))?;
    Ok(Some(job_id))
}

fn prefix(changes: Vec<Change>, under: &str) -> Vec<Change> {
    changes
        .into_iter()
        .map(|mut c| {
            c.pointer = format!("{under}{}", c.pointer);
            c
        })
        .collect()
}
