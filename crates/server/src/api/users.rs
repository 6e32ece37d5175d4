//! People and services of the platform.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use qd_core::time::Timestamp;
use qd_kernel::{
    credentials::{
        Credential, Secret, TokenRequest,
        accounts::{AccountState, NewUser, User, UserPatch},
    },
    page::Page,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    http::{
        body::Body,
        caller::PlatformCaller,
        condition::{IfMatch, Tagged},
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::App,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserBody {
    pub name: String,
    #[serde(default)]
    pub display_name: String,
    /// A program, which has tokens and no password.
    #[serde(default)]
    pub service: bool,
    /// A bcrypt or argon2id hash taken over from elsewhere; without one the person is invited.
    pub password_hash: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatchBody {
    pub display_name: Option<String>,
    pub state: Option<AccountState>,
}

/// Shown once: whoever has it chooses the account's password.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Invitation {
    pub code: String,
    pub url: String,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct UserCreated {
    pub user: User,
    /// Of a person who brought no password.
    pub invitation: Option<Invitation>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceTokenBody {
    /// What it is for.
    #[serde(default)]
    pub label: String,
    /// Seconds that it works, a year at most; until it is revoked where absent.
    pub expires_in_s: Option<u64>,
    /// Patterns of actions that it is limited to.
    pub allows: Option<Vec<String>>,
}

/// Shown once: only its hash is kept.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServiceToken {
    pub token: String,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenList {
    pub items: Vec<Credential>,
}

pub async fn list(
    State(app): State<App>,
    caller: PlatformCaller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<User>>, Problem> {
    caller.may("users.list")?;
    Ok(Json(app.kernel.user_list(query.page()?).await?))
}

pub async fn get(
    State(app): State<App>,
    caller: PlatformCaller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.may("users.read")?;
    let user = app.kernel.user_get(&name).await?;
    Ok(Tagged(user.version, Json(user)))
}

pub async fn create(
    State(app): State<App>,
    caller: PlatformCaller,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let body: NewUserBody = body.json()?;
    let new = NewUser {
        name: body.name,
        display_name: body.display_name,
        service: body.service,
        password_hash: body.password_hash,
    };
    let (user, invitation) = app.kernel.user_create(&caller.context, new).await?;
    let headers = [
        (header::LOCATION, format!("/api/v1/users/{}", user.name)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let invitation = invitation.map(|secret| shown(&app, secret));
    Ok((StatusCode::CREATED, headers, Tagged(user.version, Json(UserCreated { user, invitation }))))
}

pub async fn patch(
    State(app): State<App>,
    caller: PlatformCaller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let UserPatchBody { display_name, state } = body.json()?;
    let patch = UserPatch { display_name, state };
    let user = app.kernel.user_update(&caller.context, &name, version, patch).await?;
    Ok(Tagged(user.version, Json(user)))
}

pub async fn invite(
    State(app): State<App>,
    caller: PlatformCaller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.kernel.user_invite(&caller.context, &name).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(shown(&app, secret))))
}

pub async fn token(
    State(app): State<App>,
    caller: PlatformCaller,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let ServiceTokenBody { label, expires_in_s, allows } = body.json()?;
    let request = TokenRequest { label, life: expires_in_s.map(Duration::from_secs), allows };
    let made = app.kernel.service_token_create(&caller.context, &name, request).await?;
    let token = ServiceToken { token: made.secret, expires_at: made.expires_at };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(token)))
}

pub async fn tokens(
    State(app): State<App>,
    caller: PlatformCaller,
    Path(name): Path<String>,
) -> Result<Json<TokenList>, Problem> {
    Ok(Json(TokenList { items: app.kernel.token_list(&caller.context, &name).await? }))
}

pub async fn revoke(
    State(app): State<App>,
    caller: PlatformCaller,
    Path((name, id)): Path<(String, Uuid)>,
) -> Result<StatusCode, Problem> {
    app.kernel.token_revoke(&caller.context, &name, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(app: &App, secret: Secret) -> Invitation {
    let url = format!("{}/sign-in#invitation={}", app.public_url, secret.secret);
    Invitation { code: secret.secret, url, expires_at: secret.expires_at }
}
