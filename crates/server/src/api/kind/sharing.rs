//! Whom a resource belongs to, and with whom it is shared.

use axum::{Json, extract::State, http::StatusCode};
use qd_kernel::access::{
    objects::On,
    sharing::{HolderList, Share},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    http::{body::Body, caller::Caller, path::Path, problem::Problem},
    state::KindApp,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareBody {
    /// `viewer`, `operator` or `editor`.
    #[serde(rename = "as")]
    pub share: Share,
}

pub async fn list(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<HolderList>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    Ok(Json(kind.app.kernel.sharing_list(caller.scope(), info.kind, &name).await?))
}

pub async fn put(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, holder)): Path<(String, String)>,
    body: Body,
) -> Result<StatusCode, Problem> {
    let info = kind.kind.info();
    // Before anything is said of what was sent.
    caller.may_on(&kind.app, &format!("{}.share", info.plural), On::resource(info.kind, &name)).await?;
    let ShareBody { share } = body.json()?;
    kind.app.kernel.resource_share(&caller.context, &*kind.kind, &name, &holder, share).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn delete(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, holder)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    kind.app.kernel.resource_unshare(&caller.context, &*kind.kind, &name, &holder).await?;
    Ok(StatusCode::NO_CONTENT)
}
