//! Jobs: list, read, ask for, cancel; and the reply of every request that starts one.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use qd_core::{error::Error, id::JobId, state::JobState};
use qd_kernel::{
    access::objects::On,
    changes::Request,
    jobs::{Job, JobDetail, JobFilter},
    mutation::Act,
    page::Page,
    runs::Run,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::resource::PageText;
use crate::{
    http::{
        body::Body,
        caller::Caller,
        condition::MaybeKey,
        dry_run::{DryRun, preview},
        path::Path,
        problem::Problem,
        query::Params,
    },
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct JobsQuery {
    #[serde(flatten)]
    pub page: PageText,
    pub state: Option<JobState>,
}

/// The reply to a request that started a job.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    pub job: Job,
    /// The run that the job is about, where it is about one.
    pub run: Option<Run>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    #[serde(default)]
    pub reason: String,
}

/// An operation that is asked for by its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskBody {
    /// One of those that a plane lets callers ask for by name.
    pub operation: String,
    /// What the operation takes.
    #[serde(default)]
    pub input: Value,
    /// Why, kept on the job and in the audit.
    #[serde(default)]
    pub reason: String,
}

/// 202 with the job's address.
pub fn accepted(job: Job, run: Option<Run>) -> Response {
    let location = format!("/api/v1/jobs/{}", job.id);
    (StatusCode::ACCEPTED, [("location", location)], Json(Accepted { job, run })).into_response()
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<JobsQuery>,
) -> Result<Json<Page<Job>>, Problem> {
    let sight = caller.sight(&app, "jobs.list").await?;
    let filter = JobFilter { state: query.state, sight, unseen: caller.unseen() };
    Ok(Json(app.kernel.job_list(caller.scope(), filter, query.page.page()?).await?))
}

/// With its plan, its locks and what was recorded of it; lists have the short form.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<JobDetail>, Problem> {
    let id = job_id(&id)?;
    caller.may_on(&app, "jobs.read", On::Job(id)).await?;
    Ok(Json(app.kernel.job_detail(caller.scope(), id).await?))
}

pub async fn ask(
    State(app): State<App>,
    caller: Caller,
    key: MaybeKey,
    Params(query): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let AskBody { operation, input, reason } = body.json()?;
    if !app.kernel.registry.askables().contains(operation.as_str()) {
        let known: Vec<&str> = app.kernel.registry.askables().iter().copied().collect();
        let detail =
            format!("no operation {operation:?} may be asked for here; there are {}", known.join(", "));
        return Err(Problem(Error::not_found("operation_not_askable", detail)));
    }
    let act = Act::new("jobs", "ask").because(reason);
    if query.dry_run {
        return preview(&app.kernel, &caller, Request { act, operation, input }).await;
    }
    let key = key.with_body(&body.bytes)?;
    let job = app.kernel.job_create(&caller.context, act, &operation, input, key).await?;
    Ok(accepted(job, None))
}

pub async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let ReasonBody { reason } = body.json()?;
    let job = app.kernel.job_cancel(&caller.context, job_id(&id)?, reason).await?;
    Ok(accepted(job, None))
}

fn job_id(id: &str) -> Result<JobId, Problem> {
    id.parse().map_err(|_| Problem(Error::not_found("job_not_found", format!("there is no job {id} here"))))
}
