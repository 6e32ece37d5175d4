//! Signing in and out, one's own password, tokens and sessions, and who one is.

pub mod keys;
pub mod oidc;
pub mod own;
pub mod sign_in;
pub mod tokens;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use qd_core::{error::Error, id::PrincipalId};
use qd_kernel::{
    context::{Principal, PrincipalKind, Scope},
    credentials::{Identity, SESSION_LIFE, Secret},
    tenants::{Project, Tenant},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    http::{
        caller::{Caller, PlatformCaller, SESSION_COOKIE, same_origin},
        problem::Problem,
    },
    state::App,
};

/// Who one is, as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MyPrincipal {
    pub id: PrincipalId,
    pub name: String,
    pub kind: PrincipalKind,
    /// Those held where one acts.
    pub roles: Vec<String>,
}

impl From<Principal> for MyPrincipal {
    fn from(principal: Principal) -> Self {
        Self { id: principal.id, name: principal.name, kind: principal.kind, roles: principal.roles }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SignedIn {
    pub principal: MyPrincipal,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Me {
    pub principal: MyPrincipal,
    pub tenant: Tenant,
    pub project: Project,
    /// Actions that one may do in the project.
    pub permissions: Vec<String>,
    /// Actions that one may do to single resources of it, and not to all.
    pub some_permissions: Vec<String>,
    /// Actions that one may do in the tenant as a whole: with its people and projects.
    pub tenant_permissions: Vec<String>,
    /// Actions that one may do on the platform: with tenants and accounts.
    pub platform_permissions: Vec<String>,
}

pub async fn me(State(app): State<App>, caller: Caller) -> Result<Json<Me>, Problem> {
    caller.within_limits("own.read")?;
    let allowed = |scope: Scope| caller.context.authority.allowed(&caller.identity.principal(scope), scope);
    let scope = caller.scope();
    Ok(Json(Me {
        permissions: allowed(scope),
        some_permissions: app.kernel.access_partly(&caller.context),
        tenant_permissions: allowed(scope.of_tenant()),
        platform_permissions: allowed(Scope::PLATFORM),
        principal: caller.context.principal.into(),
        tenant: caller.named.tenant,
        project: caller.named.project,
    }))
}

pub async fn sign_out(State(app): State<App>, caller: PlatformCaller) -> Result<Response, Problem> {
    app.kernel.credential_revoke(&caller.context, &caller.identity).await?;
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(with_cookie(&cookie, StatusCode::NO_CONTENT.into_response()))
}

/// What opens a session without a cookie to show: a page of another site must not do it in somebody's browser.
fn from_our_pages(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::ORIGIN) && !same_origin(headers) {
        return Err(Problem(Error::forbidden(
            "cross_site",
            "signing in must come from Quarterdeck's own pages",
        )));
    }
    Ok(())
}

/// The reply that keeps a new session in the browser.
fn signed_in(app: &App, identity: &Identity, session: &Secret) -> Response {
    let cookie = session_cookie(app, session);
    let principal = identity.principal(Scope::PLATFORM).into();
    with_cookie(&cookie, Json(SignedIn { principal }).into_response())
}

fn session_cookie(app: &App, session: &Secret) -> String {
    let secure = if app.secure() { "; Secure" } else { "" };
    format!(
        "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        session.secret,
        SESSION_LIFE.as_secs()
    )
}

fn with_cookie(cookie: &str, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
