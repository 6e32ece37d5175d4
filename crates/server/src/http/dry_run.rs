//! `?dry_run=true` on a route that creates a job: the plan of the change, and nothing is written.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use qd_kernel::{
    Kernel,
    changes::{Preview, Request},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{caller::Caller, problem::Problem};

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub struct DryRun {
    /// Answers 200 with the plan of the change and writes nothing; wants no Idempotency-Key.
    #[serde(default)]
    pub dry_run: bool,
}

/// 200 with what the change would do; closed gates are part of the answer.
pub async fn preview(kernel: &Kernel, caller: &Caller, request: Request) -> Result<Response, Problem> {
    let preview: Preview = kernel.change_preview(&caller.context, &request).await?;
    Ok(Json(preview).into_response())
}
