//! What an action is done to, where it is more than the scope, and the check of it.
//!
//! The usual case costs nothing: where the scope alone says yes, and no policy of the project singles out resources, the
//! resource is not looked at. Otherwise what the object is about is read, in the transaction of the change where there is
//! one, and each of its resources must allow the action.
//!
//! What one may not read is answered like what is not there: with the same 404 to who may read the project, with the same 403 to
//! who may not.

use std::collections::BTreeMap;

use qd_core::{
    document::Document,
    error::{Error, ErrorKind, Result},
    id::{JobId, PlanId, ResourceId},
    plan::Plan,
};
use serde_json::Value;

use super::{cedar::Verdict, deletions::Unseen};
use crate::{
    context::{Context, Scope},
    kernel::Kernel,
    params,
    query::Query,
    registry::Registry,
    resources::{self, StoredMetadata},
    runs,
    store::{Json, Tx},
};

/// What an action is done to.
#[derive(Debug, Clone, Default)]
pub enum On {
    /// The project, the tenant or the platform as a whole.
    #[default]
    Scope,
    Resource {
        /// As in documents: `Pipeline`.
        kind: String,
        /// A name or an id.
        name: String,
        /// The revision that is about to become the published one.
        revision: Option<i64>,
    },
    /// One that is about to be made.
    New(Box<Facts>),
    /// The resource of a run, by the run's id or reference.
    Run(String),
    /// All resources that a job changes.
    Job(JobId),
    /// All resources that a plan would change.
    Plan(PlanId),
}

impl On {
    pub fn resource(kind: &str, name: &str) -> Self {
        Self::Resource { kind: kind.to_owned(), name: name.to_owned(), revision: None }
    }

    pub(crate) fn revision(kind: &str, name: &str, revision: Option<i64>) -> Self {
        Self::Resource { kind: kind.to_owned(), name: name.to_owned(), revision }
    }

    /// What a document asks to be made.
    pub(crate) fn document(registry: &Registry, document: &Document) -> Self {
        let metadata = StoredMetadata::from(&document.metadata);
        let name = document.metadata.name.to_string();
        let mut facts = Facts::of(registry, None, document.kind.clone(), name, metadata);
        facts.stands(registry, &document.spec);
        Self::New(Box::new(facts))
    }

    /// What the caller is told of one that is not there.
    fn missing(&self) -> Error {
        match self {
            Self::Resource { kind, name, .. } => resources::not_found(kind, name),
            Self::Run(id) => runs::run_not_found(id),
            Self::Job(id) => Error::not_found("job_not_found", format!("there is no job {id} here")),
            Self::Plan(id) => Error::not_found("plan_not_found", format!("there is no plan {id} here")),
            Self::New(facts) => resources::not_found(&facts.kind, &facts.name),
            Self::Scope => Error::not_found("scope_not_found", "there is no such tenant or project"),
        }
    }
}

/// A resource as policies see it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// None for one that is about to be made.
    pub id: Option<ResourceId>,
    /// As in documents.
    pub kind: String,
    /// As in actions.
    pub plural: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub owners: Vec<String>,
    pub teams: Vec<String>,
    /// Where it is and is to be, for a kind whose spec says so; each once.
    pub places: Vec<Place>,
}

/// A cluster and a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub cluster: Option<String>,
    pub namespace: Option<String>,
}

/// Where the spec of a kind names its cluster and namespace: JSON pointers into the spec.
#[derive(Debug, Clone, Copy)]
pub struct PlaceAt {
    pub cluster: &'static str,
    pub namespace: &'static str,
}

impl Facts {
    pub(crate) fn of(
        registry: &Registry,
        id: Option<ResourceId>,
        kind: String,
        name: String,
        metadata: StoredMetadata,
    ) -> Self {
        let plural = registry.find_kind(&kind).map_or("resources", |kind| kind.info().plural).to_owned();
        let StoredMetadata { labels, owners, teams, .. } = metadata;
        Self { id, kind, plural, name, labels, owners, teams, places: vec![] }
    }

    /// `pipelines/curate`
    pub fn path(&self) -> String {
        format!("{}/{}", self.plural, self.name)
    }

