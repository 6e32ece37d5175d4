//! `qd tenants export`: started, followed, fetched whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::stand_in::{StandIn, stderr, stdout};

const ID: &str = "0193e0a0-0000-7000-8000-000000000001";
/// Of `archive`.
const SHA256: &str = "0eb3e36bfb24dcd9bb1d1bece1531216b59539a8fde17ee80224af0653c92aa3";

fn job() -> Value {
    json!({ "job": { "id": ID, "operation": "tenants.export", "state": "queued", "steps": [] }, "run": null })
}

/// A server whose export has this end at the second look.
fn server(end: Value) -> StandIn {
    let looks = Arc::new(AtomicUsize::new(0));
    let look = move || {
        let (looks, end) = (looks.clone(), end.clone());
        async move {
            match looks.fetch_add(1, Ordering::SeqCst) {
                0 => Json(json!({ "id": ID, "state": "preparing", "waiting_for": null })),
                _ => Json(end),
            }
        }
    };
    let routes = Router::new()
        .route("/api/v1/tenants/acme/export", post(|| async { (StatusCode::ACCEPTED, Json(job())) }))
        .route("/api/v1/tenants/acme/exports/{id}", get(look))
        .route("/api/v1/tenants/acme/exports/{id}/archive", get(|| async { "archive" }));
    StandIn::start(routes)
}

fn ready(digest: &str) -> Value {
    json!({ "id": ID, "state": "ready", "digest": digest, "bytes": 7 })
}

#[test]
fn an_export_is_followed_and_fetched() {
    let server = server(ready(&format!("sha256:{SHA256}")));
    let out = server.run(&["tenants", "export", "acme", "--reason", "moving"]);
    assert!(out.status.success(), "{}", stderr(&out));
    assert_eq!(stdout(&out), format!("{SHA256}  acme.tar.gz\n"));
    assert!(stderr(&out).contains("preparing the archive"), "{}", stderr(&out));
    assert_eq!(std::fs::read_to_string(server.home().join("acme.tar.gz")).unwrap(), "archive");
    let left = std::fs::read_dir(server.home()).unwrap().flatten().map(|file| file.file_name());
    assert_eq!(left.filter(|name| name.to_string_lossy().ends_with(".part")).count(), 0);
    assert!(server.seen("POST", "/api/v1/tenants/acme/export")[0].key.is_some());
    // It is there, and fetched again without another job.
    let out = server.run(&["tenants", "export", "acme", "--fetch", ID, "--output", "again.tar.gz"]);
    assert_eq!(stdout(&out), format!("{SHA256}  again.tar.gz\n"), "{}", stderr(&out));
    assert_eq!(server.seen("POST", "/api/v1/tenants/acme/export").len(), 1);
}

#[test]
fn an_export_is_written_over_no_file_that_is_there() {
    let server = server(ready(&format!("sha256:{SHA256}")));
    let file = server.home().join("acme.tar.gz");
    std::fs::write(&file, "mine").unwrap();
    let out = server.run(&["tenants", "export", "acme"]);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    assert!(stderr(&out).contains("acme.tar.gz is there already"), "{}", stderr(&out));
    assert!(stderr(&out).contains("--force"), "{}", stderr(&out));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert!(server.seen("POST", "/").is_empty(), "no job for nothing");
    let out = server.run(&["tenants", "export", "acme", "--force"]);
    assert!(out.status.success(), "{}", stderr(&out));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "archive");
}

#[test]
fn what_is_not_what_the_server_said_is_not_kept() {
    let server = server(ready("sha256:00"));
    let out = server.run(&["tenants", "export", "acme"]);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    assert!(stderr(&out).contains("and not sha256:00"), "{}", stderr(&out));
    assert!(
        std::fs::read_dir(server.home())
            .unwrap()
            .all(|file| { !file.unwrap().file_name().to_string_lossy().starts_with("acme") })
    );
}

#[test]
fn an_export_that_failed_says_why() {
    let error = json!({ "code": "scope_deleting", "message": "the tenant is being deleted" });
    let server = server(json!({ "id": ID, "state": "failed", "error": error }));
    let out = server.run(&["tenants", "export", "acme"]);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    let said = "the export has failed: the tenant is being deleted (scope_deleting)";
    assert!(stderr(&out).contains(said), "{}", stderr(&out));
}
