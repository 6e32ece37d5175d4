//! A head that is killed makes a run unknown; one that comes back and does not know the job, lost after the stated time.

use qd_testkit::{RayHead, eventually::within};
use serde_json::json;

use super::super::support::{RUN_LIMIT, three_stages};
use super::{CONNECTION, connect, head_answers, server_with};

#[tokio::test]
async fn real_head_that_forgets_a_job_makes_it_unknown_and_then_lost() {
    let mut qd = server_with("long", &three_stages(4000, 25)).await;
    let mut head = RayHead::start(&qd.data().join("env"));
    head_answers(&qd, &head).await;
    connect(&qd, &head.url(), &head.token_file());
    qd.kill();
    qd.serve_with(&["--ray-lost-after", "6"]).await;

    let id = qd.start_run("long", json!({ "target": CONNECTION })).await;
    qd.run_until(&id, RUN_LIMIT, |run| run["progress"]["outputs"].as_i64() > Some(0)).await;
    head.kill();
    let doubt = "/engine_detail/observation/reason";
    let reason =
        |run: &serde_json::Value| run.pointer(doubt).and_then(|why| why.as_str()).unwrap_or("").to_owned();
    let gone = qd.run_until(&id, RUN_LIMIT, |run| !reason(run).is_empty()).await;
    let observation = &gone["engine_detail"]["observation"];
    assert_eq!((&gone["state"], &observation["state"]), (&json!("running"), &json!("unknown")), "{gone:#}");
    assert!(observation["since"].is_string(), "{gone:#}");
    assert!(gone["engine_detail"]["ray"].is_string(), "what ran there stays known: {gone:#}");
    // While its processes are killed one by one, a head may still answer that something of it is broken.
    within(RUN_LIMIT, "the cluster is said not to answer", async || {
        let engines = qd.get("/api/v1/engines").await;
        let ray = engines["items"].as_array().unwrap().iter().find(|engine| engine["name"] == "ray").unwrap();
        (ray["state"] == "unknown" && ray["detail"] == "1 cluster does not answer").then_some(())
    })
    .await;

    head.run();
    let forgotten = qd.run_until(&id, RUN_LIMIT, |run| reason(run).contains("does not know the job")).await;
    assert_eq!(forgotten["state"], "running", "not before its time: {forgotten:#}");
    let lost = qd.run_ended(&id).await;
    assert_eq!((&lost["state"], &lost["code"]), (&json!("failed"), &json!("lost")), "{lost:#}");
    assert_eq!(reason(&lost), "", "what is certain is no doubt: {lost:#}");

    let events = qd.get(&format!("/api/v1/runs/{id}/events?limit=500")).await;
    let types: Vec<&str> =
        events["items"].as_array().unwrap().iter().filter_map(|event| event["type"].as_str()).collect();
    assert!(types.contains(&"run.unknown") && types.last() == Some(&"run.failed"), "{types:?}");
}
