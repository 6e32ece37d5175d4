//! What a plan is made from: the database as it is now, read only, and every fact that the plan depends on written down.
//!
//! What was looked at becomes the plan's preconditions, so that an operation cannot forget one. In the transaction that
//! makes the job the same reads lock the rows that they depend on: what the plan saw stays so until the job is written.

use std::collections::BTreeMap;

use qd_core::{
    error::{Error, Result},
    id::{ResourceId, RunId},
    plan::Precondition,
    state::{ResourceState, RevisionState, RunState},
    time::Timestamp,
};
use serde_json::{Value, json};

use crate::{
    context::Scope,
    params,
    registry::Registry,
    resources::{self, described},
    reviews::{self, ReviewMode},
    revisions::{no_revision, require_active},
    runs,
    store::{Param, Row, StoreResult, Tx},
};

/// The world as a plan sees it.
pub struct View<'v, 't> {
    tx: &'v mut Tx<'t>,
    registry: &'v Registry,
    scope: Scope,
    /// What [`super::Operation::preflight`] answered.
    pub preflight: &'v Value,
    locking: bool,
    /// The plan is made for who reviews it, and may not be carried out yet.
    reviewing: bool,
    looked: BTreeMap<String, Value>,
}

/// An active resource that a plan is about.
#[derive(Debug, Clone)]
pub struct SeenResource {
    pub id: ResourceId,
    pub kind: String,
    /// `pipelines/curate`: what plans, locks and refusals call it.
    pub path: String,
    pub name: String,
    published: Option<i64>,
    newest: i64,
    /// The number of its newest run; 0 where there is none.
    pub(crate) last_run: i64,
    /// Its descriptive fields.
    pub(crate) described: Value,
}

/// A revision that a plan is about.
#[derive(Debug, Clone)]
pub struct SeenRevision {
    pub number: i64,
    pub state: RevisionState,
    pub spec: Value,
    pub spec_hash: String,
    pub published_at: Option<Timestamp>,
}

/// A run that a plan is about.
#[derive(Debug, Clone)]
pub struct SeenRun {
    pub id: RunId,
    /// `runs/curate#42`
    pub path: String,
    pub kind: String,
    pub resource_name: String,
    pub number: i64,
    pub revision: i64,
    pub attempt: i64,
    pub state: RunState,
    pub engine: String,
}

impl<'v, 't> View<'v, 't> {
    /// `locking` in the transaction that makes the job.
    pub(crate) fn new(
        tx: &'v mut Tx<'t>,
        registry: &'v Registry,
        scope: Scope,
        preflight: &'v Value,
        locking: bool,
    ) -> Self {
        Self { tx, registry, scope, preflight, locking, reviewing: false, looked: BTreeMap::new() }
    }

    pub(crate) fn reviewing(mut self) -> Self {
        self.reviewing = true;
        self
    }

    /// Writes down what was found, by which a later look is compared.
    pub fn look(&mut self, subject: impl Into<String>, found: Value) {
        self.looked.insert(subject.into(), found);
    }

    pub fn scope(&self) -> Scope {
        self.scope
    }

