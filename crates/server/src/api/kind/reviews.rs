//! Reviewing a revision: submit, withdraw, approve, reject, comment, and what a reviewer sees.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use qd_kernel::{
    access::objects::On,
    page::Page,
    reviews::{Comment, NewComment, ReviewDetail},
    revisions::Revision,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    api::{jobs::ReasonBody, plans::ApproveBody},
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
pub struct SubmitBody {
    /// What the reviewer should know.
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentBody {
    pub body: String,
    /// The place in the spec that it is about (`/stages/0/uses`); the whole where absent.
    pub pointer: Option<String>,
}

type Of = Path<(String, i64)>;

pub async fn get(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Of,
) -> Result<Json<ReviewDetail>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    Ok(Json(kind.app.kernel.review_get(&caller.context, &*kind.kind, &name, number).await?))
}

pub async fn submit(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Of,
    body: Body,
) -> Result<Json<Revision>, Problem> {
    let SubmitBody { message } = body.json()?;
    let kernel = &kind.app.kernel;
    Ok(Json(kernel.revision_submit(&caller.context, &*kind.kind, &name, number, message).await?))
}

pub async fn withdraw(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Of,
    body: Body,
) -> Result<Json<Revision>, Problem> {
    let ReasonBody { reason } = body.json()?;
    let kernel = &kind.app.kernel;
    Ok(Json(kernel.revision_withdraw(&caller.context, &*kind.kind, &name, number, reason).await?))
}

pub async fn approve(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Of,
    body: Body,
) -> Result<Json<Revision>, Problem> {
    let ApproveBody { hash, reason } = body.json()?;
    let kernel = &kind.app.kernel;
    Ok(Json(kernel.revision_approve(&caller.context, &*kind.kind, &name, number, hash, reason).await?))
}

pub async fn reject(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Of,
    body: Body,
) -> Result<Json<Revision>, Problem> {
    let ReasonBody { reason } = body.json()?;
    let kernel = &kind.app.kernel;
    Ok(Json(kernel.revision_reject(&caller.context, &*kind.kind, &name, number, reason).await?))
}

pub async fn comments(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Of,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Comment>>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    let page = query.page()?;
    Ok(Json(kind.app.kernel.comment_list(caller.scope(), info.kind, &name, number, page).await?))
}

pub async fn comment(
    State(kind): State<KindApp>,
    caller: Caller,
    Path((name, number)): Of,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let CommentBody { body, pointer } = body.json()?;
    let new = NewComment { body, pointer };
    let made = kind.app.kernel.comment_add(&caller.context, &*kind.kind, &name, number, new).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
