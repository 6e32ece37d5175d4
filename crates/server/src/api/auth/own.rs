//! What is one's own: the password, tokens, sessions, sign-in links.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use qd_core::{error::Error, time::Timestamp};
use qd_kernel::{
    access::bindings::HeldRole,
    credentials::{Credential, TokenRequest},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::MyPrincipal;
use crate::{
    http::{body::Body, caller::PlatformCaller, path::Path, problem::Problem},
    state::App,
};

#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    pub code: String,
    pub url: String,
    pub expires_at: Option<Timestamp>,
}

/// A token for oneself; or, for the owner alone, for another named principal that is made where there is nobody of that name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Whom else the token is for.
    pub name: Option<String>,
    /// Of a new principal; `PLATFORM_ADMIN` where absent.
    pub role: Option<String>,
    /// What one's own token is for.
    #[serde(default)]
    pub label: String,
    /// Seconds that one's own token works, a year at most; until it is revoked where absent.
    pub expires_in_s: Option<u64>,
    /// Patterns of actions that one's own token is limited to: `read`, `jobs.cancel`, `jobs.*`.
    pub allows: Option<Vec<String>>,
}

/// Shown once: only its hash is kept.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Token {
    pub token: String,
    pub principal: MyPrincipal,
    pub expires_at: Option<Timestamp>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    pub present: String,
    /// 12 characters at least.
    pub chosen: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CredentialList {
    pub items: Vec<CredentialItem>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CredentialItem {
    #[serde(flatten)]
    pub credential: Credential,
    /// Whether it is what this request was made with.
    pub current: bool,
}

pub async fn link(State(app): State<App>, caller: PlatformCaller) -> Result<impl IntoResponse, Problem> {
    let link = app.kernel.link_create(&caller.context).await?;
    let url = format!("{}/sign-in#code={}", app.public_url, link.secret);
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(Link { code: link.secret, url, expires_at: link.expires_at }),
    ))
}

pub async fn token(
    State(app): State<App>,
    caller: PlatformCaller,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let body: TokenBody = body.json()?;
    let own = TokenRequest {
        label: body.label,
        life: body.expires_in_s.map(Duration::from_secs),
        allows: body.allows,
    };
    let token = match body.name {
        Some(name) if own.life.is_some() || own.allows.is_some() => {
            let detail =
                format!("a token for {name} has no expiry and no limits; leave expires_in_s and allows out");
            return Err(Problem(Error::malformed("bad_body", detail)));
        }
        Some(name) => {
            let (principal, token) =
                app.kernel.token_create(&caller.context, &name, body.role.as_deref()).await?;
            Token { token, principal: principal.into(), expires_at: None }
        }
        None => {
            let made = app.kernel.own_token_create(&caller.context, own).await?;
            Token {
                token: made.secret,
                principal: caller.context.principal.into(),
                expires_at: made.expires_at,
            }
        }
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(token)))
}

pub async fn password(
    State(app): State<App>,
    caller: PlatformCaller,
    body: Body,
) -> Result<StatusCode, Problem> {
    let PasswordBody { present, chosen } = body.json()?;
    app.kernel.password_change(&caller.context, &caller.identity, &present, &chosen).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn credentials(
    State(app): State<App>,
    caller: PlatformCaller,
) -> Result<Json<CredentialList>, Problem> {
    caller.within_limits("own.read")?;
    let mine = app.kernel.credential_list(caller.identity.id).await?;
    let items = mine
        .into_iter()
        .map(|credential| CredentialItem {
            current: credential.id == caller.identity.credential_id,
            credential,
        })
        .collect();
    Ok(Json(CredentialList { items }))
}

/// Where one may be, and as what.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HeldRoleList {
    pub items: Vec<HeldRole>,
}

pub async fn roles(State(app): State<App>, caller: PlatformCaller) -> Result<Json<HeldRoleList>, Problem> {
    caller.within_limits("own.read")?;
    Ok(Json(HeldRoleList { items: app.kernel.roles_held(caller.identity.id).await? }))
}

pub async fn end(
    State(app): State<App>,
    caller: PlatformCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: Uuid =
        id.parse().map_err(|_| Error::malformed("malformed_id", format!("{id:?} is not an id")))?;
    app.kernel.credential_end(&caller.context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
