//! Every engine's health, with the age of the reading.

use axum::{Json, extract::State};
use futures::future::join_all;
use qd_kernel::engine::EngineReading;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    http::{caller::Caller, problem::Problem},
    state::App,
};

#[derive(Debug, Serialize, JsonSchema)]
pub struct EngineList {
    pub items: Vec<EngineReading>,
}

pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<EngineList>, Problem> {
    caller.may("engines.list")?;
    let items = join_all(app.kernel.registry.engines().map(|engine| engine.health())).await;
    Ok(Json(EngineList { items }))
}
