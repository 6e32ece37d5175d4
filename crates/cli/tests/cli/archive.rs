//! `qd archive` and `qd restore`: what was read is what is archived.

use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::stand_in::{StandIn, problem, stderr, stdout};

fn curate(state: &str) -> Json<Value> {
    Json(json!({ "kind": "Pipeline", "name": "curate", "state": state }))
}

fn server() -> StandIn {
    let read = || async { ([("etag", "\"7\"")], curate("active")) };
    let archive = |headers: HeaderMap| async move {
        match headers.get("if-match").and_then(|etag| etag.to_str().ok()) {
            Some("\"7\"") => curate("archived").into_response(),
            _ => problem(412, "stale", "it is another revision by now", json!([])),
        }
    };
    let routes = Router::new()
        .route("/api/v1/pipelines/curate", get(read).delete(archive))
        .route("/api/v1/pipelines/curate/restore", post(|| async { curate("active") }));
    StandIn::start(routes)
}

#[test]
fn a_resource_is_archived_as_it_was_read_and_restored() {
    let server = server();
    let out = server.run(&["archive", "pipelines/curate"]);
    assert!(out.status.success(), "{}", stderr(&out));
    assert_eq!(stdout(&out), "pipelines/curate archived\n");
    let out = server.run(&["restore", "pipeline", "curate"]);
    assert!(out.status.success(), "{}", stderr(&out));
    assert_eq!(stdout(&out), "pipelines/curate restored\n");

    let out = server.run(&["archive", "pipelines/curate", "-o", "json"]);
    let told: Value = serde_json::from_str(&stdout(&out)).unwrap();
    assert_eq!(told["state"], "archived");
    assert_eq!(server.seen("DELETE", "/api/v1/pipelines/curate").len(), 2);
    assert_eq!(server.seen("POST", "/api/v1/pipelines/curate/restore").len(), 1);
}

#[test]
fn what_is_not_there_is_not_archived() {
    let server = server();
    let out = server.run(&["archive", "pipelines/other"]);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    assert!(server.seen("DELETE", "/").is_empty());
}
