//! Who calls and in which scope: the extractor without which no handler reads or writes tenant data.
//!
//! A bearer token, or the browser's session cookie. A cookie is sent by the browser on its own, so a request that changes
//! something with a cookie must also prove that it comes from our own pages.

use std::{marker::PhantomData, net::IpAddr};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{Extensions, HeaderMap, Method, header, request::Parts},
};
use qd_core::{
    error::{Error, ErrorKind},
    headers as read,
    id::TenantId,
};
use qd_kernel::{
    access::{self, deletions::Unseen, objects::On, sight::Sight},
    context::{Context, RequestIds, Scope},
    credentials::Identity,
    federation::edge::Said,
    jwt,
    tenants::NamedScope,
};

use super::{
    denials::Asked,
    problem::Problem,
    tenant_path::{ProjectInPath, TenantInPath},
};
use crate::{
    edge::{
        address::{ClientAddress, peer},
        limits,
    },
    state::App,
};

pub const SESSION_COOKIE: &str = "qd_session";
const TENANT: &str = "x-tenant-id";
const PROJECT: &str = "x-project-id";
/// Bytes of a cookie's value.
const LONGEST: usize = 512;

/// An authenticated caller within a project.
pub struct Caller {
    pub context: Context,
    pub named: NamedScope,
    pub identity: Identity,
    pub proof: Proof,
}

/// What somebody was recognised by, so that a stream can ask later whether he still would be.
#[derive(Clone)]
pub enum Proof {
    /// A session, a token or an access token: the credential of the identity.
    Credential,
    /// A token of the trusted gateway.
    Gateway(String),
    /// The word of an edge.
    Edge { peer: Option<IpAddr>, user: Option<String>, groups: Option<String> },
}

/// An authenticated caller at a place that is no project.
pub struct CallerAt<P> {
    pub context: Context,
    pub identity: Identity,
    place: PhantomData<P>,
}

/// Within a tenant as a whole: its people, its projects.
pub type TenantCaller = CallerAt<OfTenant>;
/// Of the platform itself, or of what is its own; whatever tenant it names is no matter here.
pub type PlatformCaller = CallerAt<OfPlatform>;

pub struct OfTenant;
pub struct OfPlatform;

/// What of a request says where its caller acts.
trait Place: Send {
    fn find(
        app: &App,
        parts: &Parts,
        identity: &Identity,
    ) -> impl Future<Output = Result<Scope, Problem>> + Send;
}

impl Place for OfTenant {
    async fn find(app: &App, parts: &Parts, identity: &Identity) -> Result<Scope, Problem> {
        Ok(scope_of(app, parts, identity).await?.scope.of_tenant())
    }
}

impl Place for OfPlatform {
    async fn find(_: &App, _: &Parts, _: &Identity) -> Result<Scope, Problem> {
        Ok(Scope::PLATFORM)
    }
}

impl Caller {
    /// Checks a read of one object; mutations are checked by the kernel.
    pub async fn may_on(&self, app: &App, action: &str, on: On) -> Result<(), Problem> {
        Ok(app.kernel.permit(&self.context, action, on).await?)
    }

    /// What a list shows that wants the action.
    pub async fn sight(&self, app: &App, action: &str) -> Result<Sight, Problem> {
        Ok(app.kernel.sight(&self.context, action).await?)
    }

    /// What it may not know of although it stands in the project.
    pub fn unseen(&self) -> Unseen {
        Unseen::of(&self.context)
    }

    /// Checks a read of the project; mutations are checked by the kernel.
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

    /// Checks what only the limits of a token stand against.
    pub fn within_limits(&self, action: &str) -> Result<(), Problem> {
        Ok(access::check_limits(&self.context, action)?)
    }

    pub fn scope(&self) -> Scope {
        self.context.scope
    }
}

impl<P> CallerAt<P> {
    /// Checks a read; mutations are checked by the kernel.
    pub fn may(&self, action: &str) -> Result<(), Problem> {
        Ok(access::check(&self.context, action)?)
    }

    /// Checks what only the limits of a token stand against.
    pub fn within_limits(&self, action: &str) -> Result<(), Problem> {
        Ok(access::check_limits(&self.context, action)?)
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
        let (identity, proof) = recognise(&app, parts).await?;
        let named = scope_of(&app, parts, &identity).await?;
        let context = context(&app, parts, &identity, named.scope).await?;
        Ok(Self { context, named, identity, proof })
    }
}

