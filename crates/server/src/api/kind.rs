//! The routes that every kind has, and those of runnable kinds.

pub mod history;
pub mod publish;
pub mod resource;
pub mod reviews;
pub mod revisions;
pub mod runs;
pub mod sharing;
pub mod working_copy;

use axum::{
    Router,
    routing::{get, post, put},
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
        .route("/{name}/revisions/{number}/review", get(reviews::get))
        .route("/{name}/revisions/{number}/submit", post(reviews::submit))
        .route("/{name}/revisions/{number}/withdraw", post(reviews::withdraw))
        .route("/{name}/revisions/{number}/approve", post(reviews::approve))
        .route("/{name}/revisions/{number}/reject", post(reviews::reject))
        .route("/{name}/revisions/{number}/comments", get(reviews::comments).post(reviews::comment))
        .route("/{name}/publish", post(publish::publish))
        .route("/{name}/rollback", post(publish::rollback))
        .route("/{name}/plan", post(publish::plan))
        .route("/{name}/sharing", get(sharing::list))
        .route("/{name}/sharing/{holder}", put(sharing::put).delete(sharing::delete))
        .route("/{name}/events", get(history::events))
        .route("/{name}/audit", get(history::audit));
    if info.runnable() {
        routes = routes.route("/{name}/runs", get(runs::list).post(runs::start));
    }
    routes
}
