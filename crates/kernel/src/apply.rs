//! Applying documents: each becomes a resource with a new revision where it differs. All of them, or none.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use qd_core::{
    diff::{Change, same as equal},
    document::{Document, Metadata},
    error::{Error, Result},
    id::JobId,
    state::RevisionState,
    violation::Violation,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    access::{
        self,
        objects::{self, On},
        sharing,
    },
    changes::{Changed, Preview, Request, STALE_PREFLIGHT},
    context::{Context, Scope},
    idempotency::IdempotencyKey,
    jobs::Job,
    kernel::Kernel,
    kind::{Kind, SpecView},
    mutation::{Act, Mutation, Object},
    operation::{Intent, Operation as _},
    operations::{
        documents::{APPLY, Documents, DocumentsInput, DocumentsRequest},
        read,
    },
    params,
    registry::Registry,
    resources::{
        self, Locked, NewResource, SpecReader, StoredMetadata, check_body, describe, lock, subject,
        working_copy_write,
    },
    revisions::{Cut, Origin, insert, require_active, spec_invalid},
    store::Json,
};

/// Documents taken by one apply.
pub const MAX_DOCUMENTS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyOutcome {
    Created,
    Changed,
    Unchanged,
}

/// What applying one document did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    pub kind: String,
    pub name: String,
    pub outcome: ApplyOutcome,
    /// The newest revision afterwards.
    pub revision: Option<i64>,
    /// Against the newest revision before; metadata under `/metadata`, the spec under `/spec`.
    pub changes: Vec<Change>,
    /// It was asked for to be published, and is once somebody else has approved it.
    #[serde(default)]
    pub waits_for_review: bool,
}

/// A document's spec as a revision keeps it, and what it was compared with to find its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pinned {
    /// Its place in the request, from 0.
    pub document: usize,
    /// Its place in the apply, from 0: after all that it refers to.
    pub order: usize,
    pub spec: Value,
    /// The newest revision there was, 0 without.
    pub newest: i64,
}

/// The newest revision of a resource.
pub(crate) struct Newest {
    pub number: i64,
    pub spec: Value,
    pub state: RevisionState,
}

impl Newest {
    /// The revision that holds `spec`: this one where it is equal, unless it is to be published and cannot be any more.
    pub(crate) fn number_for(&self, spec: &Value, publish: bool) -> i64 {
        let spent = publish && matches!(self.state, RevisionState::Superseded | RevisionState::Rejected);
        if equal(&self.spec, spec) && !spent { self.number } else { self.number + 1 }
    }
}

/// The kind of each document, by its place in the request.
type Kinds = BTreeMap<usize, Arc<dyn Kind>>;

/// To apply documents, and with `publish` to publish what is new.
pub fn apply_request(documents: Vec<Document>, message: String, publish: bool) -> Request {
    Request {
        act: Act::new("documents", "apply"),
        operation: APPLY.into(),
        input: json!(DocumentsRequest { documents, message, publish }),
    }
}

impl Kernel {
    /// What applying would do; writes nothing.
    pub async fn apply_dry_run(
        &self,
        context: &Context,
        documents: Vec<Document>,
        publish: bool,
    ) -> Result<(Vec<Applied>, Preview)> {
        let preview = self.change_preview(context, &apply_request(documents, String::new(), publish)).await?;
        Ok((read(&preview.resolved)?, preview))
    }

    /// Applies all documents in one transaction; with a key it also asks for what changed to be published, by one job. A
    /// repeat with the same key changes nothing and answers with the job of the first one.
    pub async fn apply(
        &self,
        context: &Context,
        documents: Vec<Document>,
        message: String,
        publish: Option<IdempotencyKey>,
    ) -> Result<(Vec<Applied>, Option<Job>)> {
        access::check(context, "documents.apply")?;
        let named: Vec<(String, String)> =
            documents.iter().map(|d| (d.kind.clone(), d.metadata.name.to_string())).collect();
        let request = apply_request(documents, message, publish.is_some());
        let Some(key) = publish else { return Ok((self.apply_alone(context, request).await?, None)) };
        if let Some(job_id) = self.job_of_key(context, &key).await? {
            return self.apply_replayed(context, &named, job_id).await;
        }
        match self.change(context, request, key).await? {
            // No job where there was nothing to publish.
            Changed::Made { planned, job } => Ok((read(&planned.resolved)?, job.map(|job| *job))),
            Changed::Before(job_id) => self.apply_replayed(context, &named, job_id).await,
        }
    }

