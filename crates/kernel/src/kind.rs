//! What a plane says of a kind of resource. The kernel names no kind.

use async_trait::async_trait;
use qd_core::{
    error::Result,
    id::{PrincipalId, ResourceId},
    violation::Violation,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    access::{
        Authority,
        objects::{On, PlaceAt},
    },
    code::CodeStore,
    context::Scope,
    kernel::Kernel,
    mutation::Mutation,
    resources::{Resource, SpecReader},
    secrets::Secrets,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindScope {
    Platform,
    Project,
}

/// Something that a person can do to a resource of the kind beyond the routes that all kinds have.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ActionInfo {
    pub verb: &'static str,
    pub title: &'static str,
    /// Refused without a `reason`, which is kept on job and audit.
    pub reason: bool,
}

/// The static facts of a kind, from which routes, CLI verbs, OpenAPI and UI are made.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct KindInfo {
    /// As in documents: `Pipeline`.
    pub kind: &'static str,
    /// As in URLs and the CLI: `pipelines`.
    pub plural: &'static str,
    pub singular: &'static str,
    /// For people: `Pipelines`.
    pub title: &'static str,
    /// One sentence that says what such a resource is.
    pub summary: &'static str,
    /// The group of the UI's navigation: `build`, `operate`, `understand` or `platform`.
    pub group: &'static str,
    pub scope: KindScope,
    /// The usual run engine of a runnable kind (see [`Kind::engine`]), none for a standing one.
    pub engine: Option<&'static str>,
    pub actions: Vec<ActionInfo>,
    /// JSON Schema of `spec`.
    pub schema: Value,
    /// A small spec that is valid as it stands, shown where a person makes the first item.
    pub example: Value,
}

impl KindInfo {
    pub fn runnable(&self) -> bool {
        self.engine.is_some()
    }
}

/// What validation may read: the code archives, the other specs of the scope, and which secrets there are; nothing else.
#[derive(Clone)]
pub struct SpecView {
    pub scope: Scope,
    pub code: CodeStore,
    pub specs: SpecReader,
    pub secrets: Secrets,
    /// Which roles and actions there are.
    pub authority: Authority,
}

/// The behaviour of a kind. Pure but for what [`SpecView`] reads, and for what is said of [`Kind::published`] and
/// [`Kind::status`].
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    fn info(&self) -> &KindInfo;

    /// Checks the shape and returns the normalised spec (defaults written out), or all violations with pointers
    /// relative to the spec.
    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>>;

    /// What may not stand in a spec that is kept, even unfinished: a working copy is not parsed, and is shown to whoever may read it.
    fn draft_violations(&self, _spec: &Value) -> Vec<Violation> {
        vec![]
    }

    /// Replaces references by pinned ones when a revision is cut, so that an old revision keeps meaning what it meant.
    async fn pin(&self, spec: Value, _view: &SpecView) -> Result<Value> {
        Ok(spec)
    }

    /// Where a spec names the cluster and the namespace that it is about, for policies to ask after.
    fn place(&self) -> Option<PlaceAt> {
        None
    }

    /// The resources that a parsed spec refers to, by kind and name: those that are applied with it come first.
    fn depends_on(&self, _spec: &Value) -> Vec<(&'static str, String)> {
        vec![]
    }

    /// Everything that is wrong with a parsed spec, all of it. `Err` only when that cannot be found out now.
    async fn validate(&self, _spec: &Value, _view: &SpecView) -> Result<Vec<Violation>> {
        Ok(vec![])
    }

    /// What else somebody must be allowed to do who asks for the publication of this spec: an action, and what it is done to.
    fn publishing_takes(&self, _spec: &Value) -> Option<(String, On)> {
        None
    }

    /// Database work of the kind's own, in the transaction in which a revision becomes the published one, as `by` asked for, or the
    /// resource comes back from the archive with it.
    fn published(
        &self,
        _m: &mut Mutation<'_, '_>,
        _id: ResourceId,
        _revision: i64,
        _by: Option<PrincipalId>,
    ) -> Result<()> {
        Ok(())
    }

    /// JSON Schema of what [`Kind::status`] answers; none for a kind that tells nothing.
    fn status_schema(&self) -> Option<Value> {
        None
    }

    /// What is known of a resource beyond its records: an object with a `sentence` for a person, and whatever else.
    async fn status(&self, _kernel: &Kernel, _scope: Scope, _resource: &Resource) -> Result<Option<Value>> {
        Ok(None)
    }

    /// The engine that carries out a run of this published spec with these parameters.
    fn engine(&self, _spec: &Value, _params: &Value) -> Option<&'static str> {
        self.info().engine
    }

    /// How many runs of the resource may be active at once, by this published spec.
    fn max_active_runs(&self, _spec: &Value) -> Option<u32> {
        None
    }

    /// The connection over which a run of this spec with these parameters is carried out. Its own `max_active_runs` holds for
    /// all that use it.
    fn connection(&self, _spec: &Value, _params: &Value) -> Option<String> {
        None
    }

    /// JSON Schema of what a run asks for; `None` when it asks for nothing.
    fn params_schema(&self, _spec: &Value) -> Option<Value> {
        None
    }

    /// The run's parameters with defaults filled in, or all violations with pointers under `/params`.
    fn run_params(&self, _spec: &Value, params: &Value) -> std::result::Result<Value, Vec<Violation>> {
        match params.as_object() {
            Some(map) if map.is_empty() => Ok(params.clone()),
            _ => Err(vec![Violation::new("/params", "unknown_param", "this kind takes no parameters")]),
        }
    }
}
