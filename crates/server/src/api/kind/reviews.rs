//! Reviewing a revision: submit, withdraw, approve, reject, comment, and what a reviewer sees.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::IntoResponse,
};
use qd_kernel::{
    Kernel,
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

/// The revision that a request is about, and who asks.
pub struct Asked {
    of: KindApp,
    caller: Caller,
    name: String,
    number: i64,
}

impl FromRequestParts<KindApp> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, of: &KindApp) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, of).await?;
        let Path((name, number)) = Path::from_request_parts(parts, of).await?;
        Ok(Self { of: of.clone(), caller, name, number })
    }
}

impl Asked {
    fn kernel(&self) -> &Kernel {
        &self.of.app.kernel
    }

    /// Checks a read; mutations are checked by the kernel.
    async fn may_read(&self) -> Result<(), Problem> {
        let info = self.of.kind.info();
        let action = format!("{}.read", info.plural);
        self.caller.may_on(&self.of.app, &action, On::resource(info.kind, &self.name)).await
    }
}

pub async fn get(asked: Asked) -> Result<Json<ReviewDetail>, Problem> {
    asked.may_read().await?;
    let Asked { of, caller, name, number } = &asked;
    Ok(Json(asked.kernel().review_get(&caller.context, &*of.kind, name, *number).await?))
}

pub async fn submit(asked: Asked, body: Body) -> Result<Json<Revision>, Problem> {
    let SubmitBody { message } = body.json()?;
    let Asked { of, caller, name, number } = &asked;
    Ok(Json(asked.kernel().revision_submit(&caller.context, &*of.kind, name, *number, message).await?))
}

pub async fn withdraw(asked: Asked, body: Body) -> Result<Json<Revision>, Problem> {
    let ReasonBody { reason } = body.json()?;
    let Asked { of, caller, name, number } = &asked;
    Ok(Json(asked.kernel().revision_withdraw(&caller.context, &*of.kind, name, *number, reason).await?))
}

pub async fn approve(asked: Asked, body: Body) -> Result<Json<Revision>, Problem> {
    let ApproveBody { hash, reason } = body.json()?;
    let Asked { of, caller, name, number } = &asked;
    let approved =
        asked.kernel().revision_approve(&caller.context, &*of.kind, name, *number, hash, reason).await?;
    Ok(Json(approved))
}

pub async fn reject(asked: Asked, body: Body) -> Result<Json<Revision>, Problem> {
    let ReasonBody { reason } = body.json()?;
    let Asked { of, caller, name, number } = &asked;
    Ok(Json(asked.kernel().revision_reject(&caller.context, &*of.kind, name, *number, reason).await?))
}

pub async fn comments(
    asked: Asked,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Comment>>, Problem> {
    asked.may_read().await?;
    let Asked { of, caller, name, number } = &asked;
    let page = query.page()?;
    Ok(Json(asked.kernel().comment_list(caller.scope(), of.kind.info().kind, name, *number, page).await?))
}

pub async fn comment(asked: Asked, body: Body) -> Result<impl IntoResponse, Problem> {
    let CommentBody { body, pointer } = body.json()?;
    let Asked { of, caller, name, number } = &asked;
    let new = NewComment { body, pointer };
    let made = asked.kernel().comment_add(&caller.context, &*of.kind, name, *number, new).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