impl<S, P> FromRequestParts<S> for CallerAt<P>
where
    App: FromRef<S>,
    S: Send + Sync,
    P: Place,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let (identity, _) = recognise(&app, parts).await?;
        let scope = P::find(&app, parts, &identity).await?;
        let context = context(&app, parts, &identity, scope).await?;
        Ok(Self { context, identity, place: PhantomData })
    }
}

async fn recognise(app: &App, parts: &Parts) -> Result<(Identity, Proof), Problem> {
    let ids = request_ids(&parts.extensions)?;
    let said = edge_proof(app, parts)?;
    let by_edge = by_proof(app, &said, &address(&parts.extensions), &ids).await?;
    // A token is what somebody chose to come with, and may be allowed less.
    if let Some(identity) = by_edge.filter(|_| !parts.headers.contains_key(header::AUTHORIZATION)) {
        let asks = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let browser = ["origin", "sec-fetch-site"].iter().any(|name| parts.headers.contains_key(*name));
        // The edge's own cookie is sent by the browser on its own.
        if !asks && browser && !same_origin(&parts.headers) {
            return Err(Problem(Error::forbidden(
                "cross_site",
                "a request that an edge vouches for must come from Quarterdeck's own pages",
            )));
        }
        return Ok((limits::recognised(app, &parts.extensions, Ok(identity))?, said));
    }
    let secret = match credential(&parts.headers, &parts.method) {
        // A session that is somebody's: written down, as what was tried in his name.
        Err(problem) if problem.0.code == "cross_site" => {
            let session = cookie(&parts.headers, SESSION_COOKIE).unwrap_or_default();
            if let Ok(identity) = app.kernel.authenticate(&session).await {
                context(app, parts, &identity, Scope::PLATFORM).await?;
            }
            return Err(problem);
        }
        secret => secret?,
    };
    if app.kernel.is_gateways(&secret) {
        let found = app.kernel.gateway_identity(&secret, &address(&parts.extensions), &ids).await;
        return Ok((limits::recognised(app, &parts.extensions, found)?, Proof::Gateway(secret)));
    }
    let found = app.kernel.authenticate(&secret).await;
    Ok((limits::recognised(app, &parts.extensions, found)?, Proof::Credential))
}

/// What the headers of an edge say, where one is trusted.
fn edge_proof(app: &App, parts: &Parts) -> Result<Proof, Problem> {
    let Some((user, groups)) = app.kernel.edge_headers() else { return Ok(Proof::Credential) };
    let text = |name: &str| -> Result<Option<String>, Problem> {
        let words: Result<Vec<&str>, _> =
            parts.headers.get_all(name).iter().map(|value| value.to_str()).collect();
        let odd = |_| Error::malformed("bad_edge_headers", format!("{name} has signs that no name has"));
        let words = words.map_err(odd)?;
        Ok((!words.is_empty()).then(|| words.join(",")))
    };
    Ok(Proof::Edge { peer: peer(&parts.extensions), user: text(user)?, groups: text(groups)? })
}

/// Who an edge or the gateway says that it is; nobody by any other proof.
async fn by_proof(
    app: &App,
    proof: &Proof,
    source: &str,
    ids: &RequestIds,
) -> Result<Option<Identity>, Error> {
    match proof {
        Proof::Credential => Ok(None),
        Proof::Gateway(token) => app.kernel.gateway_identity(token, source, ids).await.map(Some),
        Proof::Edge { peer, user, groups } => {
            let said = Said { user: user.as_deref(), groups: groups.as_deref() };
            app.kernel.edge_identity(*peer, said, ids).await
        }
    }
}

impl Caller {
    /// Who it is now, if it would still be let in.
    pub async fn again(&self, app: &App) -> Result<Identity, Error> {
        let found = by_proof(app, &self.proof, &self.context.source, &self.context.ids).await?;
        match found {
            Some(identity) => Ok(identity),
            None => app.kernel.recognised_still(&self.identity).await,
        }
    }
}

/// The ids of a request, for what is recorded of it.
pub fn request_ids(extensions: &Extensions) -> Result<RequestIds, Problem> {
    let ids = extensions.get::<RequestIds>().cloned();
    Ok(ids.ok_or_else(|| Error::internal("no_request_ids", "the request has no ids"))?)
}

/// The address that a request came from, by what listed proxies say.
pub fn address(extensions: &Extensions) -> String {
    let found = extensions.get::<ClientAddress>().map(|address| address.0).or_else(|| peer(extensions));
    found.map_or_else(String::new, |address| address.to_string())
}

