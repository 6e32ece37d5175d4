//! `qd run`: one key over all tries, and the run's end as the exit code.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::stand_in::{StandIn, problem, stderr, stdout};

const ID: &str = "01936f2e-7c1a-7000-8000-000000000001";

fn run_in(state: &str) -> Value {
    let started = if state == "unstartable" { Value::Null } else { json!("2026-11-20T11:59:00Z") };
    let failure = json!({"stage": "filter", "batch": 7, "item": 3, "exception": "ValueError", "message": "no number", "traceback": "Traceback:\n  line 12"});
    json!({
        "id": ID, "ref": "curate#42", "state": if state == "unstartable" { "failed" } else { state }, "revision": 3, "attempt": 1,
        "started_at": started, "job_id": "j1", "message": "it ended",
        "failure": if state == "failed" { failure } else { Value::Null },
    })
}

/// Starts a run that is at once in `state`; the first try is answered 503.
fn server(state: &'static str) -> StandIn {
    let tries = Arc::new(AtomicUsize::new(0));
    let start = move |State(tries): State<Arc<AtomicUsize>>| async move {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            let detail = "the Xenna environment is being prepared: step 2 of 4";
            let mut response = problem(503, "not_ready", detail, json!([]));
            response.headers_mut().insert(header::RETRY_AFTER, "1".parse().unwrap());
            return response;
        }
        (StatusCode::ACCEPTED, Json(json!({"job": {"id": "j1"}, "run": run_in("queued")}))).into_response()
    };
    let stream =
        || async { ([(header::CONTENT_TYPE, "text/event-stream")], ": nothing yet\n\n").into_response() };
    let log = || async {
        let line = json!({"n": 1, "text": "hello from load", "run_id": ID});
        let text = format!("id: 0.1\nevent: log\ndata: {line}\n\nevent: end\ndata: {{}}\n\n");
        ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
    };
    let routes = Router::new()
        .route("/api/v1/pipelines/curate/runs", post(start))
        .route(
            "/api/v1/pipelines/curate",
            get(|| async { Json(json!({"params_schema": {"properties": {"tag": {"type": "string"}}}})) }),
        )
        .route("/api/v1/runs/{id}", get(move || async move { Json(run_in(state)) }))
        .route(
            "/api/v1/stream",
            get(move |uri: axum::http::Uri| async move {
                let answer: Response = if uri.query().unwrap_or_default().contains("logs=") {
                    log().await
                } else {
                    stream().await
                };
                answer
            }),
        )
        .with_state(tries);
    StandIn::start(routes)
}

#[test]
fn the_end_of_the_run_is_the_exit_code() {
    for (state, code) in [("succeeded", 0), ("failed", 1), ("stopped", 4), ("unstartable", 3)] {
        let server = server(state);
        let output = server.run(&["run", "pipelines/curate", "--wait"]);
        assert_eq!(output.status.code(), Some(code), "{state}: {}", stderr(&output));
        assert_eq!(stdout(&output), "runs/curate#42\n");
    }
}

