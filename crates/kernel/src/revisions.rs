//! Revisions: immutable, numbered specs, cut from the working copy, from `apply` or by a rollback.

use qd_core::{
    canonical::hash_json,
    diff::{Change, diff},
    error::{Error, Result},
    id::{ResourceId, RevisionId},
    state::{ResourceState, RevisionState},
    time::Timestamp,
    violation::Violation,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    access::objects::On,
    changes::Request,
    context::{Context, Scope},
    idempotency::IdempotencyKey,
    jobs::Job,
    kernel::Kernel,
    kind::{Kind, SpecView},
    mutation::{Act, Mutation, Subject},
    operations::publish::{self, PublishRequest},
    page::{Page, PageRequest},
    params,
    query::Query,
    resources::{SpecReader, lock, working_copy_write},
    reviews::{self, authors},
    store::{self, Column, Row, StoreResult, Tx},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    WorkingCopy,
    Apply,
    Rollback,
}

impl Origin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::WorkingCopy => "working_copy",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
        }
    }
}

impl Column for Origin {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "working_copy" => Ok(Self::WorkingCopy),
            "apply" => Ok(Self::Apply),
            "rollback" => Ok(Self::Rollback),
            other => Err(format!("{other:?} is no origin of a revision")),
        }
    }
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RevisionSummary {
    pub id: RevisionId,
    pub number: i64,
    pub state: RevisionState,
    pub origin: Origin,
    /// SHA-256 of the spec's RFC 8785 form.
    pub spec_hash: String,
    pub message: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub published_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Revision {
    #[serde(flatten)]
    pub summary: RevisionSummary,
    pub spec: Value,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RevisionDiff {
    pub from: i64,
    pub to: i64,
    pub changes: Vec<Change>,
}

const COLUMNS: &str =
    "v.id, v.number, v.state, v.origin, v.spec_hash, v.message, v.created_by, v.created_at, v.published_at";

/// A revision about to be written.
pub(crate) struct Cut<'a> {
    pub resource_id: ResourceId,
    pub number: i64,
    pub origin: Origin,
    /// The revision whose spec it has again.
    pub source: Option<i64>,
    pub spec: &'a Value,
    pub message: &'a str,
}

impl Kernel {
    /// Parses, pins and validates a spec: the form in which a revision keeps it, or every violation.
    pub async fn spec_prepare(
        &self,
        kind: &dyn Kind,
        spec: &Value,
        view: &SpecView,
    ) -> Result<std::result::Result<Value, Vec<Violation>>> {
        let parsed = match kind.parse(spec) {
            Ok(parsed) => parsed,
            Err(violations) => return Ok(Err(violations)),
        };
        let pinned = match kind.pin(parsed, view).await {
            Ok(pinned) => pinned,
            Err(error) if !error.violations.is_empty() => return Ok(Err(error.violations)),
            Err(error) => return Err(error),
        };
        let violations = kind.validate(&pinned, view).await?;
        Ok(if violations.is_empty() { Ok(pinned) } else { Err(violations) })
    }

    pub fn spec_view(&self, scope: Scope) -> SpecView {
        let (specs, secrets) = (SpecReader::new(self.store.clone()), self.secrets.clone());
        SpecView { scope, code: self.code(), specs, secrets, authority: self.authority.clone() }
    }

    /// Cuts a revision from the working copy.
    pub async fn revision_create(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        message: String,
    ) -> Result<Revision> {
        let on = On::resource(kind.info().kind, name);
        self.permit(context, &format!("{}.revise", kind.info().plural), on.clone()).await?;
        let copy = self.working_copy_get(context.scope, kind.info().kind, name).await?;
        let pinned = self
            .spec_prepare(kind, &copy.spec, &self.spec_view(context.scope))
            .await?
            .map_err(spec_invalid)?;
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        let number = self
            .mutate(context, Act::new(plural, "revise").on(on), move |m| {
                let resource = lock(m.tx, m.context.scope, kind_name, &wanted)?;
                require_active(resource.state, &resource.name)?;
                let version: i64 = m.tx.one(
                    "SELECT version FROM working_copy WHERE resource_id = $1",
                    params![resource.id],
                    |row| row.get(0),
                )?;
                if version != copy.version {
                    return Err(Error::stale(
                        "stale_working_copy",
                        "the working copy was saved while it was being checked; try again",
                    ));
                }
                let number = resource.last_revision + 1;
                let cut = Cut {
                    resource_id: resource.id,
                    number,
                    origin: Origin::WorkingCopy,
                    source: None,
                    spec: &pinned,
                    message: &message,
                };
                let changes = insert(m, kind_name, &resource.name, &cut)?;
                working_copy_write(m, resource.id, &copy.spec, Some(number))?;
                m.audit(&resource.object(kind_name), &changes, None)?;
                Ok(number)
            })
            .await?;
        self.revision_get(context.scope, kind_name, name, number).await
    }

    /// Newest first.
    pub async fn revision_list(
        &self,
        scope: Scope,
        kind: &str,
        name: &str,
        page: PageRequest,
    ) -> Result<Page<RevisionSummary>> {
        let resource = self.resource_get(scope, kind, name).await?;
        let list = format!("revisions/{}", resource.id);
        let (before, fetch) = (page.after_number(&list)?, page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<RevisionSummary>> {
                let mut query = Query::new(&format!("SELECT {COLUMNS} FROM revision v WHERE"));
                query.push(" v.resource_id = ?", resource.id);
                if let Some(before) = before {
                    query.push(" AND v.number < ?", before);
                }
                query.text(" ORDER BY v.number DESC").limit(fetch);
                Ok(query.rows(tx, summary)?)
            })
            .await?;
        Ok(page.cut(&list, items, |revision| revision.number.to_string()))
    }

    pub async fn revision_get(&self, scope: Scope, kind: &str, name: &str, number: i64) -> Result<Revision> {
        let resource = self.resource_get(scope, kind, name).await?;
        self.store
            .read(move |tx| -> Result<Option<Revision>> {
                Ok(tx.opt(
                    &format!(
                        "SELECT {COLUMNS}, v.spec FROM revision v WHERE v.resource_id = $1 AND v.number = $2"
                    ),
                    params![resource.id, number],
                    |row| Ok(Revision { summary: summary(row)?, spec: row.get(9)? }),
                )?)
            })
            .await?
            .ok_or_else(|| no_revision(name, number))
    }

    /// What changed from one revision to another, as a person reads it.
    pub async fn revision_diff(
        &self,
        scope: Scope,
        kind: &str,
        name: &str,
        from: i64,
        to: i64,
    ) -> Result<RevisionDiff> {
        let before = self.revision_get(scope, kind, name, from).await?;
        let after = self.revision_get(scope, kind, name, to).await?;
        Ok(RevisionDiff { from, to, changes: diff(&before.spec, &after.spec) })
    }

    /// Asks for a revision to become the published one. Without a number: the newest. One that was approved is published
    /// by the plan that was approved.
    ///
    /// # Errors
    /// `review_required` (409) where the project wants it approved first; `approval_stale` (409) where what was approved
    /// would be another plan by now: the revision is a draft again, and is submitted anew.
    pub async fn revision_publish(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        number: Option<i64>,
        reason: String,
        key: IdempotencyKey,
    ) -> Result<Job> {
        let on = On::resource(kind.info().kind, name);
        self.permit(context, &format!("{}.publish", kind.info().plural), on).await?;
        let approved = self.approved_number(context.scope, kind.info().kind, name, number).await?;
        let request = match &approved {
            // As it was when it was approved: to the letter.
            Some((name, number)) => publish_request(kind, name, Some(*number), reason),
            None => publish_request(kind, name, number, reason),
        };
        match (self.change(context, request, key).await, approved) {
            (Err(error), Some((name, number))) if error.code == "approval_stale" => {
                self.approval_gone(context, kind.info().kind, name, number, &error).await?;
                Err(error)
            }
            (changed, _) => self.job_of(context, changed?).await,
        }
    }

    /// The name and the number of what is asked for, where it is approved.
    async fn approved_number(
        &self,
        scope: Scope,
        kind: &str,
        name: &str,
        number: Option<i64>,
    ) -> Result<Option<(String, i64)>> {
        let resource = self.resource_get(scope, kind, name).await?;
        let id = resource.id;
        let Some(number) = number.or(resource.latest_revision.map(|newest| newest.number)) else {
            return Ok(None);
        };
        let approved: Option<i64> = self
            .store
            .read(move |tx| -> Result<_> {
                Ok(tx.opt(
                    "SELECT number FROM revision WHERE resource_id = $1 AND number = $2 AND state = 'approved'",
                    params![id, number],
                    |row| row.get(0),
                )?)
            })
            .await?;
        Ok(approved.map(|number| (resource.name, number)))
    }

    /// What was approved would be another plan by now.
    async fn approval_gone(
        &self,
        context: &Context,
        kind: &'static str,
        name: String,
        number: i64,
        error: &Error,
    ) -> Result<()> {
        let why = error.detail.clone();
        self.carry_out(context, move |m| {
            let resource = lock(m.tx, m.context.scope, kind, &name)?;
            reviews::stale(m, kind, &resource, number, &why)
        })
        .await
    }

    /// Cuts a new revision with an old spec and asks for it to be published.
    pub async fn revision_rollback(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        to: i64,
        reason: String,
        key: IdempotencyKey,
    ) -> Result<Job> {
        let changed = self.change(context, rollback_request(kind, name, to, reason)?, key).await?;
        self.job_of(context, changed).await
    }
}

/// To make a revision the published one; without a number the newest.
pub fn publish_request(kind: &dyn Kind, name: &str, number: Option<i64>, reason: String) -> Request {
    let wanted = PublishRequest { kind: kind.info().kind.into(), name: name.into(), revision: number };
    let on = On::revision(kind.info().kind, name, number);
    Request {
        act: Act::new(kind.info().plural, "publish").because(reason).on(on),
        operation: publish::PUBLISH.into(),
        input: json!(wanted),
    }
}

/// To publish an old spec again, as a new revision.
///
/// # Errors
/// `reason_required` (400) without one.
pub fn rollback_request(kind: &dyn Kind, name: &str, to: i64, reason: String) -> Result<Request> {
    if reason.trim().is_empty() {
        return Err(Error::malformed("reason_required", "a rollback wants a reason"));
    }
    let wanted = PublishRequest { kind: kind.info().kind.into(), name: name.into(), revision: Some(to) };
    let on = On::revision(kind.info().kind, name, Some(to));
    Ok(Request {
        act: Act::new(kind.info().plural, "rollback").because(reason).on(on),
        operation: publish::ROLLBACK.into(),
        input: json!(wanted),
    })
}

pub(crate) fn spec_invalid(violations: Vec<Violation>) -> Error {
    let n = violations.len();
    let detail =
        if n == 1 { "the spec has 1 violation".to_owned() } else { format!("the spec has {n} violations") };
    Error::invalid("spec_invalid", detail).with_violations(violations)
}

pub(crate) fn require_active(state: ResourceState, name: &str) -> Result<()> {
    match state {
        ResourceState::Active => Ok(()),
        ResourceState::Archived => {
            Err(Error::conflict("resource_archived", format!("{name} is archived; restore it first")))
        }
    }
}

pub(crate) fn no_revision(name: &str, number: i64) -> Error {
    Error::not_found("revision_not_found", format!("{name} has no revision {number}"))
}

/// What publishing the spec of revision `source` as revision `number` would change against what is published now.
pub(crate) fn publish_changes(
    tx: &mut Tx<'_>,
    (resource_id, name): (ResourceId, &str),
    published: Option<i64>,
    source: i64,
    number: i64,
) -> Result<Vec<Change>> {
    let mut read = |number: i64| -> Result<Option<Value>> {
        Ok(tx.opt(
            "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
            params![resource_id, number],
            |row| row.get(0),
        )?)
    };
    let after = read(source)?.ok_or_else(|| no_revision(name, source))?;
    let before = match published {
        Some(published) => read(published)?,
        None => None,
    };
    let wrap = |number: Option<i64>, spec: Option<Value>| json!({ "published": number, "spec": spec.unwrap_or_else(|| json!({})) });
    Ok(diff(&wrap(published, before), &wrap(Some(number), Some(after))))
}

/// Writes the revision, counts it on the resource and says so. Returns the diff to the revision before.
pub(crate) fn insert(m: &mut Mutation<'_, '_>, kind: &str, name: &str, cut: &Cut<'_>) -> Result<Vec<Change>> {
    let before: Option<Value> = m.tx.opt(
        "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
        params![cut.resource_id, cut.number - 1],
        |row| row.get(0),
    )?;
    let before = before.unwrap_or_else(|| json!({}));
    let id: RevisionId = m.id();
    m.tx.exec(
        "INSERT INTO revision (id, resource_id, number, state, origin, spec, spec_hash, message, created_by, created_at)
         VALUES ($1, $2, $3, 'draft', $4, $5, $6, $7, $8, $9)",
        params![
            id,
            cut.resource_id,
            cut.number,
            cut.origin.as_str(),
            cut.spec.to_string(),
            hash_json(cut.spec)?.to_string(),
            cut.message,
            m.context.principal.name,
            m.now
        ],
    )?;
    m.tx.exec(
        "UPDATE resource SET last_revision = $2, updated_at = $3 WHERE id = $1",
        params![cut.resource_id, cut.number, m.now],
    )?;
    authors::cut(m, cut.resource_id, cut.number, cut.origin, cut.source)?;
    let subject = Subject {
        kind: Some(kind),
        resource_id: Some(cut.resource_id),
        resource_name: Some(name),
        ..Subject::default()
    };
    m.event("revision.created", subject, &json!({ "revision": cut.number, "origin": cut.origin }))?;
    Ok(diff(&before, cut.spec))
}

fn summary(row: &Row<'_>) -> StoreResult<RevisionSummary> {
    Ok(RevisionSummary {
        id: row.get(0)?,
        number: row.get(1)?,
        state: row.get(2)?,
        origin: row.get(3)?,
        spec_hash: row.get(4)?,
        message: row.get(5)?,
        created_by: row.get(6)?,
        created_at: row.get(7)?,
        published_at: row.get(8)?,
    })
}
