//! Who calls and in which scope: the extractor without which no handler reads or writes tenant data.
//!
//! A bearer token, or the browser's session cookie. A cookie is sent by the browser on its own, so a request that changes
//! something with a cookie must also prove that it comes from our own pages.

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{HeaderMap, Method, header, request::Parts},
};
use qd_core::error::Error;
use qd_kernel::{
    access,
    context::{Context, RequestIds, Scope},
    tenants::NamedScope,
};

use super::{problem::Problem, tenant_path::TenantInPath};
use crate::{listen::Peer, state::App};

pub const SESSION_COOKIE: &str = "qd_session";
const TENANT: &str = "x-tenant-id";
const PROJECT: &str = "x-project-id";

/// An authenticated caller within a scope.
pub struct Caller {
    pub context: Context,
    pub named: NamedScope,
    /// What it authenticated with.
    pub secret: String,
}

impl Caller {
    /// Checks a read; mutations are checked by the kernel.
    pub fn may(&self, action: &str) -> Result<(), Problem> {
        Ok(access::check(&self.context, action)?)
    }

    pub fn scope(&self) -> Scope {
        self.context.scope
    }
}

impl<S> FromRequestParts<S> for Caller
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let secret = credential(&parts.headers, &parts.method)?;
        let principal = app.kernel.authenticate(&secret).await?;
        let tenant = one_tenant(parts)?;
        let project = text(&parts.headers, PROJECT)?;
        let named = app.kernel.scope_find(tenant.as_deref(), project.as_deref()).await?;
        let ids = parts
            .extensions
            .get::<RequestIds>()
            .cloned()
            .ok_or_else(|| Error::internal("no_request_ids", "the request has no ids"))?;
        let source = parts
            .extensions
            .get::<ConnectInfo<Peer>>()
            .map_or_else(String::new, |info| info.0.0.ip().to_string());
        Ok(Self {
            context: Context { principal, scope: named.scope, ids, source, on_behalf_of: None },
            named,
            secret,
        })
    }
}

/// The token or session that a request carries.
fn credential(headers: &HeaderMap, method: &Method) -> Result<String, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value
            .to_str()
            .ok()
            .and_then(|v| v.strip_prefix("Bearer "))
            .map(str::trim)
            .filter(|t| !t.is_empty() && t.len() <= 512);
        return token.map(str::to_owned).ok_or_else(|| {
            Problem(Error::unauthenticated(
                "bad_authorization",
                "the Authorization header must be: Bearer <token>",
            ))
        });
    }
    let Some(session) = cookie(headers, SESSION_COOKIE) else {
        return Err(Problem(Error::unauthenticated(
            "no_credential",
            "sign in, or send a token as: Authorization: Bearer <token>",
        )));
    };
    if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !same_origin(headers) {
        return Err(Problem(Error::forbidden(
            "cross_site",
            "a request with a session cookie must come from Quarterdeck's own pages",
        )));
    }
    Ok(session)
}

pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name && !value.is_empty() && value.len() <= 512).then(|| value.to_owned())
        })
}

/// What the browser itself says of where the request comes from.
pub fn same_origin(headers: &HeaderMap) -> bool {
    let word = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = word("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let (Some(origin), Some(host)) = (word("origin"), word("host")) else { return false };
    origin.split_once("://").is_some_and(|(_, authority)| authority == host)
}

/// The header and the path may both name the tenant, if they agree.
fn one_tenant(parts: &Parts) -> Result<Option<String>, Problem> {
    let header = text(&parts.headers, TENANT)?;
    let path = parts.extensions.get::<TenantInPath>().map(|tenant| tenant.0.clone());
    match (header, path) {
        (Some(header), Some(path)) if header != path => Err(Problem(Error::malformed(
            "scopes_disagree",
            format!("the path names the tenant {path:?} and the header {header:?}; name one"),
        ))),
        (header, path) => Ok(header.or(path)),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(value)
            if !value.is_empty()
                && value.len() <= 64
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            Ok(Some(value.to_owned()))
        }
        _ => Err(Problem(Error::malformed("bad_scope", format!("{name} must be a name or an id")))),
    }
}