#[test]
fn a_503_is_waited_out_with_the_same_key_and_told() {
    let server = server("succeeded");
    let output = server.run(&["run", "pipelines/curate", "-p", "tag=2024", "-o", "json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("waiting: the Xenna environment is being prepared: step 2 of 4"));
    assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap()["ref"], "curate#42");
    let keys: Vec<_> =
        server.seen("POST", "/api/v1/pipelines/curate/runs").iter().map(|one| one.key.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
}

#[test]
fn logs_go_to_standard_output_and_a_failure_names_its_place() {
    let server = server("failed");
    let output = server.run(&["run", "pipelines/curate", "--logs"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "hello from load\n");
    for part in ["failed: stage filter, batch 7, item 3", "ValueError: no number", "line 12"] {
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
}

#[test]
fn what_cannot_start_is_3() {
    let refuse = || async { problem(409, "not_published", "nothing is published", json!([])) };
    let server = StandIn::start(Router::new().route("/api/v1/pipelines/curate/runs", post(refuse)));
    let output = server.run(&["run", "pipelines/curate", "--wait"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("nothing is published"));
    assert_eq!(server.run(&["run", "pipelines/curate", "--params-file", "none"]).status.code(), Some(3));
}

#[test]
fn an_item_that_was_sent_is_not_sent_again() {
    let refuse = || async {
        let mut response = problem(503, "request_timeout", "no answer within 5 ms", json!([]));
        response.headers_mut().insert(header::RETRY_AFTER, "1".parse().unwrap());
        response
    };
    let routes = Router::new()
        .route("/api/v1/runs/{id}", get(|| async { Json(run_in("running")) }))
        .route("/api/v1/runs/{id}/requests", post(refuse));
    let server = StandIn::start(routes);
    let output = server.run(&["request", "curate#42", "--item", "{}"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(server.seen("POST", "/api/v1/runs/").len(), 1);
}

#[test]
fn what_a_job_came_to_is_printed_in_the_format_that_was_asked_for() {
    let accepted = || async { (StatusCode::ACCEPTED, Json(json!({"job": {"id": "j1", "state": "queued"}}))) };
    let ended = || async { Json(json!({"id": "j1", "state": "succeeded"})) };
    let routes = Router::new()
        .route("/api/v1/pipelines/curate/publish", post(accepted))
        .route("/api/v1/jobs/j1", get(ended))
        .route(
            "/api/v1/stream",
            get(|| async { ([(header::CONTENT_TYPE, "text/event-stream")], ": nothing yet\n\n") }),
        );
    let server = StandIn::start(routes);
    for (words, state) in [
        // What comes after a publish counts on it.
        (["publish", "pipelines/curate", "-o", "json"].as_slice(), "succeeded"),
        (["publish", "pipelines/curate", "-o", "json", "--no-wait"].as_slice(), "queued"),
    ] {
        let job: Value = serde_json::from_str(&stdout(&server.run(words))).unwrap();
        assert_eq!((&job["id"], &job["state"]), (&json!("j1"), &json!(state)));
    }
    assert_eq!(stdout(&server.run(&["publish", "pipelines/curate", "--no-wait"])), "jobs/j1\n");
}

#[test]
fn ctrl_c_is_heard_while_a_look_is_tried_again() {
    let looks = Arc::new(AtomicUsize::new(0));
    let look = move || async move {
        if looks.fetch_add(1, Ordering::SeqCst) == 0 {
            return Json(run_in("running")).into_response();
        }
        let mut response = problem(503, "store_unavailable", "the database is away", json!([]));
        response.headers_mut().insert(header::RETRY_AFTER, "30".parse().unwrap());
        response
    };
    let stream = || async { ([(header::CONTENT_TYPE, "text/event-stream")], ": nothing yet\n\n") };
    let routes = Router::new().route("/api/v1/runs/{id}", get(look)).route("/api/v1/stream", get(stream));
    let server = StandIn::start(routes);
    let mut watching = server.command(&["watch", ID]).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(watching.stderr.take().unwrap());
    let waits = said.lines().any(|line| line.unwrap().starts_with("waiting: the database is away"));
    assert!(waits);
    kill(Pid::from_raw(i32::try_from(watching.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(130));
}

#[test]
fn an_environment_that_failed_is_told_and_not_waited_for() {
    let failed = || async {
        let why = "the Python environment could not be prepared: no matching distribution";
        let mut response = problem(503, "environment_failed", why, json!([]));
        response.headers_mut().insert(header::RETRY_AFTER, "600".parse().unwrap());
        response
    };
    let server = StandIn::start(Router::new().route("/api/v1/pipelines/curate/publish", post(failed)));
    let output = server.run(&["publish", "pipelines/curate"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no matching distribution"), "{}", stderr(&output));
    assert_eq!(server.seen("POST", "/api/v1/pipelines/curate/publish").len(), 1);
}

#[test]
fn a_closed_gate_is_told_and_is_an_exit_code_of_a_dry_run() {
    let plan = |state: &str| {
        json!({
            "operation": "revision.publish", "input_hash": "sha256:ab", "preconditions": [], "postconditions": [], "affected": [],
            "locks": [], "gates": [{"name": "capacity", "state": state, "evidence": "3 CPUs are wanted"}],
            "steps": [{"name": "publish", "title": "Publish", "target": "pipelines/curate", "changes": [], "risk": "medium"}],
        })
    };
    for (state, code) in [("pass", 0), ("fail", 2), ("unknown", 2)] {
        let dry = json!({"plan": plan(state), "hash": "sha256:cd", "needs_approval": false});
        let stored = json!({"id": "p1", "state": "open", "plan": plan(state), "hash": "sha256:cd", "needs_approval": false});
        let routes = Router::new()
            .route("/api/v1/pipelines/curate/publish", post(move || async move { Json(dry) }))
            .route("/api/v1/plans", post(move || async move { (StatusCode::CREATED, Json(stored)) }));
        let server = StandIn::start(routes);
        for format in ["table", "json"] {
            let output = server.run(&["publish", "pipelines/curate", "--dry-run", "-o", format]);
            assert_eq!(output.status.code(), Some(code), "{state}: {}", stderr(&output));
            assert_eq!(stderr(&output).contains("gate capacity is closed"), code != 0, "{}", stderr(&output));
        }
        let output = server.run(&["plan", "publish", "pipelines/curate"]);
        assert_eq!(stderr(&output).contains("gate capacity is closed"), code != 0, "{}", stderr(&output));
        assert_eq!(stderr(&output).contains("carries it out"), code == 0, "{}", stderr(&output));
    }
}

#[test]
fn a_plan_that_wants_no_job_is_printed_when_it_is_applied() {
    let applied = || async { Json(json!({"plan": {"id": "p1", "state": "applied"}, "job": null})) };
    let server = StandIn::start(Router::new().route("/api/v1/plans/p1/apply", post(applied)));
    let plan: Value =
        serde_json::from_str(&stdout(&server.run(&["apply", "--plan", "p1", "-o", "json"]))).unwrap();
    assert_eq!((&plan["id"], &plan["state"]), (&json!("p1"), &json!("applied")));
    assert_eq!(stdout(&server.run(&["apply", "--plan", "p1", "-o", "name"])), "plans/p1\n");
}
