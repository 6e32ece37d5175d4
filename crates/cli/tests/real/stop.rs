//! Stopping: polite first, then for certain; nothing is left behind.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::support::{Qd, RUN_LIMIT, STAGES, three_stages};

#[tokio::test]
async fn real_stop_ends_every_process_of_the_run() {
    let qd = Qd::start().await;
    qd.publish("long", &three_stages(4000, 25), &[("stages.py", STAGES)]);
    let id = qd.start_run("long", json!({})).await;
    qd.run_until(&id, RUN_LIMIT, |run| run["progress"]["outputs"].as_i64() > Some(0)).await;
    assert!(qd.processes().len() >= 3, "the run has processes: {:?}", qd.processes());
    let reply = qd
        .request(Method::POST, &format!("/api/v1/runs/{id}/stop"))
        .header("idempotency-key", "stop-1")
        .json(&json!({ "reason": "enough" }));
    assert_eq!(reply.send().await.unwrap().status(), 202);
    let run = qd.run_until(&id, Duration::from_secs(10), |run| run["ended_at"].is_string()).await;
    assert_eq!(run["state"], "stopped", "{run:#}");
    qd.no_process_left(Duration::from_secs(10)).await;
}
