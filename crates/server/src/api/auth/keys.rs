//! The keys of access tokens: published for whoever verifies them, and exchanged.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    http::{caller::PlatformCaller, problem::Problem},
    state::App,
};

/// The key that signs from now on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rotated {
    pub kid: String,
}

pub async fn list(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let keys = app.kernel.signing_keys().await?;
    // Less than a retired key stays published.
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(keys)))
}

pub async fn rotate(
    State(app): State<App>,
    caller: PlatformCaller,
) -> Result<(StatusCode, Json<Rotated>), Problem> {
    let kid = app.kernel.signing_key_rotate(&caller.context).await?;
    Ok((StatusCode::CREATED, Json(Rotated { kid })))
}
