//! What takes events onward: how far each consumer is, and why it does not go on.

use axum::{Json, extract::State};
use qd_kernel::events::ConsumerReading;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    http::{caller::PlatformCaller, problem::Problem},
    state::App,
};

#[derive(Debug, Serialize, JsonSchema)]
pub struct ConsumerList {
    pub items: Vec<ConsumerReading>,
}

pub async fn list(State(app): State<App>, caller: PlatformCaller) -> Result<Json<ConsumerList>, Problem> {
    caller.may("system.read")?;
    Ok(Json(ConsumerList { items: app.kernel.consumer_list().await? }))
}