async fn context(app: &App, parts: &Parts, identity: &Identity, scope: Scope) -> Result<Context, Problem> {
    let ids = request_ids(&parts.extensions)?;
    let context = app.kernel.context(identity, scope, ids, address(&parts.extensions)).await?;
    if let Some(asked) = parts.extensions.get::<Asked>() {
        asked.by(&context);
    }
    Ok(context)
}

/// Where the caller acts. A tenant that it holds nothing in is not there for it.
async fn scope_of(app: &App, parts: &Parts, identity: &Identity) -> Result<NamedScope, Problem> {
    let tenant = one_tenant(app, parts).await?;
    let project = one_project(parts)?;
    let tenant = match tenant {
        Some(tenant) => Some(tenant),
        None => match usual_tenant(identity) {
            Err(problem) if problem.0.kind == ErrorKind::Forbidden => {
                context(app, parts, identity, Scope::PLATFORM).await?;
                return Err(problem);
            }
            tenant => tenant?,
        },
    };
    let named = app.kernel.scope_find(tenant.as_deref(), project.as_deref()).await?;
    let entered = let_in(identity, &named);
    if entered.as_ref().is_err_and(|error| error.kind == ErrorKind::Forbidden) {
        // It is written down who was refused.
        context(app, parts, identity, named.scope).await?;
    }
    entered?;
    Ok(named)
}

/// Whether the tenant is there for the caller, and open.
///
/// # Errors
/// As for one that is not there where the caller holds nothing in the tenant; `tenant_suspended` (403), `scope_deleting` (409).
pub fn let_in(identity: &Identity, named: &NamedScope) -> Result<(), Error> {
    if !identity.sees_tenant(named.tenant.id) {
        return Err(qd_kernel::tenants::not_found());
    }
    if named.deleting {
        return Err(Error::conflict(
            "scope_deleting",
            format!("the tenant {} or the project is being deleted", named.tenant.name),
        ));
    }
    if named.suspended && identity.principal(Scope::PLATFORM).roles.is_empty() {
        let detail =
            format!("the tenant {} is suspended; ask whoever administers the platform", named.tenant.name);
        return Err(Error::forbidden("tenant_suspended", detail));
    }
    Ok(())
}

/// The tenant of a request that names none: the default one for those of the platform, one's own for who has one.
fn usual_tenant(identity: &Identity) -> Result<Option<String>, Problem> {
    let held = identity.held.iter().map(|held| held.tenant_id);
    let bound = identity.bindings.iter().map(|binding| binding.tenant_id);
    let teams = identity.teams.iter().map(|(tenant, _)| *tenant);
    let mut tenants: Vec<TenantId> = bound.chain(held).chain(teams).collect();
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
        let token = value.to_str().ok().and_then(|value| read::bearer(value, jwt::LONGEST));
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
        .find_map(|value| read::cookie(value.to_str().ok()?, name, LONGEST).map(str::to_owned))
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

/// The header, the path and the host may all name the tenant, if they mean the same one.
async fn one_tenant(app: &App, parts: &Parts) -> Result<Option<String>, Problem> {
    let host = match &app.base_domain {
        Some(base) => base.tenant(parts)?,
        None => None,
    };
    let path = parts.extensions.get::<TenantInPath>().map(|tenant| tenant.0.clone());
    let ways = [("the header", text(&parts.headers, TENANT)?), ("the path", path), ("the host", host)];
    let mut named = ways.into_iter().filter_map(|(way, tenant)| Some((way, tenant?)));
    let Some((first_way, first)) = named.next() else { return Ok(None) };
    for (way, other) in named {
        if other != first && !app.kernel.same_tenant(&first, &other).await? {
            let detail = format!("{first_way} names the tenant {first:?} and {way} {other:?}; name one");
            return Err(Problem(Error::malformed("scopes_disagree", detail)));
        }
    }
    Ok(Some(first))
}

/// The header and the path may both name the project, if they agree.
fn one_project(parts: &Parts) -> Result<Option<String>, Problem> {
    let path = parts.extensions.get::<ProjectInPath>().map(|project| project.0.clone());
    match (text(&parts.headers, PROJECT)?, path) {
        (Some(header), Some(path)) if header != path => Err(Problem(Error::malformed(
            "scopes_disagree",
            format!("the path names the project {path:?} and the header {header:?}; name one"),
        ))),
        (header, path) => Ok(header.or(path)),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let wrong = || Problem(Error::malformed("bad_scope", format!("{name} must be a name or an id")));
    let value = value.to_str().ok().and_then(read::scope).ok_or_else(wrong)?;
    Ok(Some(value.to_owned()))
}
