//! `qd describe` of a revision that waits for a decision.

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::stand_in::{StandIn, problem, stderr, stdout};

const HASH: &str = "sha256:4f";

fn server(review: impl Fn() -> Response + Clone + Send + Sync + 'static) -> StandIn {
    let curate = json!({
        "kind": "Pipeline", "name": "curate", "state": "active", "latest_revision": { "number": 4, "state": "in_review" },
    });
    let nothing = || async { Json(json!({ "items": [] })) };
    let one = "/api/v1/pipelines/curate";
    let routes = Router::new()
        .route(one, get(move || async move { Json(curate) }))
        .route(&format!("{one}/revisions/4/review"), get(move || async move { review() }))
        .route(&format!("{one}/revisions"), get(nothing))
        .route(&format!("{one}/runs"), get(nothing))
        .route(&format!("{one}/audit"), get(nothing));
    StandIn::start(routes)
}

fn described(server: &StandIn) -> String {
    let out = server.run(&["describe", "pipelines/curate"]);
    assert!(out.status.success(), "{}", stderr(&out));
    stdout(&out)
}

#[test]
fn the_way_to_approve_is_told_to_who_may() {
    for may_decide in [true, false] {
        let review: Value = json!({ "authors": ["ann"], "hash": HASH, "may_decide": may_decide });
        let text = described(&server(move || Json(review.clone()).into_response()));
        assert!(text.contains(HASH), "{text}");
        let next = format!("qd approve pipelines/curate --revision 4 --hash {HASH}");
        assert_eq!(text.contains(&next), may_decide, "{text}");
    }
}

#[test]
fn what_cannot_be_planned_now_is_described_all_the_same() {
    let text = described(&server(|| problem(503, "engine_unavailable", "no engine answers", json!([]))));
    assert!(text.contains("cannot be told now: no engine answers (engine_unavailable)"), "{text}");
    assert!(text.contains("curate") && !text.contains("qd approve"), "{text}");
}
