//! Secrets over HTTP: written and told of, and answered by no route.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer};

async fn put(server: &TestServer, path: &str, body: &Value) -> (StatusCode, Value) {
    answer(server.request(Method::PUT, path).json(body)).await
}

#[tokio::test]
async fn a_secret_is_written_told_of_and_removed_and_never_answered() {
    let server = TestServer::start().await;
    let at = "/api/v1/secrets/warehouse/password";
    let (status, made) = put(&server, at, &json!({ "value": "canary-4711" })).await;
    assert_eq!((status, &made["version"]), (StatusCode::CREATED, &json!(1)), "{made}");
    let (status, next) = put(&server, at, &json!({ "value": "canary-4712" })).await;
    assert_eq!((status, &next["version"]), (StatusCode::OK, &json!(2)));
    let (_, one) = server.get(at).await;
    let (_, list) = server.get("/api/v1/secrets").await;
    assert_eq!(list["items"], json!([one]));
    let (_, keys) = server.get("/api/v1/secret-keys").await;
    assert_eq!((&keys["master"], &keys["data_key"]["number"]), (&keys["held"][0], &json!(1)));
    assert_eq!(server.get("/api/v1/secrets/nothing").await.0, StatusCode::NOT_FOUND);

    let documents = json!({ "documents": [{
        "apiVersion": "quarterdeck/v1", "kind": "Connection", "metadata": { "name": "api" },
        "spec": { "type": "http", "address": "http://127.0.0.1:1/", "token": "secret://warehouse/password" },
    }] });
    let (_, accepted) = server.start_job("/api/v1/apply?publish=true", "apply", documents).await;
    server.job_ended(accepted["job"]["id"].as_str().unwrap()).await;
    let (status, refused) = answer(server.request(Method::DELETE, at)).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("secret_in_use")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("Connection api at /token"), "{refused}");
    let (status, reading) = server.post("/api/v1/connections/api/test", json!({})).await;
    assert_eq!(
        (status, &reading["ok"], &reading["code"]),
        (StatusCode::OK, &json!(false), &json!("unreachable"))
    );
    let (_, told) = server.get("/api/v1/connections/api").await;
    assert_eq!(told["status"]["last_test"]["detail"], reading["detail"], "{told}");

    let (status, job) =
        server.start_job("/api/v1/secret-keys/rotate", "rotate", json!({ "key": "data" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    let job = server.job_ended(job["job"]["id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let (status, plan) =
        server.post("/api/v1/secret-keys/rotate?dry_run=true", json!({ "key": "master" })).await;
    assert_eq!((status, &plan["plan"]["operation"]), (StatusCode::OK, &json!("secrets.rotate_master_key")));

    put(&server, "/api/v1/secrets/other", &json!({ "value": "x" })).await;
    let (status, _) = answer(server.request(Method::DELETE, "/api/v1/secrets/other?reason=gone")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, audit) = server.get("/api/v1/audit?limit=100").await;
    let all = format!("{made}{next}{one}{list}{keys}{refused}{reading}{told}{job}{plan}{audit}");
    assert!(!all.contains("canary"), "{all}");
    assert!(audit["items"].as_array().unwrap().iter().any(|record| record["reason"] == "gone"));
}

#[tokio::test]
async fn a_body_that_is_none_is_refused_without_being_repeated() {
    let server = TestServer::start().await;
    let bodies = [
        json!("canary"),
        json!({ "valeu": "canary" }),
        json!({ "value": ["canary"] }),
        json!({ "value": "x", "canary": 1 }),
        json!({ "value": { "canary": 1 } }),
    ];
    for body in bodies {
        let (status, problem) = put(&server, "/api/v1/secrets/a", &body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_body")), "{body}");
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
    let cut = server.request(Method::PUT, "/api/v1/secrets/a").body("{\"value\": \"canary");
    let (status, problem) = answer(cut).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(!problem.to_string().contains("canary"), "{problem}");
    let (status, problem) = put(&server, "/api/v1/secrets/a..%20b", &json!({ "value": "x" })).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_secret_path")));
}

#[tokio::test]
async fn readiness_tells_of_the_master_key() {
    let server = TestServer::start().await;
    let check = async |server: &TestServer| {
        let (status, ready) = server.get("/ready").await;
        let checks = ready["checks"].as_array().unwrap().clone();
        (status, checks.into_iter().find(|check| check["name"] == "secrets").unwrap())
    };
    assert_eq!(check(&server).await.0, StatusCode::OK);
    put(&server, "/api/v1/secrets/a", &json!({ "value": "x" })).await;
    let (status, told) = check(&server).await;
    assert_eq!((status, &told["ok"]), (StatusCode::OK, &json!(true)));
    // As if the database were that of another folder.
    let other = server.kernel.store.write(|tx| -> qd_core::error::Result<()> {
        tx.exec("UPDATE secret_master SET id = 'another'", &[])?;
        Ok(())
    });
    other.await.unwrap();
    let (status, told) = check(&server).await;
    assert_eq!((status, &told["ok"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(false)));
    assert!(told["detail"].as_str().unwrap().contains("under the master key another"), "{told}");
}
