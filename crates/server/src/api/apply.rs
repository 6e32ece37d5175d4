//! Applying documents: all of them, or none.

use axum::{
    Json,
    extract::{OriginalUri, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use qd_kernel::{apply::Applied, changes::Preview, jobs::Job};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{body::Body, caller::Caller, condition::Key, problem::Problem, query::Params},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ApplyQuery {
    /// Says what would happen and writes nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Publishes what changed, by one job; wants an Idempotency-Key.
    #[serde(default)]
    pub publish: bool,
    /// Why, for whoever reads the history.
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ApplyResult {
    pub items: Vec<Applied>,
    /// The job that publishes what changed, where anything did.
    pub job: Option<Job>,
    /// Of a dry run: what would be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Preview>,
}

pub async fn apply(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    method: Method,
    uri: OriginalUri,
    Params(query): Params<ApplyQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let documents = body.documents()?;
    if query.dry_run {
        let (items, plan) = app.kernel.apply_dry_run(&caller.context, documents, query.publish).await?;
        return Ok(Json(ApplyResult { items, job: None, plan: Some(plan) }).into_response());
    }
    let key = match (query.publish, Key::optional(&headers, &method, &uri)) {
        (true, Some(key)) => Some(key.with_body(&body.bytes)?),
        (true, None) => return Err(Key::required()),
        (false, _) => None,
    };
    let (items, job) = app.kernel.apply(&caller.context, documents, query.message, key).await?;
    let location = job.as_ref().map(|job| [("location", format!("/api/v1/jobs/{}", job.id))]);
    let reply = Json(ApplyResult { items, job, plan: None });
    Ok(match location {
        Some(location) => (StatusCode::ACCEPTED, location, reply).into_response(),
        None => reply.into_response(),
    })
}
