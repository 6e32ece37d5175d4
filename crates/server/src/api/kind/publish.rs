//! Publishing a revision and rolling back to an old one: a job each, or the plan of it.

use axum::{extract::State, response::Response};
use qd_kernel::revisions::{publish_request, rollback_request};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    api::{jobs::accepted, plans},
    http::{
        body::Body,
        caller::Caller,
        condition::MaybeKey,
        dry_run::{DryRun, preview},
        path::Path,
        problem::Problem,
        query::Params,
    },
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
    key: MaybeKey,
    Path(name): Path<String>,
    Params(query): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let (kernel, of) = (&kind.app.kernel, &*kind.kind);
    let PublishBody { revision, reason } = body.json()?;
    if query.dry_run {
        return preview(kernel, &caller, publish_request(of, &name, revision, reason)).await;
    }
    let key = key.with_body(&body.bytes)?;
    let job = kernel.revision_publish(&caller.context, of, &name, revision, reason, key).await?;
    Ok(accepted(job, None))
}

pub async fn rollback(
    State(kind): State<KindApp>,
    caller: Caller,
    key: MaybeKey,
    Path(name): Path<String>,
    Params(query): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let (kernel, of) = (&kind.app.kernel, &*kind.kind);
    let RollbackBody { to, reason } = body.json()?;
    if query.dry_run {
        return preview(kernel, &caller, rollback_request(of, &name, to, reason)?).await;
    }
    let key = key.with_body(&body.bytes)?;
    let job = kernel.revision_rollback(&caller.context, of, &name, to, reason, key).await?;
    Ok(accepted(job, None))
}

/// A plan to publish, to be looked at and applied by id.
pub async fn plan(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let PublishBody { revision, reason } = body.json()?;
    let request = publish_request(&*kind.kind, &name, revision, reason);
    plans::created(&kind.app.kernel, &caller.context, request).await
}
