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
    /// The sub-routes that the kind has.
    pub routes: Vec<&'static str>,
}

pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<KindList>, Problem> {
    caller.may("kinds.list")?;
    let items = app.kernel.registry.kinds().map(|kind| entry(kind.info())).collect();
    Ok(Json(KindList { items }))
}

fn entry(info: &KindInfo) -> KindEntry {
    let mut routes = vec!["working-copy", "validate", "revisions", "publish", "rollback", "events", "audit"];
    if info.runnable() {
        routes.push("runs");
    }
    KindEntry { info: info.clone(), runnable: info.runnable(), routes }
}
