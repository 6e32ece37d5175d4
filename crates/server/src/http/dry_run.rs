//! `?dry_run=true` on a route that creates a job: the plan of the change, and nothing is written.

use axum::{
    Json,
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use qd_core::error::Error;
use qd_kernel::{
    Kernel,
    changes::{self, Preview},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{caller::Caller, problem::Problem};

/// The routes that know it, by their ends.
const KNOWN: [&str; 12] = [
    "/api/v1/apply",
    "/api/v1/jobs",
    "/projects/{name}/delete",
    "/projects/{name}/export",
    "/tenants/{name}/delete",
    "/tenants/{name}/export",
    "/{name}/publish",
    "/{name}/rollback",
    "/{name}/runs",
    "/runs/{id}/retry",
    "/runs/{id}/stop",
    "/secret-keys/rotate",
];

/// Whoever asks a route for a dry run that would take no notice of it is refused: it would write.
pub async fn layer(request: Request, next: Next) -> Response {
    if unheard(&request) {
        let detail = "this address has no dry run and would write: leave `dry_run` out, or make a plan";
        return Problem(Error::malformed("dry_run_unsupported", detail)).into_response();
    }
    next.run(request).await
}

fn unheard(request: &Request) -> bool {
    let asked = request.uri().query().is_some_and(|query| query.contains("dry_run"));
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    asked && !request.method().is_safe() && !KNOWN.iter().any(|known| path.ends_with(known))
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub struct DryRun {
    /// Answers 200 with the plan of the change and writes nothing; wants no Idempotency-Key.
    #[serde(default)]
    pub dry_run: bool,
}

/// 200 with what the change would do; closed gates are part of the answer.
pub async fn preview(
    kernel: &Kernel,
    caller: &Caller,
    request: changes::Request,
) -> Result<Response, Problem> {
    let preview: Preview = kernel.change_preview(&caller.context, &request).await?;
    Ok(Json(preview).into_response())
}
