//! Signing in by a one-time code, signing out, and who one is.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use qd_core::{error::Error, id::PrincipalId, time::Timestamp};
use qd_kernel::{
    access,
    context::{Principal, PrincipalKind},
    tenants::{Project, Tenant},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{
        body::Body,
        caller::{Caller, SESSION_COOKIE, same_origin},
        problem::Problem,
    },
    state::App,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeBody {
    /// The part after `#code=` of a sign-in link.
    pub code: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SignedIn {
    pub principal: MyPrincipal,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    pub code: String,
    pub url: String,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Who the token is for; made where there is nobody of that name.
    pub name: String,
    /// `PLATFORM_ADMIN` where absent and the principal is new.
    pub role: Option<String>,
}

/// Shown once: only its hash is kept.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Token {
    pub token: String,
    pub principal: MyPrincipal,
}

/// Who one is, as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MyPrincipal {
    pub id: PrincipalId,
    pub name: String,
    pub kind: PrincipalKind,
    pub roles: Vec<String>,
}

impl From<Principal> for MyPrincipal {
    fn from(principal: Principal) -> Self {
        Self { id: principal.id, name: principal.name, kind: principal.kind, roles: vec![principal.role] }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Me {
    pub principal: MyPrincipal,
    pub tenant: Tenant,
    pub project: Project,
    /// Actions that may be done; `*` stands for all.
    pub permissions: Vec<String>,
}

pub async fn exchange(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    if headers.contains_key(header::ORIGIN) && !same_origin(&headers) {
        return Err(Problem(Error::forbidden(
            "cross_site",
            "signing in must come from Quarterdeck's own pages",
        )));
    }
    let ExchangeBody { code } = body.json()?;
    let (principal, session) = app.kernel.link_exchange(&code).await?;
    let secure = if app.public_url.starts_with("https://") { "; Secure" } else { "" };
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200{secure}",
        session.secret
    );
    Ok(with_cookie(&cookie, Json(SignedIn { principal: principal.into() }).into_response()))
}

pub async fn sign_out(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    app.kernel.credential_revoke(&caller.secret).await?;
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(with_cookie(&cookie, StatusCode::NO_CONTENT.into_response()))
}

pub async fn link(State(app): State<App>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    let link = app.kernel.link_create(&caller.context).await?;
    let url = format!("{}/sign-in#code={}", app.public_url, link.secret);
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(Link { code: link.secret, url, expires_at: link.expires_at }),
    ))
}

/// A token for another named principal; for the owner alone.
pub async fn token(State(app): State<App>, caller: Caller, body: Body) -> Result<impl IntoResponse, Problem> {
    let TokenBody { name, role } = body.json()?;
    let (principal, token) = app.kernel.token_create(&caller.context, &name, role.as_deref()).await?;
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(Token { token, principal: principal.into() }),
    ))
}

pub async fn me(caller: Caller) -> Json<Me> {
    let permissions = access::permissions(&caller.context.principal.role);
    Json(Me {
        principal: caller.context.principal.into(),
        tenant: caller.named.tenant,
        project: caller.named.project,
        permissions,
    })
}

fn with_cookie(cookie: &str, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
