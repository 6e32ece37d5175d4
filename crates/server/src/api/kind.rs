//! The routes that every kind has, and those of runnable kinds.

pub mod history;
pub mod publish;
pub mod resource;
pub mod revisions;
pub mod runs;
pub mod working_copy;

use axum::{
    Router,
    routing::{get, post},
};
use qd_kernel::kind::KindInfo;

use crate::state::KindApp;

pub fn routes(info: &KindInfo) -> Router<KindApp> {
    let mut routes = Router::new()
        .route("/", get(resource::list).post(resource::create))
        .route("/{name}", get(resource::get).patch(resource::patch).delete(resource::archive))
        .route("/{name}/restore", post(resource::restore))
        .route("/{name}/working-copy", get(working_copy::get).put(working_copy::put))
        .route("/{name}/validate", post(working_copy::validate))
        .route("/{name}/revisions", get(revisions::list).post(revisions::create))
        .route("/{name}/revisions/{number}", get(revisions::get))
        .route("/{name}/revisions/{number}/diff", get(revisions::diff))
        .route("/{name}/publish", post(publish::publish))
        .route("/{name}/rollback", post(publish::rollback))
        .route("/{name}/plan", post(publish::plan))
        .route("/{name}/events", get(history::events))
        .route("/{name}/audit", get(history::audit));
    if info.runnable() {
        routes = routes.route("/{name}/runs", get(runs::list).post(runs::start));
    }
    routes
}