    /// Adds where `spec` puts it.
    fn stands(&mut self, registry: &Registry, spec: &Value) {
        let Some(at) = registry.find_kind(&self.kind).and_then(|kind| kind.place()) else { return };
        let word = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let place = Place { cluster: word(at.cluster), namespace: word(at.namespace) };
        if !self.places.contains(&place) {
            self.places.push(place);
        }
    }
}

/// What is known of an action before its object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Allowed,
    Denied,
    /// The object decides; `usual` is what holds of one that is not there.
    Object {
        usual: bool,
    },
}

/// What the scope alone says.
pub(crate) fn before(context: &Context, action: &str, on: &On) -> Look {
    let (authority, principal, scope) = (&context.authority, &context.principal, context.scope);
    if matches!(on, On::Scope) {
        return if authority.allows(principal, scope, action) { Look::Allowed } else { Look::Denied };
    }
    match authority.verdict(principal, scope, action) {
        Verdict::Allow if authority.reads_singled_out(scope) => Look::Object { usual: true },
        Verdict::Allow
            if matches!(on, On::Job(_) | On::Plan(_)) && Unseen::of(context) != Unseen::default() =>
        {
            Look::Object { usual: true }
        }
        Verdict::Allow => Look::Allowed,
        Verdict::Deny => Look::Denied,
        Verdict::Depends { allowed } => Look::Object { usual: allowed },
    }
}

/// Whether the object allows the action, where it is the object that decides.
///
/// # Errors
/// `action_denied` (403), or the error of an object that is not there.
pub(crate) fn look(
    tx: &mut Tx<'_>,
    registry: &Registry,
    context: &Context,
    action: &str,
    on: &On,
    usual: bool,
) -> Result<()> {
    let (authority, principal, scope) = (&context.authority, &context.principal, context.scope);
    let unseen = matches!(on, On::Job(_) | On::Plan(_)) && Unseen::of(context).hides(tx, scope, on)?;
    if unseen {
        return Err(if usual { on.missing() } else { super::denied(context, action) });
    }
    if authority.verdict(principal, scope, action) == Verdict::Allow && !authority.reads_singled_out(scope) {
        return Ok(());
    }
    let of = match facts(tx, registry, scope, on)? {
        Some(of) if of.is_empty() && usual => return Ok(()),
        Some(of) if !of.is_empty() => of,
        None if usual => return Err(on.missing()),
        _ => return Err(super::denied(context, action)),
    };
    for facts in &of {
        let hidden = facts.id.is_some() && hidden(context, facts);
        if hidden && usual {
            return Err(on.missing());
        }
        if hidden || !authority.allows_on(principal, scope, action, facts) {
            let read = format!("{}.read", facts.plural);
            let seen = authority.decide(principal, scope, &read, Some(facts)).allowed;
            return Err(if seen {
                super::denied_on(context, action, facts)
            } else {
                super::denied(context, action)
            });
        }
    }
    Ok(())
}

/// Whether the caller may read the project but not this resource of it.
fn hidden(context: &Context, facts: &Facts) -> bool {
    let (authority, principal, scope) = (&context.authority, &context.principal, context.scope);
    let read = format!("{}.read", facts.plural);
    !authority.decide(principal, scope, &read, Some(facts)).allowed
        && authority.decide(principal, scope, &read, None).allowed
}

/// [`before`] and [`look`] within a transaction that is under way.
pub(crate) fn check(
    tx: &mut Tx<'_>,
    registry: &Registry,
    context: &Context,
    action: &str,
    on: &On,
) -> Result<()> {
    match before(context, action, on) {
        Look::Allowed => Ok(()),
        Look::Denied => Err(super::denied(context, action)),
        Look::Object { usual } => look(tx, registry, context, action, on, usual),
    }
}

