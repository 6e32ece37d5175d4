//! The audit over HTTP: lists by any id, whose audit is whose, and an export as it is streamed.

use qd_core::audit::{PublicKey, verify};
use qd_testkit::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer};

async fn sealed(server: &TestServer, least: i64) -> Value {
    eventually("the records are sealed", async || {
        let (_, chain) = server.get("/api/v1/audit/chain").await;
        (chain["seq"].as_i64()? >= least).then_some(chain)
    })
    .await
}

#[tokio::test]
async fn records_are_listed_by_the_ids_of_their_request() {
    let server = TestServer::start().await;
    let document = super::support::document("one", json!({}));
    let made = server
        .request(Method::POST, "/api/v1/samples")
        .header("x-correlation-id", "the-correlation")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .json(&document);
    assert_eq!(answer(made).await.0, StatusCode::CREATED);
    server.published("two", json!({})).await;
    for (query, found) in [
        ("correlation=the-correlation", 1),
        ("trace=4bf92f3577b34da6a3ce929d0e0e4736", 1),
        ("correlation=another", 0),
        ("actor=owner&action=samples.create", 1),
        ("outcome=denied", 0),
        ("until=2020-01-01T00:00:00Z", 0),
        ("reach=tenant&action=samples.create", 1),
    ] {
        let (status, page) = server.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{query}: {page}");
    }
    for (query, code) in [
        ("outcome=perhaps", "bad_outcome"),
        ("reach=all", "bad_reach"),
        ("object=x", "malformed_id"),
        ("since=yesterday", "malformed_time"),
        ("plan=x", "malformed_id"),
    ] {
        let (status, problem) = server.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::BAD_REQUEST, Some(code)), "{query}");
    }
}

#[tokio::test]
async fn an_export_is_streamed_and_proves_itself() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let chain = sealed(&server, 1).await;
    let reply = server.request(Method::GET, "/api/v1/audit/export").send().await.unwrap();
    assert_eq!(reply.headers()["content-type"], "application/x-ndjson");
    let text = reply.bytes().await.unwrap();
    let pem = chain["keys"][0]["pem"].as_str().unwrap();
    let proof = verify(&text, PublicKey::all_from_pem(pem).unwrap(), vec![]).unwrap();
    assert_eq!(proof.chain.to_string(), chain["chain"]);
    let (status, own) = server.get("/api/v1/audit/verify").await;
    assert_eq!((status, &own["proved"]), (StatusCode::OK, &json!(true)), "{own}");
    let (status, problem) = server.get("/api/v1/audit/export?from=9999").await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::BAD_REQUEST, Some("bad_audit_range")));
    let (status, platform) = server.get("/api/v1/audit/chain?reach=platform").await;
    assert_eq!(status, StatusCode::OK);
    assert!(platform["chain"].as_str().unwrap().ends_with("/platform"));

    let (_, ready) = server.get("/ready").await;
    let audit = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "audit").unwrap();
    assert_eq!(audit["ok"], true, "{audit}");
    let (_, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for line in ["qd_audit_unsealed 0", "qd_audit_signs 1", "qd_audit_unsealed_age_seconds 0"] {
        assert!(metrics.contains(line), "{line}");
    }
}

/// A tenant's whole audit is not for whoever may read a project's.
#[tokio::test]
async fn a_viewer_reads_a_projects_records_and_no_chain() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let (status, made) =
        server.post("/api/v1/auth/tokens", json!({ "name": "second", "role": "viewer" })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let token = made["token"].as_str().unwrap();
    let asked = async |path: &str| answer(server.client.get(server.url(path)).bearer_auth(token)).await.0;
    assert_eq!(asked("/api/v1/audit").await, StatusCode::OK);
    for path in [
        "/api/v1/audit?reach=tenant",
        "/api/v1/audit?reach=platform",
        "/api/v1/audit/chain",
        "/api/v1/audit/verify",
        "/api/v1/audit/export",
        "/api/v1/audit/export?reach=platform",
    ] {
        assert_eq!(asked(path).await, StatusCode::FORBIDDEN, "{path}");
    }
}
