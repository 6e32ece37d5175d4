//! Revisions of a resource: list, cut, read, compare.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use qd_kernel::{
    access::objects::On,
    page::Page,
    revisions::{Revision, RevisionDiff, RevisionSummary},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    http::{
        body::Body,
        caller::Caller,
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::KindApp,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBody {
    /// Why, for whoever reads the history.
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct DiffQuery {
    /// The revision to compare with.
    pub from: i64,
}

pub async fn list(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<RevisionSummary>>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    Ok(Json(kind.app.kernel.revision_list(caller.scope(), info.kind, &name, query.page()?).await?))
}

pub async fn create(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let CreateBody { message } = body.json()?;
    let revision = kind.app.kernel.revision_create(&caller.context, &*kind.kind, &name, message).await?;
    let location =
        format!("/api/v1/{}/{name}/revisions/{}", kind.kind.info().plural, revision.summary.number);
    Ok((StatusCode::CREATED, [("location", location)], Json(revision)))
}

pub async fn get(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Path<(String, i64)>,
) -> Result<Json<Revision>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    Ok(Json(kind.app.kernel.revision_get(caller.scope(), info.kind, &name, number).await?))
}

pub async fn diff(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Path<(String, i64)>,
    Params(query): Params<DiffQuery>,
) -> Result<Json<RevisionDiff>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    Ok(Json(kind.app.kernel.revision_diff(caller.scope(), info.kind, &name, query.from, number).await?))
}
