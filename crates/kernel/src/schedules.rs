//! The kind `Schedule`: what is started at which times, by a cron expression in a time zone.
//!
//! A schedule has a cursor: every instant up to it is decided. Deciding the next one moves the cursor, writes down what the
//! instant came to and makes the job, in one transaction, and an instant of a schedule is written down once. So neither a
//! restart nor several processes nor a clock that is wrong fires twice. A clock that was ahead and is set back takes the cursor
//! along: instants that were decided stay so, the others come in their time.
//!
//! Not done here: limits on how many runs are active at once ([`crate::slots`]), and calendars beyond what cron says.

mod duty;
pub(crate) mod fire;
mod kind;
mod misfire;
mod spec;
mod status;
mod times;

use qd_core::{
    id::{JobId, ResourceId, RunId},
    state::RunState,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    context::{Context, RequestIds, Scope},
    kind::Kind,
    mutation::Subject,
    registry::Registry,
    store::{self, Column},
};

/// The kind's name in documents.
pub const SCHEDULE: &str = "Schedule";
const PLURAL: &str = "schedules";

/// Adds the kind; its targets are of the kinds that are registered by then.
pub(crate) fn register(registry: &mut Registry) {
    let runnable = registry.kinds().filter(|kind| kind.info().runnable()).cloned().collect();
    registry.kind(kind::Schedules::new(runnable));
}

/// What an instant came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FiringOutcome {
    /// There is a job.
    Started,
    /// The schedule's own policy passed it over.
    Skipped,
    /// It could not start, and is not tried again.
    Refused,
}

impl FiringOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
        }
    }
}

impl Column for FiringOutcome {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        let text = String::column(value)?;
        let known = [Self::Started, Self::Skipped, Self::Refused];
        let found = known.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no outcome of a firing"))
    }
}

/// A due instant of a schedule, and what it came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Firing {
    pub due_at: Timestamp,
    pub decided_at: Timestamp,
    /// The schedule's revision then.
    pub revision: i64,
    pub outcome: FiringOutcome,
    /// Due instants before it that were passed over together with it.
    pub missed: i64,
    /// Why it was not started.
    pub code: Option<String>,
    pub message: Option<String>,
    pub job_id: Option<JobId>,
    pub run: Option<FiringRun>,
}

/// The run that a firing started, as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FiringRun {
    pub id: RunId,
    /// `curate#42`
    #[serde(rename = "ref")]
    pub run_ref: String,
    pub state: RunState,
}

/// What a schedule tells of itself beyond its spec.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ScheduleStatus {
    /// For a person: when it fires next, and what became of the last firing.
    pub sentence: String,
    pub paused: bool,
    /// The next instants, five at most; none while it is paused.
    pub next: Vec<Timestamp>,
    /// Newest first, ten at most.
    pub firings: Vec<Firing>,
}

fn subject(id: ResourceId, name: &str) -> Subject<'_> {
    Subject { kind: Some(SCHEDULE), resource_id: Some(id), resource_name: Some(name), ..Subject::default() }
}

/// What starting the target is called.
fn run_action(target: &dyn Kind) -> String {
    format!("{}.run", target.info().plural)
}

/// The schedule as the one who acts: by its name in audit, jobs and runs, on behalf of who published it. It has no right of its own:
/// whoever published it is asked about.
fn acting(
    scope: Scope,
    id: ResourceId,
    name: &str,
    publisher: Option<String>,
    request_id: String,
) -> Context {
    let ids = RequestIds { correlation_id: request_id.clone(), request_id, trace_id: None };
    let mut context =
        Context::system(format!("{PLURAL}/{name}"), scope, ids, "schedule").on_behalf_of(publisher);
    context.principal.id = id.uuid().into();
    context
}
