//! `qd apply` and `qd diff`: documents as they are, code by digest, violations in the author's own lines.

use std::fs;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::stand_in::{StandIn, problem, stderr, stdout};

const FIRST: &str = "kind: Pipeline\nmetadata: {name: a}\nspec:\n  runtime:\n    code: ./code # here\n";
const SECOND: &str = "# the second file\nkind: Pipeline\nmetadata:\n  name: b\nspec:\n  stages: []\n";

#[derive(Clone, Default)]
struct Store {
    code: Arc<Mutex<Vec<String>>>,
    applied: Arc<Mutex<Vec<String>>>,
}

async fn code_head(State(store): State<Store>, Path(digest): Path<String>) -> StatusCode {
    if store.code.lock().unwrap().contains(&digest) { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn code_put(State(store): State<Store>, Path(digest): Path<String>) -> Json<Value> {
    store.code.lock().unwrap().push(digest.clone());
    Json(json!({"digest": digest, "bytes": 1, "files": 1}))
}

/// Answers an apply by its query.
type Answer = fn(&str) -> Response;

/// A server that answers every apply with `answer`.
fn server(answer: Answer) -> (StandIn, Store) {
    let store = Store::default();
    let apply = move |State(store): State<Store>, uri: Uri, body: String| async move {
        store.applied.lock().unwrap().push(body);
        answer(uri.query().unwrap_or_default())
    };
    let routes = Router::new()
        .route("/api/v1/code/{digest}", put(code_put).head(code_head))
        .route("/api/v1/apply", post(apply))
        .with_state(store.clone());
    let server = StandIn::start(routes);
    fs::create_dir_all(server.home().join("docs/code")).unwrap();
    fs::write(server.home().join("docs/a.yaml"), FIRST).unwrap();
    fs::write(server.home().join("docs/b.yaml"), SECOND).unwrap();
    fs::write(server.home().join("docs/code/stages.py"), "class Load: pass\n").unwrap();
    (server, store)
}

#[test]
fn code_is_stored_once_and_named_by_digest() {
    let (server, store) = server(|_| {
        Json(json!({"items": [{"kind": "Pipeline", "name": "a", "outcome": "created", "revision": 1}]}))
            .into_response()
    });
    for _ in 0..2 {
        let output = server.run(&["apply", "-f", "docs", "--message", "first"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), "pipeline/a created, revision 1\n");
    }
    let code = store.code.lock().unwrap().clone();
    assert_eq!(code.len(), 1, "the second apply finds it");
    let applied = store.applied.lock().unwrap().clone();
    let expected = FIRST.replace("./code", &json!({"digest": code[0], "path": "./code"}).to_string());
    assert_eq!(applied[0], format!("{expected}---\n{SECOND}"));
    let seen = server.seen("POST", "/api/v1/apply");
    assert_eq!(seen[0].path, "/api/v1/apply?message=first");
    assert!(seen[0].key.is_some() && seen[0].key != seen[1].key);
}

#[test]
fn violations_stand_in_the_lines_of_the_files() {
    let (server, _) = server(|_| {
        let errors = json!([
            {"pointer": "/spec/stages", "detail": "is empty", "code": "no_stages", "document": 1},
            {"pointer": "", "detail": "found a tab", "line": 9, "column": 2},
        ]);
        problem(422, "invalid_spec", "2 violations", errors)
    });
    let output = server.run(&["apply", "-f", "docs"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    for part in ["docs/b.yaml:6:11  /spec/stages", "is empty (no_stages)", "docs/b.yaml:3:2"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_missing_code_folder_is_told_with_its_line() {
    let (server, store) = server(|_| StatusCode::OK.into_response());
    fs::remove_dir_all(server.home().join("docs/code")).unwrap();
    let output = server.run(&["apply", "-f", "docs/a.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("docs/a.yaml:5: the code folder docs/code is not there"),
        "{}",
        stderr(&output)
    );
    assert!(store.applied.lock().unwrap().is_empty());
}

#[test]
fn diff_says_by_its_exit_code_whether_there_is_a_difference() {
    let cases: [(Answer, i32, &str); 3] = [
        (
            |query| {
                assert_eq!(query, "dry_run=true");
                Json(json!({"items": [{"kind": "Pipeline", "name": "b", "outcome": "unchanged"}]}))
                    .into_response()
            },
            0,
            "",
        ),
        (
            |_| {
                let changes = json!([{"pointer": "/spec/x", "op": "replace", "before": 1, "after": 2}]);
                Json(json!({"items": [{"kind": "Pipeline", "name": "b", "outcome": "changed", "changes": changes}]})).into_response()
            },
            1,
            "pipeline/b would change\n  ~ /spec/x  1 → 2\n",
        ),
        (|_| problem(422, "invalid_spec", "no", json!([])), 2, ""),
    ];
    for (answer, code, text) in cases {
        let (server, _) = server(answer);
        let output = server.run(&["diff", "-f", "docs/b.yaml"]);
        assert_eq!(
            (output.status.code(), stdout(&output).as_str()),
            (Some(code), text),
            "{}",
            stderr(&output)
        );
    }
}
