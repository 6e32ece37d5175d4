//! Who calls and in which scope: the extractor without which no handler reads or writes tenant data.
//!
//! A bearer token, or the browser's session cookie. A cookie is sent by the browser on its own, so a request that changes
//! something with a cookie must also prove that it comes from our own pages.

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{Extensions, HeaderMap, Method, header, request::Parts},
};
use qd_core::{error::Error, id::TenantId};
use qd_kernel::{
    access,
    context::{Context, RequestIds, Scope},
    credentials::Identity,
    tenants::NamedScope,
};

use super::{denials::Asked, problem::Problem, tenant_path::TenantInPath};
use crate::{listen::Peer, state::App};

pub const SESSION_COOKIE: &str = "qd_session";
const TENANT: &str = "x-tenant-id";
const PROJECT: &str = "x-project-id";

/// An authenticated caller within a project.
pub struct Caller {
    pub context: Context,
    pub named: NamedScope,
    pub identity: Identity,
    /// What it authenticated with.
    pub secret: String,
}

/// An authenticated caller within a tenant as a whole: its people, its projects.
pub struct TenantCaller {
    pub context: Context,
}

/// An authenticated caller of the platform itself, or of what is its own; whatever tenant it names is no matter here.
pub struct PlatformCaller {
    pub context: Context,
    pub identity: Identity,
    /// What it authenticated with.
    pub secret: String,
}

impl Caller {
    /// Checks a read; mutations are checked by the kernel.
    pub fn may(&self, action: &str) -> Result<(), Problem> {
        Ok(access::check(&self.context, action)?)
    }

    /// The same in the tenant as a whole.
    pub fn may_in_tenant(&self, action: &str) -> Result<(), Problem> {
        self.may_at(self.scope().of_tenant(), action)
    }

    /// The same on the platform.
    pub fn may_on_platform(&self, action: &str) -> Result<(), Problem> {
        self.may_at(Scope::PLATFORM, action)
    }

    fn may_at(&self, scope: Scope, action: &str) -> Result<(), Problem> {
        let principal = self.identity.principal(scope);
        Ok(access::check(&Context { scope, principal, ..self.context.clone() }, action)?)
    }

    pub fn scope(&self) -> Scope {
        self.context.scope
    }
}

impl TenantCaller {
    /// Checks a read; mutations are checked by the kernel.
    pub fn may(&self, action: &str) -> Result<(), Problem> {
        Ok(access::check(&self.context, action)?)
    }
}

impl PlatformCaller {
    /// Checks a read; mutations are checked by the kernel.
    pub fn may(&self, action: &str) -> Result<(), Problem> {
        Ok(access::check(&self.context, action)?)
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
        let (identity, secret) = recognise(&app, parts).await?;
        let named = scope_of(&app, parts, &identity).await?;
        let context = context(&app, parts, &identity, named.scope)?;
        Ok(Self { context, named, identity, secret })
    }
}

impl<S> FromRequestParts<S> for TenantCaller
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let (identity, _) = recognise(&app, parts).await?;
        let named = scope_of(&app, parts, &identity).await?;
        let context = context(&app, parts, &identity, named.scope.of_tenant())?;
        Ok(Self { context })
    }
}

impl<S> FromRequestParts<S> for PlatformCaller
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let (identity, secret) = recognise(&app, parts).await?;
        let context = context(&app, parts, &identity, Scope::PLATFORM)?;
        Ok(Self { context, identity, secret })
    }
}

async fn recognise(app: &App, parts: &Parts) -> Result<(Identity, String), Problem> {
    let secret = credential(&parts.headers, &parts.method)?;
    Ok((app.kernel.authenticate(&secret).await?, secret))
}

/// The ids of a request, for what is recorded of it.
pub fn request_ids(extensions: &Extensions) -> Result<RequestIds, Problem> {
    let ids = extensions.get::<RequestIds>().cloned();
    Ok(ids.ok_or_else(|| Error::internal("no_request_ids", "the request has no ids"))?)
}

/// The address that a request came from.
pub fn address(extensions: &Extensions) -> String {
    extensions.get::<ConnectInfo<Peer>>().map_or_else(String::new, |info| info.0.0.ip().to_string())
}

fn context(app: &App, parts: &Parts, identity: &Identity, scope: Scope) -> Result<Context, Problem> {
    let ids = request_ids(&parts.extensions)?;
    let context = app.kernel.context(identity, scope, ids, address(&parts.extensions));
    if let Some(asked) = parts.extensions.get::<Asked>() {
        asked.by(&context);
    }
    Ok(context)
}

/// Where the caller acts. A tenant that it holds nothing in is not there for it.
async fn scope_of(app: &App, parts: &Parts, identity: &Identity) -> Result<NamedScope, Problem> {
    let tenant = one_tenant(parts)?;
    let project = text(&parts.headers, PROJECT)?;
    let tenant = match tenant {
        Some(tenant) => Some(tenant),
        None => usual_tenant(identity)?,
    };
    let named = app.kernel.scope_find(tenant.as_deref(), project.as_deref()).await?;
    if !identity.sees_tenant(named.tenant.id) {
        return Err(Problem(qd_kernel::tenants::not_found()));
    }
    if named.suspended && identity.principal(Scope::PLATFORM).roles.is_empty() {
        let detail =
            format!("the tenant {} is suspended; ask whoever administers the platform", named.tenant.name);
        return Err(Problem(Error::forbidden("tenant_suspended", detail)));
    }
    Ok(named)
}

/// The tenant of a request that names none: the default one for those of the platform, one's own for who has one.
fn usual_tenant(identity: &Identity) -> Result<Option<String>, Problem> {
    let mut tenants: Vec<TenantId> = identity.bindings.iter().map(|binding| binding.tenant_id).collect();
    tenants.sort();
    tenants.dedup();
    match tenants.as_slice() {
        [] => Err(Problem(Error::forbidden(
            "no_role",
            format!("{} holds no role anywhere; ask an administrator for one", identity.name),
        ))),
        many if many.iter().any(|tenant| tenant.uuid().is_nil()) => Ok(None),
        [one] => Ok(Some(one.to_string())),
        _ => Err(Problem(Error::malformed(
            "scope_needed",
            "you have roles in several tenants: name one by X-Tenant-Id, or by /t/<tenant> before the path",
        ))),
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