    /// Writes what is wanted, and nothing is published: there is no job.
    async fn apply_alone(&self, context: &Context, request: Request) -> Result<Vec<Applied>> {
        let resolved = self
            .preflighted(context, &Documents, &request.input, |preflight| {
                let (kernel, input) = (self.clone(), request.input.clone());
                self.mutate(context, request.act.clone(), move |m| {
                    let (scope, job_id) = (m.context.scope, m.id());
                    let planned = kernel.plan_in(m.tx, scope, &Documents, &input, &preflight, true)?;
                    let intent = Intent {
                        kernel: &kernel,
                        job_id,
                        input: &input,
                        preflight: &preflight,
                        planned: &planned,
                    };
                    Documents.intend(m, &intent)?;
                    Ok(planned.resolved)
                })
            })
            .await?;
        read(&resolved)
    }

    /// What the first request with this key came to.
    async fn apply_replayed(
        &self,
        context: &Context,
        named: &[(String, String)],
        job_id: JobId,
    ) -> Result<(Vec<Applied>, Option<Job>)> {
        // The first time there may have been nothing to publish, and so no job.
        let input: Option<Json<DocumentsInput>> = self
            .store
            .read(move |tx| -> Result<_> {
                Ok(tx.opt("SELECT input FROM job WHERE id = $1", params![job_id], |row| row.get(0))?)
            })
            .await?;
        let mut applied = vec![];
        for (index, (kind, name)) in named.iter().enumerate() {
            let revision = match &input {
                Some(Json(input)) => input.revisions.get(index).copied().flatten(),
                None => self.resource_get(context.scope, kind, name).await?.published.map(|p| p.number),
            };
            applied.push(Applied {
                kind: kind.clone(),
                name: name.clone(),
                outcome: ApplyOutcome::Unchanged,
                revision,
                changes: vec![],
                waits_for_review: false,
            });
        }
        let job = match input {
            Some(_) => Some(self.job_get(context.scope, job_id).await?),
            None => None,
        };
        Ok((applied, job))
    }

    /// Finds the kinds, pins and validates the specs, each with those before it as if they were published; collects the
    /// violations of every document.
    pub(crate) async fn documents_pin(
        &self,
        scope: Scope,
        documents: &[Document],
        publish: bool,
    ) -> Result<Vec<Pinned>> {
        if documents.is_empty() {
            return Err(Error::malformed("no_documents", "there is no document to apply"));
        }
        if documents.len() > MAX_DOCUMENTS {
            return Err(Error::too_large(
                "too_many_documents",
                format!("{} documents; at most {MAX_DOCUMENTS} at once", documents.len()),
            ));
        }
        let (kinds, mut violations) = self.kinds_of(documents)?;
        let order = match in_order(documents, &kinds) {
            Ok(order) => order,
            Err(circle) => {
                violations.push(circle);
                kinds.keys().copied().collect()
            }
        };
        let mut pinned: Vec<Pinned> = vec![];
        let mut beside: HashMap<(String, String), (i64, Value)> = HashMap::new();
        for (place, index) in order.into_iter().enumerate() {
            let (Some(document), Some(kind)) = (documents.get(index), kinds.get(&index)) else { continue };
            let specs = SpecReader::new(self.store.clone()).beside(beside.clone());
            let (secrets, authority) = (self.secrets.clone(), self.authority.clone());
            let view = SpecView { scope, code: self.code(), specs, secrets, authority };
            match self.spec_prepare(&**kind, &document.spec, &view).await? {
                Ok(spec) => {
                    let name = document.metadata.name.to_string();
                    let newest = self.newest_of(scope, &document.kind, &name).await?;
                    let number = newest.as_ref().map_or(1, |newest| newest.number_for(&spec, publish));
                    beside.insert((document.kind.clone(), name), (number, spec.clone()));
                    let newest = newest.map_or(0, |newest| newest.number);
                    pinned.push(Pinned { document: index, order: place, spec, newest });
                }
                Err(found) => violations.extend(found.into_iter().map(|v| at(v, "/spec", index))),
            }
        }
        violations.sort_by_key(|violation| violation.document);
        if violations.is_empty() { Ok(pinned) } else { Err(spec_invalid(violations)) }
    }

