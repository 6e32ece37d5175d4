//! What kinds there are: what clients make their lists, forms and verbs from.

use axum::{Json, extract::State};
use qd_kernel::kind::KindInfo;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    http::{caller::Caller, problem::Problem},
    state::App,
};

#[derive(Debug, Serialize, JsonSchema)]
pub struct KindList {
    pub items: Vec<KindEntry>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct KindEntry {
    #[serde(flatten)]
    pub info: KindInfo,
    pub runnable: bool,
}

pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<KindList>, Problem> {
    caller.may("kinds.list")?;
    let items = app
        .kernel
        .registry
        .kinds()
        .map(|kind| KindEntry { info: kind.info().clone(), runnable: kind.info().runnable() })
        .collect();
    Ok(Json(KindList { items }))
}
