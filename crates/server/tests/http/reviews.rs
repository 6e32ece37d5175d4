//! A review over REST: from a project that wants them to what is published, and what a stranger to it is told.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer, document};

struct Two {
    server: TestServer,
    /// Of the second person.
    token: String,
}

impl Two {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let (status, made) = server.post("/api/v1/auth/tokens", json!({ "name": "second" })).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        Self { token: made["token"].as_str().unwrap().to_owned(), server }
    }

    async fn second(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.server.client.request(method, self.server.url(path)).bearer_auth(&self.token);
        answer(request.json(&body)).await
    }

    async fn project(&self, change: Value) -> (StatusCode, Value) {
        let (_, list) = self.server.get("/api/v1/projects").await;
        let version = list["items"][0]["version"].to_string();
        let request = self.server.request(Method::PATCH, "/api/v1/projects/default");
        answer(request.header("if-match", format!("\"{version}\"")).json(&change)).await
    }
}

#[tokio::test]
async fn a_revision_is_submitted_seen_approved_and_published() {
    let two = Two::start().await;
    let server = &two.server;
    let (status, refused) = two.project(json!({ "review": "required" })).await;
    assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!("reason_required")));
    let (status, project) = two.project(json!({ "review": "required", "reason": "four eyes" })).await;
    assert_eq!((status, &project["review"]), (StatusCode::OK, &json!("required")), "{project}");

    let body = json!({ "documents": [document("one", json!({ "count": 3 }))] });
    let (status, applied) = server.start_job("/api/v1/apply?publish=true", "apply", body).await;
    assert_eq!(
        (status, &applied["items"][0]["waits_for_review"]),
        (StatusCode::ACCEPTED, &json!(true)),
        "{applied}"
    );
    let one = "/api/v1/samples/one/revisions/1";
    let (status, early) = server.start_job("/api/v1/samples/one/publish", "early", json!({})).await;
    assert_eq!((status, &early["code"]), (StatusCode::CONFLICT, &json!("review_required")));
    assert_eq!(server.post(&format!("{one}/submit"), json!({})).await.1["code"], "illegal_revision_move");

    let (_, inbox) = two.second(Method::GET, "/api/v1/inbox", json!({})).await;
    assert_eq!(
        (&inbox["items"][0]["what"], &inbox["items"][0]["target"]),
        (&json!("review"), &json!("samples/one")),
        "{inbox}"
    );
    let (_, counts) = two.second(Method::GET, "/api/v1/inbox/counts", json!({})).await;
    assert_eq!((&counts["to_decide"], &counts["unread"]), (&json!(1), &json!(1)), "{counts}");
    assert_eq!(server.get("/api/v1/inbox").await.1["items"], json!([]));
    let (_, told) = two.second(Method::GET, "/api/v1/notifications?unread=true", json!({})).await;
    assert_eq!(told["items"][0]["what"], "revision.submitted", "{told}");
    let (_, read) = two.second(Method::POST, "/api/v1/notifications/read", json!({})).await;
    assert_eq!(read, json!({ "read": 1 }));

    let comment = json!({ "body": "is three enough?", "pointer": "/count" });
    let (status, said) = two.second(Method::POST, &format!("{one}/comments"), comment).await;
    assert_eq!((status, &said["author"]), (StatusCode::CREATED, &json!("second")), "{said}");
    assert_eq!(server.get(&format!("{one}/comments")).await.1["items"][0]["pointer"], "/count");

    let (_, seen) = two.second(Method::GET, &format!("{one}/review"), json!({})).await;
    assert_eq!(
        (&seen["may_decide"], &seen["authors"], &seen["comments"]),
        (&json!(true), &json!(["owner"]), &json!(1))
    );
    assert_eq!(seen["changes"][0]["pointer"], "/count", "{seen}");
    assert_eq!(server.get(&format!("{one}/review")).await.1["may_decide"], false);
    let yes = json!({ "hash": seen["hash"], "reason": "fine" });
    let (status, own) = server.post(&format!("{one}/approve"), yes.clone()).await;
    assert_eq!((status, &own["code"]), (StatusCode::FORBIDDEN, &json!("own_revision")));
    let (status, wrong) =
        two.second(Method::POST, &format!("{one}/approve"), json!({ "hash": "sha256:0" })).await;
    assert_eq!((status, &wrong["code"]), (StatusCode::CONFLICT, &json!("plan_hash_mismatch")));
    let (status, none) = two.second(Method::POST, &format!("{one}/reject"), json!({})).await;
    assert_eq!((status, &none["code"]), (StatusCode::BAD_REQUEST, &json!("reason_required")));
    let (status, approved) = two.second(Method::POST, &format!("{one}/approve"), yes).await;
    assert_eq!((status, &approved["state"]), (StatusCode::OK, &json!("approved")), "{approved}");
    let late = server.post(&format!("{one}/withdraw"), json!({ "reason": "late" })).await;
    assert_eq!((late.0, &late.1["code"]), (StatusCode::CONFLICT, &json!("illegal_revision_move")));

    let (_, inbox) = server.get("/api/v1/inbox").await;
    assert_eq!(
        (&inbox["items"][0]["what"], &inbox["items"][0]["by"]),
        (&json!("approved"), &json!("second")),
        "{inbox}"
    );
    let (status, started) = server.start_job("/api/v1/samples/one/publish", "publish", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let job = server.job_ended(started["job"]["id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let again = server.start_job("/api/v1/samples/one/publish", "publish", json!({})).await;
    assert_eq!(
        (again.0, &again.1["job"]["id"]),
        (StatusCode::ACCEPTED, &started["job"]["id"]),
        "the same key, the same job"
    );
    assert_eq!(server.get("/api/v1/inbox").await.1["items"], json!([]));
}