    /// The kind of each document whose body can be looked at, and what is wrong with the others.
    fn kinds_of(&self, documents: &[Document]) -> Result<(Kinds, Vec<Violation>)> {
        let (mut kinds, mut violations) = (BTreeMap::new(), vec![]);
        for (index, document) in documents.iter().enumerate() {
            let Some(kind) = self.registry.find_kind(&document.kind).cloned() else {
                let known: Vec<&str> = self.registry.kinds().map(|k| k.info().kind).collect();
                let detail = format!("there is no kind {:?}; known are {}", document.kind, known.join(", "));
                violations.push(at(Violation::new("/kind", "unknown_kind", detail), "", index));
                continue;
            };
            let name = &document.metadata.name;
            if documents.iter().take(index).any(|d| d.kind == document.kind && d.metadata.name == *name) {
                let detail =
                    format!("{} {name} stands in another document of this apply as well", document.kind);
                violations.push(at(
                    Violation::new("/metadata/name", "duplicate_document", detail),
                    "",
                    index,
                ));
                continue;
            }
            if let Err(error) = check_body(&document.spec) {
                if error.violations.is_empty() {
                    return Err(error);
                }
                violations.extend(error.violations.into_iter().map(|v| at(v, "/spec", index)));
                continue;
            }
            kinds.insert(index, kind);
        }
        Ok((kinds, violations))
    }

    async fn newest_of(&self, scope: Scope, kind: &str, name: &str) -> Result<Option<Newest>> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.store
            .read(move |tx| -> Result<_> {
                Ok(tx.opt(
                    "SELECT v.number, v.spec, v.state FROM resource r JOIN revision v ON v.resource_id = r.id AND v.number = r.last_revision
                     WHERE r.project_id = $1 AND r.kind = $2 AND r.name = $3",
                    params![scope.project_id, kind, name],
                    |row| Ok(Newest { number: row.get(0)?, spec: row.get(1)?, state: row.get(2)? }),
                )?)
            })
            .await
    }
}

fn at(mut violation: Violation, under: &str, document: usize) -> Violation {
    violation.pointer = format!("{under}{}", violation.pointer);
    violation.document = Some(document);
    violation
}

/// The places of the documents, each after those that it refers to, otherwise as they were given.
fn in_order(documents: &[Document], kinds: &Kinds) -> std::result::Result<Vec<usize>, Violation> {
    let place = |kind: &str, name: &str| {
        documents.iter().position(|d| d.kind == kind && d.metadata.name.as_ref() == name)
    };
    let mut needs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, kind) in kinds {
        let Some(document) = documents.get(*index) else { continue };
        let refers = kind.parse(&document.spec).map(|spec| kind.depends_on(&spec)).unwrap_or_default();
        let before = refers.iter().filter_map(|(kind, name)| place(kind, name)).filter(|at| at != index);
        needs.insert(*index, before.collect());
    }
    let mut order: Vec<usize> = vec![];
    while order.len() < needs.len() {
        let ready = needs.iter().find(|(index, before)| {
            !order.contains(index) && before.iter().all(|b| order.contains(b) || !needs.contains_key(b))
        });
        match ready {
            Some((index, _)) => order.push(*index),
            None => {
                let left: Vec<usize> = needs.keys().filter(|index| !order.contains(index)).copied().collect();
                let names: Vec<String> = left
                    .iter()
                    .filter_map(|index| documents.get(*index))
                    .map(|d| format!("{} {}", d.kind, d.metadata.name))
                    .collect();
                let detail = format!("{} refer to each other in a circle", names.join(", "));
                let circle = Violation::new("", "circular_documents", detail);
                return Err(at(circle, "", left.first().copied().unwrap_or_default()));
            }
        }
    }
    Ok(order)
}

