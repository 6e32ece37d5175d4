//! What cannot be read is refused with its place, and nothing is half done.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{TestServer, answer, document};

async fn apply(server: &TestServer, yaml: impl Into<String>) -> (StatusCode, serde_json::Value) {
    answer(
        server
            .request(Method::POST, "/api/v1/apply")
            .header("content-type", "application/yaml")
            .body(yaml.into()),
    )
    .await
}

#[tokio::test]
async fn documents_are_applied_all_or_none() {
    let server = TestServer::start().await;
    let good = "apiVersion: quarterdeck/v1\nkind: Sample\nmetadata: {name: good}\nspec: {count: 1}\n";
    let bad =
        "apiVersion: quarterdeck/v1\nkind: Sample\nmetadata: {name: bad}\nspec: {count: -1, also: -2}\n";
    let (status, problem) = apply(&server, format!("{good}---\n{bad}")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let errors: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["document"].as_u64(), e["pointer"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [(Some(1), "/spec/count"), (Some(1), "/spec/also")]);
    assert_eq!(server.get("/api/v1/samples").await.1["items"], json!([]));

    let (status, reply) = apply(&server, good).await;
    assert_eq!((status, &reply["items"][0]["outcome"]), (StatusCode::OK, &json!("created")));
    assert_eq!(apply(&server, good).await.1["items"][0]["outcome"], "unchanged");
    let (_, dry) = answer(
        server
            .request(Method::POST, "/api/v1/apply?dry_run=true")
            .json(&document("good", json!({ "count": 2 }))),
    )
    .await;
    assert_eq!(
        (&dry["items"][0]["outcome"], &dry["items"][0]["changes"][0]["pointer"]),
        (&json!("changed"), &json!("/spec/count"))
    );
    assert_eq!(server.get("/api/v1/samples/good/revisions").await.1["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn unreadable_bodies_name_line_and_column() {
    let server = TestServer::start().await;
    let (status, problem) = apply(&server, "kind: [\nname: x\n").await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_yaml")));
    assert!(problem["errors"][0]["line"].as_u64().is_some(), "{problem}");
    let json_body = server
        .request(Method::POST, "/api/v1/samples")
        .header("content-type", "application/json")
        .body("{\n \"kind\": }");
    let (status, problem) = answer(json_body).await;
    assert_eq!(
        (status, &problem["code"], &problem["errors"][0]["line"]),
        (StatusCode::BAD_REQUEST, &json!("bad_json"), &json!(2))
    );
    let (status, problem) = apply(&server, "x".repeat(5 * 1024 * 1024)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")));
}
