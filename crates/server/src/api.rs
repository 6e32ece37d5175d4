//! The routes. Those of a kind are made for every registered kind; a route that a kind does not have is absent for it.

mod access;
mod apply;
pub mod audit;
mod auth;
mod code;
mod connections;
mod consumers;
mod dead_letters;
pub mod describe;
mod engines;
mod events;
mod explain;
mod inbox;
mod jobs;
pub mod kind;
mod kinds;
mod members;
mod notifications;
pub mod plans;
mod runs;
mod secrets;
mod stream;
mod system;
mod teams;
mod tenants;
mod users;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    response::{IntoResponse as _, Response},
    routing::{delete, get, patch, post, put},
};
use qd_core::error::Error;
use qd_kernel::roles::Role;

use crate::{
    http::{body::MAX_BODY, denials, dry_run, problem::Problem},
    state::{App, KindApp},
};

/// Archives are larger than documents.
const MAX_CODE_BODY: usize = qd_kernel::code::MAX_BYTES + 1024;

/// Every route of `/api/v1` and of the system.
pub fn routes(app: &App) -> Router<App> {
    let mut api = Router::new()
        .route("/me", get(auth::me))
        .route("/auth/exchange", post(auth::sign_in::exchange))
        .route("/auth/sign-in", post(auth::sign_in::sign_in))
        .route("/auth/accept", post(auth::sign_in::accept))
        .route("/auth/token", post(auth::tokens::token))
        .route("/auth/keys/rotate", post(auth::keys::rotate))
        .route("/auth/providers", get(auth::oidc::providers))
        .route("/auth/oidc/{provider}/start", get(auth::oidc::start))
        .route("/auth/oidc/{provider}/callback", get(auth::oidc::callback))
        .route("/auth/sign-out", post(auth::sign_out))
        .route("/auth/links", post(auth::own::link))
        .route("/auth/tokens", post(auth::own::token))
        .route("/auth/password", put(auth::own::password))
        .route("/auth/credentials", get(auth::own::credentials))
        .route("/auth/credentials/{id}", delete(auth::own::end))
        .route("/auth/roles", get(auth::own::roles))
        .route("/auth/can-i", get(access::can_i))
        .route("/auth/who-can", get(access::who_can))
        .route("/auth/what-if", post(access::what_if))
        .route("/roles", get(access::roles))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{name}", get(users::get).patch(users::patch))
        .route("/users/{name}/invite", post(users::invite))
        .route("/users/{name}/tokens", get(users::tokens).post(users::token))
        .route("/users/{name}/tokens/{id}", delete(users::revoke))
        .route("/members", get(members::list))
        .route("/members/{name}/{role}", put(members::grant).delete(members::revoke))
        .route("/administrators", get(members::platform_list))
        .route("/administrators/{name}/{role}", put(members::platform_grant).delete(members::platform_revoke))
        .route("/teams", get(teams::list).post(teams::create))
        .route("/teams/{name}", get(teams::get).patch(teams::patch).delete(teams::delete))
        .route("/teams/{name}/members/{person}", put(teams::add).delete(teams::remove))
        .route("/tenants", get(tenants::list).post(tenants::create))
        .route("/tenants/{name}", patch(tenants::patch))
        .route("/tenants/{name}/delete", post(tenants::delete::tenant))
        .route("/tenants/{name}/export", post(tenants::export::tenant))
        .route("/tenants/{name}/exports", get(tenants::export::list))
        .route("/tenants/{name}/exports/{id}", get(tenants::export::get))
        .route("/tenants/{name}/exports/{id}/archive", get(tenants::export::archive))
        .route("/tenants/{name}/quotas", get(tenants::quotas::of_tenant).put(tenants::quotas::of_tenant_set))
        .route("/projects", get(tenants::projects::list).post(tenants::projects::create))
        .route("/projects/{name}", patch(tenants::projects::patch))
        .route("/projects/{name}/delete", post(tenants::delete::project))
        .route("/projects/{name}/export", post(tenants::export::project))
        .route(
            "/projects/{name}/quotas",
            get(tenants::quotas::of_project).put(tenants::quotas::of_project_set),
        )
        .route("/inbox", get(inbox::list))
        .route("/inbox/counts", get(inbox::counts))
        .route("/notifications", get(notifications::list))
        .route("/notifications/read", post(notifications::read))
        .route("/kinds", get(kinds::list))
        .route("/engines", get(engines::list))
        .route("/apply", post(apply::apply))
        .route("/code/{digest}", put(code::put).get(code::get).layer(DefaultBodyLimit::max(MAX_CODE_BODY)))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::get))
        .route("/runs/{id}/stop", post(runs::stop))
        .route("/runs/{id}/retry", post(runs::retry))
        .route("/runs/{id}/logs", get(runs::logs::logs))
        .route("/runs/{id}/events", get(runs::events))
        .route("/runs/{id}/metrics", get(runs::metrics))
        .route("/runs/{id}/results", get(runs::results::list))
        .route("/runs/{id}/results/{*path}", get(runs::results::download))
        .route("/runs/{id}/requests", post(runs::request))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(jobs::get))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/plans", get(plans::list).post(plans::create))
        .route("/plans/{id}", get(plans::get))
        .route("/plans/{id}/approve", post(plans::approve))
        .route("/plans/{id}/reject", post(plans::reject))
        .route("/plans/{id}/apply", post(plans::apply))
        .route("/secrets", get(secrets::list))
        .route("/secrets/{*path}", get(secrets::get).put(secrets::put).delete(secrets::delete))
        .route("/secret-keys", get(secrets::keys))
        .route("/secret-keys/rotate", post(secrets::rotate))
        .route("/connections/{name}/test", post(connections::test))
        .route("/explain/{*object}", get(explain::explain))
        .route("/events", get(events::list))
        .route("/consumers", get(consumers::list))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/{id}/redeliver", post(dead_letters::redeliver))
        .route("/stream", get(stream::stream))
        .route("/audit", get(audit::list))
        .route("/audit/chain", get(audit::chain))
        .route("/audit/verify", get(audit::verify))
        .route("/audit/export", get(audit::export));
    if !app.kernel.registry.askables().is_empty() {
        api = api.route("/jobs", post(jobs::ask));
    }
    for kind in app.kernel.registry.kinds() {
        let state = KindApp { app: app.clone(), kind: kind.clone() };
        api = api.nest(&format!("/{}", kind.info().plural), kind::routes(kind.info()).with_state(state));
    }
    let api = if app.kernel.options.roles.has(Role::Api) {
        api.layer(middleware::from_fn(dry_run::layer))
            .layer(middleware::from_fn_with_state(app.clone(), denials::layer))
            .fallback(no_route)
            .method_not_allowed_fallback(wrong_method)
    } else {
        Router::new().fallback(role_absent)
    };
    Router::new()
        .nest("/api/v1", api)
        .route("/health", get(system::health))
        .route("/ready", get(system::ready))
        .route("/version", get(system::version))
        .route("/metrics", get(system::metrics))
        .route("/openapi.json", get(system::openapi))
        .route("/.well-known/jwks.json", get(auth::keys::list))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

pub async fn no_route() -> Problem {
    Problem(Error::not_found(
        "route_not_found",
        "there is nothing at this address; /openapi.json lists what there is",
    ))
}

async fn role_absent() -> Problem {
    Problem(Error::unavailable("role_absent", "this process does not have the role api; ask one that has"))
}

async fn wrong_method() -> Response {
    let error = Error::malformed(
        "method_not_allowed",
        "this address does not take that method; /openapi.json lists what it takes",
    );
    let mut response = Problem(error).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