/// A document as it is compared: metadata and spec.
pub(crate) fn described(metadata: &Metadata, spec: &Value) -> Value {
    let m = metadata;
    let metadata = json!({
        "display_name": m.display_name, "description": m.description, "labels": m.labels, "tags": m.tags, "owners": m.owners,
        "teams": m.teams,
    });
    json!({ "metadata": metadata, "spec": spec })
}

/// Writes what one document wants; answers the number of its revision, and whether it was made just now.
pub(crate) fn apply_one(
    m: &mut Mutation<'_, '_>,
    registry: &Registry,
    plural: &str,
    document: &Document,
    pinned: &Value,
    wanted: &DocumentsRequest,
) -> Result<(i64, bool)> {
    let kind = document.kind.as_str();
    let name = document.metadata.name.to_string();
    let on = On::resource(kind, &name);
    let (created, id, mut changes, number) = match lock(m.tx, m.context.scope, kind, &name) {
        Ok(resource) => {
            objects::check(m.tx, registry, m.context, &format!("{plural}.revise"), &on)?;
            require_active(resource.state, &name)?;
            let new = StoredMetadata::from(&document.metadata);
            // By what it was, and not by what the document makes of it.
            if described_otherwise(&resource, &document.metadata, &new) {
                objects::check(m.tx, registry, m.context, &format!("{plural}.update"), &on)?;
            }
            if sharing::owners(&resource.metadata) != sharing::owners(&new) {
                objects::check(m.tx, registry, m.context, &format!("{plural}.share"), &on)?;
            }
            let changes = describe(m, &resource, &document.metadata)?;
            (false, resource.id, prefix(changes, "/metadata"), resource.last_revision)
        }
        Err(error) if error.code == "resource_not_found" => {
            let on = On::document(registry, document);
            for verb in ["create", "revise"] {
                objects::check(m.tx, registry, m.context, &format!("{plural}.{verb}"), &on)?;
            }
            let new = NewResource { kind, metadata: &document.metadata, spec: &document.spec };
            let id = resources::insert(m, &new).map_err(|error| match error.code {
                // Somebody made it at the same time: now it is there to be changed.
                "already_exists" => Error::stale(STALE_PREFLIGHT, "somebody else made it meanwhile"),
                _ => error,
            })?;
            (true, id, vec![], 0)
        }
        Err(error) => return Err(error),
    };
    let newest = m.tx.opt(
        "SELECT number, spec, state FROM revision WHERE resource_id = $1 AND number = $2",
        params![id, number],
        |row| Ok(Newest { number: row.get(0)?, spec: row.get(1)?, state: row.get(2)? }),
    )?;
    let revision = newest.map_or(1, |newest| newest.number_for(pinned, wanted.publish));
    let cut_now = revision != number;
    if cut_now {
        let message = &wanted.message;
        let origin = Origin::Apply;
        let cut = Cut { resource_id: id, number: revision, origin, source: None, spec: pinned, message };
        changes.extend(prefix(insert(m, kind, &name, &cut)?, "/spec"));
        working_copy_write(m, id, &document.spec, Some(revision))?;
    }
    if created {
        return Ok((revision, true));
    }
    if changes.is_empty() {
        // A revision that was cut again with the same spec has its own record.
        if !cut_now {
            m.unchanged();
        }
        return Ok((revision, false));
    }
    m.audit(&Object { kind, id: id.uuid(), name: &name }, &changes, None)?;
    m.event("resource.updated", subject(kind, id, &name), &json!({ "changes": changes.len() }))?;
    Ok((revision, false))
}

fn described_otherwise(resource: &Locked, metadata: &Metadata, new: &StoredMetadata) -> bool {
    resource.display_name != metadata.display_name
        || resource.description != metadata.description
        || resource.metadata != *new
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
