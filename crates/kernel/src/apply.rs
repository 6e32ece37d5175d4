//! Applying documents: each becomes a resource with a new revision where it differs. All of them, or none.

use std::sync::Arc;

use qd_core::{
    diff::{Change, diff, same as equal},
    document::Document,
    error::{Error, Result},
    id::JobId,
    violation::Violation,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    access,
    context::Context,
    idempotency::{self, Claimed, IdempotencyKey},
    jobs::Job,
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation, Object},
    operation::Operation,
    operations::publish::{self, PublishInput},
    params,
    resources::{self, NewResource, check_body, describe, lock, subject, working_copy_write},
    revisions::{Cut, Origin, insert, require_active, spec_invalid},
    store::Json,
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

    /// Applies all documents in one transaction; with a key it also asks for what changed to be published, a job each. A
    /// repeat with the same key changes nothing and answers with the jobs of the first one.
    pub async fn apply(
        &self,
        context: &Context,
        documents: Vec<Document>,
        message: String,
        publish: Option<IdempotencyKey>,
    ) -> Result<(Vec<Applied>, Vec<Job>)> {
        access::check(context, "documents.apply")?;
        let named: Vec<(String, String)> =
            documents.iter().map(|d| (d.kind.clone(), d.metadata.name.to_string())).collect();
        if let Some(key) = &publish
            && let Some(replayed) = self.apply_replayed(context, &named, key).await?
        {
            return Ok(replayed);
        }
        let prepared = Arc::new(self.apply_prepare(context, documents).await?);
        for item in &*prepared {
            access::check(context, &format!("{}.revise", item.kind.info().plural))?;
            if publish.is_some() {
                access::check(context, &format!("{}.publish", item.kind.info().plural))?;
            }
        }
        let written = match self.apply_write(context, &prepared, &message, publish.as_ref()).await {
            // Somebody made one of them at the same time: now it is there to be changed.
            Err(error) if error.code == "already_exists" => {
                self.apply_write(context, &prepared, &message, publish.as_ref()).await?
            }
            written => written?,
        };
        match (written, &publish) {
            (Some((applied, job_ids)), _) => Ok((applied, self.jobs_get(context, &job_ids).await?)),
            (None, Some(key)) => self.apply_replayed(context, &named, key).await?.ok_or_else(key_lost),
            (None, None) => Err(key_lost()),
        }
    }

    /// `None`, and nothing written, where the key was used before.
    async fn apply_write(
        &self,
        context: &Context,
        prepared: &Arc<Vec<Prepared>>,
        message: &str,
        publish: Option<&IdempotencyKey>,
    ) -> Result<Option<(Vec<Applied>, Vec<JobId>)>> {
        let operation = self.operation(publish::PUBLISH)?;
        let (prepared, message, publish) = (prepared.clone(), message.to_owned(), publish.cloned());
        self.mutate(context, Act::new("documents", "apply"), move |m| {
            // Before the first document: a repeat must not write.
            let mut job_ids: Vec<JobId> = vec![];
            for index in 0..publish.as_ref().map_or(0, |_| prepared.len()) {
                let Some(key) = &publish else { break };
                let job_id = m.id();
                match idempotency::claim(m, &key.part(index), job_id)? {
                    Claimed::New => job_ids.push(job_id),
                    Claimed::Replay(_) => return Ok(None),
                }
            }
            let (mut applied, mut jobs) = (vec![], vec![]);
            for (index, item) in prepared.iter().enumerate() {
                let one = apply_one(m, item, &message)?;
                if let (Some(job_id), Some(number)) = (job_ids.get(index), one.revision)
                    && publish_one(m, item, number, *job_id, &*operation)?
                {
                    jobs.push(*job_id);
                }
                applied.push(one);
            }
            Ok(Some((applied, jobs)))
        })
        .await
    }

    /// What the first request with this key came to; `None` where this is the first.
    async fn apply_replayed(
        &self,
        context: &Context,
        named: &[(String, String)],
        key: &IdempotencyKey,
    ) -> Result<Option<(Vec<Applied>, Vec<Job>)>> {
        let (mut applied, mut job_ids) = (vec![], vec![]);
        for (index, (kind, name)) in named.iter().enumerate() {
            let Some(job_id) = self.job_of_key(context, &key.part(index)).await? else { return Ok(None) };
            // The first time there may have been nothing to publish, and so no job.
            let published: Option<Json<PublishInput>> = self
                .store
                .read(move |tx| -> Result<_> {
                    Ok(tx.opt("SELECT input FROM job WHERE id = $1", params![job_id], |row| row.get(0))?)
                })
                .await?;
            let revision = match published {
                Some(Json(input)) => {
                    job_ids.push(job_id);
                    Some(input.revision)
                }
                None => self.resource_get(context.scope, kind, name).await?.published.map(|p| p.number),
            };
            applied.push(Applied {
                kind: kind.clone(),
                name: name.clone(),
                outcome: ApplyOutcome::Unchanged,
                revision,
                changes: vec![],
            });
        }
        Ok(Some((applied, self.jobs_get(context, &job_ids).await?)))
    }

    async fn jobs_get(&self, context: &Context, ids: &[JobId]) -> Result<Vec<Job>> {
        let mut jobs = vec![];
        for id in ids {
            jobs.push(self.job_get(context.scope, *id).await?);
        }
        Ok(jobs)
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
    let (kind, plural) = (item.kind.info().kind, item.kind.info().plural);
    let name = item.document.metadata.name.to_string();
    let (outcome, id, mut changes, number) = match lock(m.tx, m.context.scope, kind, &name) {
        Ok(resource) => {
            require_active(resource.state, &name)?;
            let changes = describe(m, &resource, &item.document.metadata)?;
            if !changes.is_empty() {
                access::check(m.context, &format!("{plural}.update"))?;
            }
            (ApplyOutcome::Changed, resource.id, prefix(changes, "/metadata"), resource.last_revision)
        }
        Err(error) if error.code == "resource_not_found" => {
            access::check(m.context, &format!("{plural}.create"))?;
            let new = NewResource { kind, metadata: &item.document.metadata, spec: &item.document.spec };
            (ApplyOutcome::Created, resources::insert(m, &new)?, vec![], 0)
        }
        Err(error) => return Err(error),
    };
    let latest: Option<Value> = m.tx.opt(
        "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
        params![id, number],
        |row| row.get(0),
    )?;
    let same = latest.is_some_and(|spec| equal(&spec, &item.pinned));
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

/// Asks for the revision to be published, unless it is; says whether there is a job.
fn publish_one(
    m: &mut Mutation<'_, '_>,
    item: &Prepared,
    number: i64,
    job_id: JobId,
    operation: &dyn Operation,
) -> Result<bool> {
    let kind = item.kind.info().kind;
    let resource = lock(m.tx, m.context.scope, kind, item.document.metadata.name.as_ref())?;
    if resource.published_number == Some(number) {
        return Ok(false);
    }
    publish::request(m, operation, job_id, kind, &resource, number)?;
    Ok(true)
}

fn key_lost() -> Error {
    Error::unavailable("store_busy", "others are changing the same rows").with_retry_after(1)
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
