//! Publishing a revision and rolling back to an old one: a job each.

use axum::{extract::State, response::Response};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    api::jobs::accepted,
    http::{body::Body, caller::Caller, condition::Key, path::Path, problem::Problem},
    state::KindApp,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishBody {
    /// The newest revision where absent.
    pub revision: Option<i64>,
    #[serde(default)]
    pub reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// The revision whose spec is wanted back.
    pub to: i64,
    pub reason: String,
}

pub async fn publish(
    State(kind): State<KindApp>,
    caller: Caller,
    key: Key,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let PublishBody { revision, reason } = body.json()?;
    let key = key.with_body(&body.bytes)?;
    let job =
        kind.app.kernel.revision_publish(&caller.context, &*kind.kind, &name, revision, reason, key).await?;
    Ok(accepted(job, None))
}

pub async fn rollback(
    State(kind): State<KindApp>,
    caller: Caller,
    key: Key,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let RollbackBody { to, reason } = body.json()?;
    let key = key.with_body(&body.bytes)?;
    let job = kind.app.kernel.revision_rollback(&caller.context, &*kind.kind, &name, to, reason, key).await?;
    Ok(accepted(job, None))
}
