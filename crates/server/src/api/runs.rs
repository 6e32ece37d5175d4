//! Runs of all kinds: list, read, stop, retry, events, charts, requests to a serving one.

pub mod logs;
pub mod results;

use std::time::Duration;

use axum::{Json, extract::State, response::Response};
use qd_core::{error::Error, state::RunState};
use qd_kernel::{
    access::{objects::On, sight::Sight},
    events::EventFilter,
    page::Page,
    runs::{Run, RunFilter},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    events::{EventList, EventsQuery, page_of_events},
    jobs::{ReasonBody, accepted},
    kind::resource::PageText,
};
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

/// How long a request to a serving run may take: the default, and the most.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT_MOST: Duration = Duration::from_mins(5);

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct RunsQuery {
    #[serde(flatten)]
    pub page: PageText,
    pub state: Option<RunState>,
    /// `Pipeline`
    pub kind: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct AttemptQuery {
    /// The newest where absent.
    pub attempt: Option<i64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestBody {
    pub item: Value,
    /// 1 to 300,000; 30,000 without.
    pub timeout_ms: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestResult {
    pub result: Value,
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<RunsQuery>,
) -> Result<Json<Page<Run>>, Problem> {
    let sight = caller.sight(&app, "runs.list").await?;
    let filter = RunFilter { resource_id: None, state: query.state, kind: query.kind, sight };
    Ok(Json(app.kernel.run_list(caller.scope(), filter, query.page.page()?).await?))
}

pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Run>, Problem> {
    caller.may_on(&app, "runs.read", On::Run(id.clone())).await?;
    Ok(Json(app.kernel.run_get(caller.scope(), &id).await?))
}

pub async fn stop(
    State(app): State<App>,
    caller: Caller,
    key: MaybeKey,
    Path(id): Path<String>,
    Params(query): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let ReasonBody { reason } = body.json()?;
    if query.dry_run {
        let request = app.kernel.stop_request(&caller.context, &id, reason).await?;
        return preview(&app.kernel, &caller, request).await;
    }
    let key = key.with_body(&body.bytes)?;
    let (job, run) = app.kernel.run_stop(&caller.context, &id, reason, key).await?;
    Ok(accepted(job, Some(run)))
}

pub async fn retry(
    State(app): State<App>,
    caller: Caller,
    key: MaybeKey,
    Path(id): Path<String>,
    Params(query): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let ReasonBody { reason } = body.json()?;
    if query.dry_run {
        let request = app.kernel.retry_request(&caller.context, &id, reason).await?;
        return preview(&app.kernel, &caller, request).await;
    }
    let key = key.with_body(&body.bytes)?;
    let (job, run) = app.kernel.run_retry(&caller.context, &id, reason, key).await?;
    Ok(accepted(job, Some(run)))
}

pub async fn events(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<EventsQuery>,
) -> Result<Json<EventList>, Problem> {
    caller.may_on(&app, "runs.read", On::Run(id.clone())).await?;
    let run = app.kernel.run_log_info(caller.scope(), &id).await?;
    let filter = EventFilter { run_id: Some(run.id), ..EventFilter::default() };
    page_of_events(&app.kernel, caller.scope(), (filter, Sight::All), &query).await
}

pub async fn metrics(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<AttemptQuery>,
) -> Result<Json<Value>, Problem> {
    caller.may_on(&app, "runs.read", On::Run(id.clone())).await?;
    Ok(Json(app.kernel.run_charts(caller.scope(), &id, query.attempt).await?))
}

pub async fn request(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<RequestResult>, Problem> {
    let RequestBody { item, timeout_ms } = body.json()?;
    let timeout = timeout_ms.map_or(REQUEST_TIMEOUT, Duration::from_millis);
    if timeout.is_zero() || timeout > REQUEST_TIMEOUT_MOST {
        return Err(Problem(Error::malformed("bad_timeout", "timeout_ms must be between 1 and 300000")));
    }
    let result = app.kernel.run_request(&caller.context, &id, item, timeout).await?;
    Ok(Json(RequestResult { result }))
}
