//! Plans over HTTP: a dry run writes nothing; a plan is decided on by somebody else and applied by id; what moved refuses it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer, document};

/// A second named principal.
async fn second(server: &TestServer) -> String {
    let (status, made) = server.post("/api/v1/auth/tokens", json!({ "name": "second" })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

async fn as_second(server: &TestServer, token: &str, path: &str, body: Value) -> (StatusCode, Value) {
    answer(server.client.post(server.url(path)).bearer_auth(token).json(&body)).await
}

/// What a change writes.
async fn rows(server: &TestServer) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM audit) + (SELECT count(*) FROM job) + (SELECT count(*) FROM plan) + (SELECT count(*) FROM event)";
    server.kernel.store.read(move |tx| tx.one(sql, &[], |row| row.get(0))).await.unwrap()
}

/// Every route that writes: those whose description has the parameter take it, the others refuse.
#[tokio::test]
async fn an_address_without_a_dry_run_refuses_one_instead_of_writing() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let before = rows(&server).await;
    let (_, description) = server.get("/openapi.json").await;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let knows = parameters.iter().any(|parameter| parameter["name"] == "dry_run");
            if method == "get" || !path.starts_with("/api/v1") {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let address = path.replace("{name}", "one").replace("{id}", "none").replace("{digest}", "none");
            let url = server.url(&format!("{address}?dry_run=true"));
            let request = server.client.request(method.clone(), url).bearer_auth(&server.token);
            let (_, reply) = answer(request.json(&json!({}))).await;
            assert_eq!(reply["code"] != "dry_run_unsupported", knows, "{method} {path}: {reply}");
        }
    }
    assert_eq!(rows(&server).await, before);
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let (_, started) = server.start_job("/api/v1/samples/one/runs", "run", json!({})).await;
    server.run_is(started["run"]["id"].as_str().unwrap(), "running").await;
    server.job_ended(started["job"]["id"].as_str().unwrap()).await;
    let before = rows(&server).await;
    for (path, body, operation) in [
        ("samples/one/publish", json!({ "revision": 1 }), "revision.publish"),
        ("samples/one/rollback", json!({ "to": 1, "reason": "why not" }), "revision.rollback"),
        ("samples/one/runs", json!({}), "run.start"),
        ("runs/one%231/stop", json!({}), "run.stop"),
    ] {
        // Without a key: nothing is started.
        let (status, preview) = server.post(&format!("/api/v1/{path}?dry_run=true"), body.clone()).await;
        assert_eq!((status, &preview["plan"]["operation"]), (StatusCode::OK, &json!(operation)), "{preview}");
        assert!(preview["hash"].as_str().unwrap().starts_with("sha256:"), "{preview}");
        let (status, problem) = server.post(&format!("/api/v1/{path}"), body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("idempotency_key_required")));
    }
    let documents = json!({ "documents": [document("two", json!({}))] });
    let (_, applied) = server.post("/api/v1/apply?dry_run=true&publish=true", documents).await;
    assert_eq!(applied["plan"]["plan"]["operation"], "documents.apply", "{applied}");
    assert_eq!(rows(&server).await, before);
    let kept = json!({ "operation": "apply", "publish": true, "message": "why", "documents": [document("two", json!({}))] });
    let (_, kept) = server.post("/api/v1/plans", kept).await;
    assert_eq!(kept["hash"], applied["plan"]["hash"], "the same change, whatever is said of it");
    server.start_job("/api/v1/runs/one%231/stop", "stop", json!({})).await;
    server.run_is("one%231", "stopped").await;
    let (_, preview) = server.post("/api/v1/runs/one%231/retry?dry_run=true", json!({})).await;
    assert_eq!(preview["plan"]["operation"], "run.retry", "{preview}");
}

#[tokio::test]
async fn a_plan_is_approved_by_somebody_else_and_applied_once() {
    let server = TestServer::start().await;
    let body = json!({ "operation": "apply", "publish": true, "documents": [document("one", json!({}))] });
    let (status, plan) = server.post("/api/v1/plans", body).await;
    assert_eq!((status, &plan["state"]), (StatusCode::CREATED, &json!("open")), "{plan}");
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    let (status, own) = server.post(&format!("{path}/approve"), json!({ "hash": plan["hash"] })).await;
    assert_eq!((status, &own["code"]), (StatusCode::FORBIDDEN, &json!("own_plan")));
    let (_, refused) = server.get("/api/v1/audit?outcome=denied").await;
    assert_eq!(refused["items"][0]["action"], "access.refuse", "{refused}");
    assert!(refused["items"][0]["reason"].as_str().unwrap().starts_with("own_plan: "), "{refused}");
    let token = second(&server).await;
    let body = json!({ "hash": plan["hash"], "reason": "looks right" });
    let (status, approved) = as_second(&server, &token, &format!("{path}/approve"), body).await;
    assert_eq!((status, &approved["decided_by"]), (StatusCode::OK, &json!("second")), "{approved}");
    assert_eq!(server.post(&format!("{path}/apply"), json!({})).await.1["code"], "idempotency_key_required");
    let request = server.request(Method::POST, &format!("{path}/apply")).header("idempotency-key", "a");
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::ACCEPTED);
    let location = reply.headers()["location"].to_str().unwrap().to_owned();
    let applied: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    let job = applied["job"]["id"].as_str().unwrap();
    assert_eq!((location, &applied["plan"]["state"]), (format!("/api/v1/jobs/{job}"), &json!("applied")));
    assert_eq!(
        server.start_job(&format!("{path}/apply"), "a", json!({})).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(server.start_job(&format!("{path}/apply"), "b", json!({})).await.1["code"], "plan_applied");
    let detail = server.job_ended(job).await;
    assert_eq!((&detail["state"], &detail["plan_id"]), (&json!("succeeded"), &plan["id"]));
    assert_eq!((&detail["plan"], &detail["plan_hash"]), (&plan["plan"], &plan["hash"]));
    assert_eq!(detail["locks"], json!([{ "key": "samples/one", "held": false, "holder": null }]));
    assert_eq!(detail["audit"][0]["action"], "documents.apply");
    let types: Vec<&str> =
        detail["events"].as_array().unwrap().iter().filter_map(|e| e["type"].as_str()).collect();
    assert!(types.contains(&"job.queued") && types.contains(&"job.succeeded"), "{types:?}");
    let (_, listed) = server.get("/api/v1/plans?state=applied").await;
    assert_eq!(
        (&listed["items"][0]["targets"], &listed["items"][0]["steps"]),
        (&json!(["samples/one"]), &json!(1))
    );
    assert!(listed["items"][0].get("plan").is_none());
    assert_eq!(server.get("/api/v1/plans?state=open").await.1["items"], json!([]));
}

