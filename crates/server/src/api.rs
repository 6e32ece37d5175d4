//! The routes. Those of a kind are made for every registered kind; a route that a kind does not have is absent for it.

mod apply;
pub mod audit;
mod auth;
mod code;
mod consumers;
mod dead_letters;
pub mod describe;
mod engines;
mod events;
mod explain;
mod jobs;
pub mod kind;
mod kinds;
pub mod plans;
mod runs;
mod stream;
mod system;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post, put},
};
use qd_core::error::Error;
use qd_kernel::roles::Role;

use crate::{
    http::{body::MAX_BODY, dry_run, problem::Problem},
    state::{App, KindApp},
};

/// Archives are larger than documents.
const MAX_CODE_BODY: usize = qd_kernel::code::MAX_BYTES + 1024;

/// Every route of `/api/v1` and of the system.
pub fn routes(app: &App) -> Router<App> {
    let mut api = Router::new()
        .route("/me", get(auth::me))
        .route("/auth/exchange", post(auth::exchange))
        .route("/auth/sign-out", post(auth::sign_out))
        .route("/auth/links", post(auth::link))
        .route("/auth/tokens", post(auth::token))
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
