//! Resources, working copies, revisions and publishing.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{TestServer, answer, document};

#[tokio::test]
async fn a_resource_is_made_edited_revised_published_and_rolled_back() {
    let server = TestServer::start().await;
    let (status, made) = server.post("/api/v1/samples", document("one", json!({ "count": 1 }))).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(
        (&made["name"], &made["published"], &made["changed"]),
        (&json!("one"), &json!(null), &json!(true))
    );
    assert_eq!(server.post("/api/v1/samples", document("one", json!({}))).await.1["code"], "resource_exists");

    assert_eq!(
        server.post("/api/v1/samples/one/revisions", json!({ "message": "first" })).await.0,
        StatusCode::CREATED
    );
    let (status, reply) = server.start_job("/api/v1/samples/one/publish", "p1", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    assert_eq!(server.job_ended(reply["job"]["id"].as_str().unwrap()).await["state"], "succeeded");

    let copy = server.request(Method::GET, "/api/v1/samples/one/working-copy").send().await.unwrap();
    let etag = copy.headers()["etag"].to_str().unwrap().to_owned();
    let put = |etag: &str, count: i64| {
        server
            .request(Method::PUT, "/api/v1/samples/one/working-copy")
            .header("if-match", etag)
            .json(&json!({ "spec": { "count": count } }))
    };
    assert_eq!(answer(put(&etag, 2)).await.0, StatusCode::OK);
    let (status, problem) = answer(put(&etag, 3)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::PRECONDITION_FAILED, &json!("stale_working_copy")));
    let without =
        server.request(Method::PUT, "/api/v1/samples/one/working-copy").json(&json!({ "spec": {} }));
    assert_eq!(answer(without).await.0, StatusCode::PRECONDITION_REQUIRED);

    assert_eq!(server.post("/api/v1/samples/one/revisions", json!({})).await.0, StatusCode::CREATED);
    let (_, diff) = server.get("/api/v1/samples/one/revisions/2/diff?from=1").await;
    assert_eq!(diff["changes"], json!([{ "pointer": "/count", "op": "replace", "before": 1, "after": 2 }]));
    let (_, reply) = server.start_job("/api/v1/samples/one/publish", "p2", json!({ "revision": 2 })).await;
    server.job_ended(reply["job"]["id"].as_str().unwrap()).await;

    let (status, problem) =
        server.start_job("/api/v1/samples/one/rollback", "r0", json!({ "to": 1, "reason": " " })).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("reason_required")));
    let (_, reply) = server
        .start_job("/api/v1/samples/one/rollback", "r1", json!({ "to": 1, "reason": "too many" }))
        .await;
    server.job_ended(reply["job"]["id"].as_str().unwrap()).await;
    let (_, one) = server.get("/api/v1/samples/one").await;
    assert_eq!((&one["published"]["number"], &one["spec"]), (&json!(3), &json!({ "count": 1 })));
    let (_, revisions) = server.get("/api/v1/samples/one/revisions").await;
    let states: Vec<_> =
        revisions["items"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["published", "superseded", "superseded"]);

    let (_, audit) = server.get("/api/v1/samples/one/audit").await;
    let actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|r| r["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "samples.rollback",
            "samples.publish",
            "samples.revise",
            "samples.edit",
            "samples.publish",
            "samples.revise",
            "samples.create"
        ]
    );
}

#[tokio::test]
async fn lists_page_and_filter() {
    let server = TestServer::start().await;
    for name in ["alpha", "beta", "gamma", "delta"] {
        assert_eq!(server.post("/api/v1/samples", document(name, json!({}))).await.0, StatusCode::CREATED);
    }
    let (mut names, mut path) = (vec![], "/api/v1/samples?limit=3".to_owned());
    loop {
        let (_, page) = server.get(&path).await;
        names
            .extend(page["items"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/samples?limit=3&cursor={cursor}");
    }
    assert_eq!(names, ["alpha", "beta", "delta", "gamma"]);
    let (_, page) = server.get("/api/v1/samples?q=ET").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(server.get("/api/v1/samples?limit=0").await.1["code"], "bad_limit");
    assert_eq!(server.get("/api/v1/samples?limit=many").await.1["code"], "bad_limit");
    assert_eq!(server.get("/api/v1/samples?cursor=zz").await.1["code"], "bad_cursor");
}

#[tokio::test]
async fn archiving_wants_the_version_and_keeps_everything() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let etag = server.request(Method::GET, "/api/v1/samples/one").send().await.unwrap().headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        answer(server.request(Method::DELETE, "/api/v1/samples/one")).await.0,
        StatusCode::PRECONDITION_REQUIRED
    );
    let (status, gone) =
        answer(server.request(Method::DELETE, "/api/v1/samples/one").header("if-match", etag)).await;
    assert_eq!((status, &gone["state"]), (StatusCode::OK, &json!("archived")));
    let (status, problem) = server.start_job("/api/v1/samples/one/runs", "k", json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("resource_archived")));
    assert_eq!(server.post("/api/v1/samples/one/restore", json!({})).await.1["state"], "active");
}