    pub fn registry(&self) -> &'v Registry {
        self.registry
    }

    /// An active resource by name or id. Says nothing of it but that it is active.
    pub fn resource(&mut self, kind: &str, name: &str) -> Result<SeenResource> {
        let found = if self.locking {
            resources::lock(self.tx, self.scope, kind, name)?
        } else {
            resources::peek(self.tx, self.scope, kind, name)?
        };
        require_active(found.state, &found.name)?;
        let path = self.path(kind, &found.name);
        self.look(format!("{path} state"), json!(ResourceState::Active));
        Ok(SeenResource {
            id: found.id,
            kind: kind.to_owned(),
            path,
            published: found.published_number,
            newest: found.last_revision,
            last_run: found.last_run,
            described: described(&found.display_name, &found.description, &found.metadata),
            name: found.name,
        })
    }

    /// The same of one that need not be there.
    pub fn resource_if_any(&mut self, kind: &str, name: &str) -> Result<Option<SeenResource>> {
        match self.resource(kind, name) {
            Err(error) if error.code == "resource_not_found" => {
                let path = self.path(kind, name);
                self.look(format!("{path} state"), json!("missing"));
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// `pipelines/curate`
    pub fn path(&self, kind: &str, name: &str) -> String {
        let plural = self.registry.find_kind(kind).map_or("resources", |kind| kind.info().plural);
        format!("{plural}/{name}")
    }

    pub fn published(&mut self, resource: &SeenResource) -> Option<i64> {
        self.look(format!("{} published revision", resource.path), json!(resource.published));
        resource.published
    }

    pub fn newest(&mut self, resource: &SeenResource) -> i64 {
        self.look(format!("{} newest revision", resource.path), json!(resource.newest));
        resource.newest
    }

    /// A revision's state and content.
    pub fn revision(&mut self, resource: &SeenResource, number: i64) -> Result<SeenRevision> {
        let found = self.tx.opt(
            "SELECT state, spec, spec_hash, published_at FROM revision WHERE resource_id = $1 AND number = $2",
            params![resource.id, number],
            |row| {
                Ok(SeenRevision {
                    number,
                    state: row.get(0)?,
                    spec: row.get(1)?,
                    spec_hash: row.get(2)?,
                    published_at: row.get(3)?,
                })
            },
        )?;
        let found = found.ok_or_else(|| no_revision(&resource.name, number))?;
        // An approval changes nothing of what was approved.
        let state = match found.state {
            RevisionState::InReview | RevisionState::Approved => "submitted",
            RevisionState::Draft if self.reviewing => "submitted",
            state => state.as_str(),
        };
        self.look(
            format!("{} revision {number}", resource.path),
            json!({ "state": state, "spec_hash": found.spec_hash }),
        );
        Ok(found)
    }

    /// Whether the project publishes only what was reviewed.
    pub(crate) fn review_required(&mut self) -> Result<bool> {
        let mode = reviews::mode(self.tx, self.scope)?;
        if mode == ReviewMode::Required {
            self.look("review of the project", json!(mode));
        }
        Ok(mode == ReviewMode::Required)
    }

    /// Refuses to publish what still has to be reviewed, or cannot be published any more.
    ///
    /// # Errors
    /// `review_required`, `illegal_revision_move` (409).
    pub(crate) fn publishable(&mut self, resource: &SeenResource, revision: &SeenRevision) -> Result<()> {
        match revision.state {
            RevisionState::Approved => Ok(()),
            RevisionState::InReview | RevisionState::Draft if self.reviewing => Ok(()),
            RevisionState::InReview => Err(reviews::refusal(&resource.path, revision.number, revision.state)),
            RevisionState::Draft if reviews::mode(self.tx, self.scope)? == ReviewMode::Required => {
                Err(reviews::refusal(&resource.path, revision.number, revision.state))
            }
            state => Ok(state.step(RevisionState::Published).map(drop)?),
        }
    }

    pub fn run(&mut self, id: RunId) -> Result<SeenRun> {
        let run = if self.locking {
            runs::run_lock(self.tx, self.scope, id)?
        } else {
            runs::run_peek(self.tx, self.scope, id)?
        };
        let path = format!("runs/{}#{}", run.resource_name, run.number);
        self.look(path.clone(), json!({ "state": run.state, "attempt": run.attempt }));
        Ok(SeenRun {
            id,
            path,
            kind: run.kind,
            resource_name: run.resource_name,
            number: run.number,
            revision: run.revision,
            attempt: run.attempt,
            state: run.state,
            engine: run.engine,
        })
    }

    /// Rows of a plane's own tables. Nothing but a SELECT; what the plan depends on is for the caller to [`View::look`].
    ///
    /// # Errors
    /// `view_writes` for any other statement.
    pub fn rows<T>(
        &mut self,
        sql: &str,
        params: &[&dyn Param],
        read: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> Result<Vec<T>> {
        let first = sql.split_whitespace().next().unwrap_or_default();
        if !first.eq_ignore_ascii_case("SELECT") {
            return Err(Error::internal("view_writes", format!("a plan only reads; it asked for {first}")));
        }
        Ok(self.tx.rows(sql, params, read)?)
    }

    pub(crate) fn tx(&mut self) -> &mut Tx<'t> {
        self.tx
    }

    /// Everything that was looked at, sorted.
    pub(crate) fn into_preconditions(self) -> Vec<Precondition> {
        self.looked.into_iter().map(|(subject, expected)| Precondition { subject, expected }).collect()
    }
}
