//! Runs over HTTP: start once, stop, retry, read the log.

use qd_core::state::RunState;
use qd_testkit::engine::line;
use reqwest::StatusCode;
use serde_json::json;

use super::support::TestServer;

#[tokio::test]
async fn the_same_key_starts_one_run_also_across_a_restart() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    assert_eq!(
        server.post("/api/v1/samples/one/runs", json!({})).await.1["code"],
        "idempotency_key_required"
    );
    let (status, first) = server.start_job("/api/v1/samples/one/runs", "key-1", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    let server = server.restart().await;
    let (status, second) = server.start_job("/api/v1/samples/one/runs", "key-1", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{second}");
    assert_eq!(first["run"]["id"], second["run"]["id"]);
    let (status, problem) =
        server.start_job("/api/v1/samples/one/runs", "key-1", json!({ "revision": 1 })).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_mismatch"))
    );
    let (_, runs) = server.get("/api/v1/samples/one/runs").await;
    assert_eq!(runs["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_is_followed_stopped_and_retried() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let (_, reply) = server.start_job("/api/v1/samples/one/runs", "k1", json!({})).await;
    let id = reply["run"]["id"].as_str().unwrap();
    let name =
        qd_testkit::eventually("the engine has it", async || server.engine.names().first().cloned()).await;
    server.engine.log(&name, (0..10).map(|n| line(format!("line {n}"))));
    let (_, page) = qd_testkit::eventually("the log is there", async || {
        let reply = server.get(&format!("/api/v1/runs/{id}/logs")).await;
        (reply.1["last"] == 10).then_some(reply)
    })
    .await;
    assert_eq!(page["items"][9]["text"], "line 9");
    let (_, tail) = server.get(&format!("/api/v1/runs/{id}/logs?before=0&limit=2")).await;
    assert_eq!(
        tail["items"].as_array().unwrap().iter().map(|l| l["n"].as_i64().unwrap()).collect::<Vec<_>>(),
        [9, 10]
    );
    let (_, found) = server.get(&format!("/api/v1/runs/{id}/logs?q=LINE%207")).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);

    let (status, reply) =
        server.start_job(&format!("/api/v1/runs/{id}/stop"), "k2", json!({ "reason": "enough" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let run = server.run_is("one%231", "stopped").await;
    assert_eq!(run["ref"], "one#1");
    assert_eq!(server.job_ended(reply["job"]["id"].as_str().unwrap()).await["state"], "succeeded");
    assert_eq!(
        server.start_job(&format!("/api/v1/runs/{id}/stop"), "k3", json!({})).await.1["code"],
        "run_ended"
    );

    let (status, reply) = server.start_job(&format!("/api/v1/runs/{id}/retry"), "k4", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let name = qd_testkit::eventually("the engine has the second attempt", async || {
        server.engine.names().get(1).cloned()
    })
    .await;
    server.engine.end(&name, RunState::Succeeded);
    let run = server.run_is(id, "succeeded").await;
    assert_eq!((&run["attempt"], run["attempts"].as_array().unwrap().len()), (&json!(2), 2));
}

#[tokio::test]
async fn params_are_checked_before_anything_starts() {
    let server = TestServer::start().await;
    server.published("one", json!({ "wants": "size" })).await;
    let (status, problem) =
        server.start_job("/api/v1/samples/one/runs", "k", json!({ "params": { "sizes": 3 } })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/params/sizes", "/params/size"]);
    assert_eq!(server.get("/api/v1/runs").await.1["items"], json!([]));
}

#[tokio::test]
async fn a_key_belongs_to_one_address() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let template = json!({
        "apiVersion": "quarterdeck/v1", "kind": "StageTemplate", "metadata": { "name": "one" }, "spec": { "uses": "a.b:C" }
    });
    let (status, reply) = server.post("/api/v1/apply", json!({ "documents": [template] })).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let publish = async |plural: &str| {
        server.start_job(&format!("/api/v1/{plural}/one/publish"), "same", json!({})).await
    };
    let (status, reply) = publish("samples").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let (status, problem) = publish("stagetemplates").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_mismatch"))
    );
}