/// The same as a question: the refusal, which is not noted.
pub(crate) fn refusal(
    tx: &mut Tx<'_>,
    registry: &Registry,
    context: &Context,
    action: &str,
    on: &On,
) -> Result<Option<Error>> {
    match check(tx, registry, &context.asking(), action, on) {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// Whether there is none.
pub(crate) fn may(
    tx: &mut Tx<'_>,
    registry: &Registry,
    context: &Context,
    action: &str,
    on: &On,
) -> Result<bool> {
    Ok(refusal(tx, registry, context, action, on)?.is_none())
}

impl Kernel {
    /// Whether the caller may be shown what the document would change: its resource is one that he may read. Where none of the name is
    /// there, he may read or make such a one, so that the answer does not tell.
    ///
    /// # Errors
    /// `resource_not_found` (404) where a policy hides the resource from him; `action_denied` (403).
    pub(crate) async fn document_seen(&self, context: &Context, document: &Document) -> Result<()> {
        let Some(kind) = self.registry.find_kind(&document.kind) else {
            // That there is no such kind is said with its place, when the document is read.
            return Ok(());
        };
        let (authority, principal, scope) = (&context.authority, &context.principal, context.scope);
        let read = format!("{}.read", kind.info().plural);
        if !authority.reads_singled_out(scope) && authority.decide(principal, scope, &read, None).allowed {
            return Ok(());
        }
        let stands = On::resource(&document.kind, document.metadata.name.as_ref());
        let to_come = On::document(&self.registry, document);
        let (registry, context) = (self.registry.clone(), context.clone());
        self.store
            .read(move |tx| -> Result<()> {
                let may = |verb: &str, facts: &Facts| {
                    let action = format!("{}.{verb}", facts.plural);
                    context.authority.decide(&context.principal, scope, &action, Some(facts)).allowed
                };
                let seen = match facts(tx, &registry, scope, &stands)?.and_then(|mut of| of.pop()) {
                    Some(there) if hidden(&context, &there) => return Err(stands.missing()),
                    Some(there) => may("read", &there),
                    None => {
                        let new = facts(tx, &registry, scope, &to_come)?;
                        new.iter().flatten().any(|new| may("read", new) || may("create", new))
                    }
                };
                if seen { Ok(()) } else { Err(super::denied(&context, &read)) }
            })
            .await
    }

    /// Checks that the caller may do the action to the object.
    ///
    /// # Errors
    /// `action_denied` (403); the 404 of the object where the caller may not know of it.
    pub async fn permit(&self, context: &Context, action: &str, on: On) -> Result<()> {
        match before(context, action, &on) {
            Look::Allowed => Ok(()),
            Look::Denied => Err(super::denied(context, action)),
            Look::Object { usual } => {
                let (registry, context, action) = (self.registry.clone(), context.clone(), action.to_owned());
                self.store.read(move |tx| look(tx, &registry, &context, &action, &on, usual)).await
            }
        }
    }
}

/// The resources that the object is about; `None` where there is no such object.
pub(crate) fn facts(
    tx: &mut Tx<'_>,
    registry: &Registry,
    scope: Scope,
    on: &On,
) -> Result<Option<Vec<Facts>>> {
    let ids = match on {
        On::Scope => Some(vec![]),
        On::New(facts) => return Ok(Some(vec![(**facts).clone()])),
        On::Resource { kind, name, revision } => {
            let mut found = by_name(tx, registry, scope, Some(kind), name)?;
            if let (Some(facts), Some(number)) = (found.first_mut(), revision) {
                let spec: Option<Value> = tx.opt(
                    "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
                    params![facts.id, *number],
                    |row| row.get(0),
                )?;
                spec.iter().for_each(|spec| facts.stands(registry, spec));
            }
            return Ok(Some(found).filter(|found| !found.is_empty()));
        }
        On::Run(id) => Some(runs::resource_of(tx, scope, id)?).filter(|found| !found.is_empty()),
        On::Job(id) => of_job(tx, registry, scope, *id)?,
        On::Plan(id) => {
            let plan: Option<Json<Plan>> = tx.opt(
                "SELECT body FROM plan WHERE project_id = $1 AND id = $2",
                params![scope.project_id, *id],
                |row| row.get(0),
            )?;
            plan.map(|Json(plan)| of_plan(tx, registry, scope, &plan)).transpose()?
        }
    };
    ids.map(|ids| by_ids(tx, registry, scope, &ids)).transpose()
}

/// The resources that a job changes; `None` where there is no such job.
pub(crate) fn of_job(
    tx: &mut Tx<'_>,
    registry: &Registry,
    scope: Scope,
    id: JobId,
) -> Result<Option<Vec<ResourceId>>> {
    let found: Option<(Option<ResourceId>, Json<Value>)> = tx.opt(
        "SELECT resource_id, plan FROM job WHERE project_id = $1 AND id = $2",
        params![scope.project_id, id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    match found {
        None => Ok(None),
        Some((Some(resource), _)) => Ok(Some(vec![resource])),
        Some((None, Json(plan))) => match serde_json::from_value::<Plan>(plan) {
            Ok(plan) => of_plan(tx, registry, scope, &plan).map(Some),
            // One from before jobs had plans.
            Err(_) => Ok(Some(vec![])),
        },
    }
}

/// The resources that a plan's steps and locks name, as far as they are there.
pub(crate) fn of_plan(
    tx: &mut Tx<'_>,
    registry: &Registry,
    scope: Scope,
    plan: &Plan,
) -> Result<Vec<ResourceId>> {
    let targets = plan.steps.iter().map(|step| &step.target).chain(&plan.locks);
    let mut ids: Vec<ResourceId> = vec![];
    for (plural, name) in targets.filter_map(|target| target.split_once('/')) {
        // A run is named after its resource, and not its kind.
        let (kind, name) = match name.split_once('#') {
            Some((name, _)) if plural == "runs" => (None, name),
            _ => match registry.find_plural(plural) {
                Some(kind) => (Some(kind.info().kind), name),
                None => continue,
            },
        };
        ids.extend(by_name(tx, registry, scope, kind, name)?.into_iter().filter_map(|facts| facts.id));
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

const RESOURCE: &str = "SELECT id, kind, name, metadata FROM resource WHERE";

fn by_name(
    tx: &mut Tx<'_>,
    registry: &Registry,
    scope: Scope,
    kind: Option<&str>,
    name: &str,
) -> Result<Vec<Facts>> {
    let mut query = Query::new(RESOURCE);
    query.push(" project_id = ?", scope.project_id);
    if let Some(kind) = kind {
        query.push(" AND kind = ?", kind.to_owned());
    }
    match name.parse::<ResourceId>() {
        Ok(id) => query.push(" AND id = ?", id),
        Err(_) => query.push(" AND name = ?", name.to_owned()),
    };
    read(tx, registry, &query)
}

pub(crate) fn by_ids(
    tx: &mut Tx<'_>,
    registry: &Registry,
    scope: Scope,
    ids: &[ResourceId],
) -> Result<Vec<Facts>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let mut query = Query::new(RESOURCE);
    let backend = tx.backend();
    query.push(" project_id = ?", scope.project_id).text(" AND ").among(
        backend,
        "id",
        ids.iter().map(|id| id.uuid()),
    );
    read(tx, registry, &query)
}

/// Every resource of the project.
pub(crate) fn all(tx: &mut Tx<'_>, registry: &Registry, scope: Scope) -> Result<Vec<Facts>> {
    let mut query = Query::new(RESOURCE);
    query.push(" project_id = ?", scope.project_id).text(" ORDER BY kind, name");
    read(tx, registry, &query)
}

fn read(tx: &mut Tx<'_>, registry: &Registry, query: &Query) -> Result<Vec<Facts>> {
    let mut found = query.rows(tx, |row| {
        let Json(metadata): Json<StoredMetadata> = row.get(3)?;
        Ok(Facts::of(registry, Some(row.get(0)?), row.get(1)?, row.get(2)?, metadata))
    })?;
    for facts in &mut found {
        if registry.find_kind(&facts.kind).and_then(|kind| kind.place()).is_none() {
            continue;
        }
        let specs: Vec<Value> = tx.rows(
            "SELECT v.spec FROM resource r JOIN revision v ON v.resource_id = r.id
               AND (v.number = r.published_number OR v.number = r.last_revision) WHERE r.id = $1
             UNION ALL SELECT spec FROM working_copy WHERE resource_id = $1",
            params![facts.id],
            |row| row.get(0),
        )?;
        specs.iter().for_each(|spec| facts.stands(registry, spec));
    }
    Ok(found)
}
