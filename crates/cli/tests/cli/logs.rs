//! `qd logs -f`: every line once and in order, however often the stream drops.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::stand_in::{StandIn, stderr, stdout};

const LINES: usize = 3000;
/// Lines that a connection carries before it is cut.
const PER_CONNECTION: usize = 27;
/// Lines sent again at each reconnect: a server may be careful, a client must be.
const REPEATED: usize = 5;

fn frame(line: usize) -> String {
    format!("id: {line}\nevent: log\ndata: {}\n\n", json!({"n": line, "text": format!("line {line} ✓")}))
}

async fn logs(State(connections): State<Arc<AtomicUsize>>, request: Request) -> Response {
    let streamed = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    if !streamed {
        return Json(json!({"items": [], "next": null, "first": 0, "last": 0})).into_response();
    }
    let connection = connections.fetch_add(1, Ordering::SeqCst);
    let last: usize =
        request.headers().get("last-event-id").map_or(0, |id| id.to_str().unwrap().parse().unwrap());
    let mut text = "retry: 1\n\n".to_owned();
    let until = (last + PER_CONNECTION).min(LINES);
    for line in last.saturating_sub(REPEATED) + 1..=until {
        text.push_str(&frame(line));
    }
    if until == LINES {
        text.push_str("event: end\ndata: {}\n\n");
    } else {
        // Cut in the middle of the next frame, each time elsewhere.
        let next = frame(until + 1);
        let cut = connection % next.len();
        let cut = (0..=cut).rev().find(|at| next.is_char_boundary(*at)).unwrap();
        text.push_str(&next[..cut]);
    }
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}

async fn run() -> Json<serde_json::Value> {
    Json(json!({"id": "r1", "ref": "curate#1", "state": "running"}))
}

#[test]
fn each_line_comes_once_over_a_hundred_drops() {
    let connections = Arc::new(AtomicUsize::new(0));
    let routes = Router::new()
        .route("/api/v1/runs/{id}", get(run))
        .route("/api/v1/runs/{id}/logs", get(logs))
        .with_state(connections.clone());
    let server = StandIn::start(routes);
    let output = server.run(&["logs", "curate#1", "-f"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let expected: String = (1..=LINES).map(|line| format!("line {line} ✓\n")).collect();
    assert_eq!(stdout(&output), expected);
    assert!(connections.load(Ordering::SeqCst) > 100);
}

#[test]
fn ctrl_c_detaches_and_changes_nothing() {
    let endless = || async {
        let first = futures::stream::iter([Ok::<_, std::io::Error>(frame(1))]);
        let body =
            axum::body::Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()));
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    };
    let page = || async { Json(json!({"items": [], "next": null, "last": 0})).into_response() };
    let routes = Router::new().route("/api/v1/runs/{id}", get(run)).route(
        "/api/v1/runs/{id}/logs",
        get(move |request: Request| async move {
            let answer: Response =
                if request.headers().get(header::ACCEPT).is_some_and(|v| v == "text/event-stream") {
                    endless().await
                } else {
                    page().await
                };
            answer
        }),
    );
    let server = StandIn::start(routes);
    let mut child = server
        .command(&["logs", "curate#1", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "line 1 ✓\n");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("detached: curate#1 goes on. `qd logs -f curate#1 --since-line 2`"),
        "{}",
        stderr(&output)
    );
    assert!(server.seen("POST", "/").is_empty());
}