#[tokio::test]
async fn what_moved_refuses_a_plan_and_explains_it() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let (_, plan) = server.post("/api/v1/samples/one/plan", json!({})).await;
    let id = plan["id"].as_str().unwrap();
    let body = json!({ "documents": [document("one", json!({ "wants": "size" }))] });
    let (_, second) = server.start_job("/api/v1/apply?publish=true", "second", body).await;
    server.job_ended(second["job"]["id"].as_str().unwrap()).await;
    let (status, refused) = server.start_job(&format!("/api/v1/plans/{id}/apply"), "a", json!({})).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("plan_stale")), "{refused}");
    assert!(
        refused["detail"].as_str().unwrap().contains("samples/one newest revision: from 1 to 2"),
        "{refused}"
    );
    let (status, why) = server.get(&format!("/api/v1/explain/plans/{id}")).await;
    assert_eq!(status, StatusCode::OK, "{why}");
    assert!(why["sentence"].as_str().unwrap().starts_with("It is stale and can never be applied"), "{why}");
    assert_eq!(why["evidence"][0]["what"], "state");
    let (_, why) = server.get("/api/v1/explain/samples/one").await;
    assert!(why["sentence"].as_str().unwrap().starts_with("Revision 2 is the published one"), "{why}");
    assert_eq!(server.get("/api/v1/explain/nonsense").await.1["code"], "malformed_object");
}

#[tokio::test]
async fn documents_of_yaml_are_planned_and_what_is_malformed_is_told() {
    let server = TestServer::start().await;
    let yaml = "apiVersion: quarterdeck/v1\nkind: Sample\nmetadata: {name: one}\nspec: {}\n";
    let request =
        server.request(Method::POST, "/api/v1/plans?publish=true").header("content-type", "application/yaml");
    let (status, plan) = answer(request.body(yaml)).await;
    assert_eq!((status, &plan["operation"]), (StatusCode::CREATED, &json!("documents.apply")), "{plan}");
    for (body, code) in [
        (json!({ "operation": "explode" }), "bad_body"),
        (json!({ "operation": "publish", "kind": "Sample", "name": "one", "colour": "red" }), "bad_body"),
        (json!({ "operation": "publish", "kind": "Nothing", "name": "one" }), "resource_not_found"),
        (
            json!({ "operation": "rollback", "kind": "samples", "name": "one", "to": 1, "reason": "" }),
            "reason_required",
        ),
        (json!({ "operation": "stop", "run": "one#9" }), "run_not_found"),
    ] {
        assert_eq!(server.post("/api/v1/plans", body.clone()).await.1["code"], code, "{body}");
    }
}

#[tokio::test]
async fn what_an_address_says_is_never_left_out_in_silence() {
    let server = TestServer::start().await;
    let documents = json!({ "documents": [document("one", json!({}))] });
    let body = json!({ "operation": "apply", "documents": [document("one", json!({}))] });
    for query in ["publish=true", "message=why"] {
        let (status, problem) = server.post(&format!("/api/v1/plans?{query}"), body.clone()).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_query")), "{problem}");
    }
    for path in ["dead-letters/nothing/redeliver", "jobs/nothing/cancel", "plans/nothing/reject"] {
        let (status, problem) = server.post(&format!("/api/v1/{path}"), json!({ "reason": "why" })).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {problem}");
    }
    let request = server.request(Method::POST, "/api/v1/apply?publish=true").header("idempotency-key", "one");
    let reply = request.json(&documents).send().await.unwrap();
    let location = reply.headers()["location"].to_str().unwrap().to_owned();
    let reply: Value = reply.json().await.unwrap();
    assert_eq!(location, format!("/api/v1/jobs/{}", reply["job"]["id"].as_str().unwrap()));
    server.job_ended(reply["job"]["id"].as_str().unwrap()).await;
}
