//! Whoever tries names learns nothing of who is there: the same words, and the same work. By itself, because the work is
//! counted for the process.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "http/support.rs"]
#[allow(dead_code, reason = "shared with the other tests of HTTP")]
mod support;

use qd_kernel::credentials::{bcrypt_rounds, password_hashes};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{TestServer, answer};

const PASSWORD: &str = "correct horse battery";

/// The answer to a wrong password, without what names the request, and the hashes that were computed for it.
async fn tried(server: &TestServer, path: &str, body: Value) -> (StatusCode, Value, u64) {
    let before = password_hashes();
    let (status, mut problem) = answer(server.client.post(server.url(path)).json(&body)).await;
    problem.as_object_mut().unwrap().remove("correlation_id");
    (status, problem, password_hashes() - before)
}

async fn person(server: &TestServer, name: &str) -> String {
    let (_, made) = server.post("/api/v1/users", json!({ "name": name })).await;
    let url = made["invitation"]["url"].as_str().unwrap();
    url.split_once("#invitation=").unwrap().1.to_owned()
}

#[tokio::test]
async fn nobody_learns_who_is_there() {
    let server = TestServer::start().await;
    let (ann, ben) = (person(&server, "ann").await, person(&server, "ben").await);
    for code in [&ann, &ben] {
        let body = json!({ "code": code, "password": PASSWORD });
        let (status, ..) = tried(&server, "/api/v1/auth/accept", body).await;
        assert_eq!(status, StatusCode::OK);
    }
    // Invited, without a password yet; and somebody who may not come in any more.
    let open = person(&server, "cleo").await;
    let read = server.request(reqwest::Method::GET, "/api/v1/users/ben").send().await.unwrap();
    let patch = server.request(reqwest::Method::PATCH, "/api/v1/users/ben");
    let patch = patch.header("if-match", &read.headers()["etag"]).json(&json!({ "state": "suspended" }));
    assert!(patch.send().await.unwrap().status().is_success());

    let sign_in = async |name: &str, password: &str| {
        tried(&server, "/api/v1/auth/sign-in", json!({ "name": name, "password": password })).await
    };
    let known = sign_in("ann", "not her password").await;
    assert_eq!((known.0, known.2), (StatusCode::UNAUTHORIZED, 1), "{known:?}");
    for (name, password) in [
        ("nobody", "not her password"),
        ("cleo", "not her password"),
        ("ben", PASSWORD),
        ("owner", "not her password"),
        ("Ann", PASSWORD),
        ("ann ", PASSWORD),
        ("", ""),
        ("ann' OR '1'='1", "x"),
    ] {
        assert_eq!(sign_in(name, password).await, known, "{name}");
    }
    // Hashes that were brought along cost more, and so does everybody's try as long as there are any.
    for (name, cost) in [("ivy", "05"), ("jon", "08")] {
        let hash = format!("$2b${cost}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
        let (status, made) =
            server.post("/api/v1/users", json!({ "name": name, "password_hash": hash })).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    for name in ["ivy", "jon", "dora", "ben", "owner"] {
        let before = bcrypt_rounds();
        assert_eq!(sign_in(name, "not the password").await, known, "{name}");
        assert_eq!(bcrypt_rounds() - before, 1 << 8, "{name}");
    }
    // A name that nobody has is locked like any other.
    let mut locked = vec![];
    for name in ["ann", "nobody"] {
        let mut codes = vec![];
        for _ in 0..5 {
            let (status, problem, _) = sign_in(name, "wrong again and again").await;
            codes.push((status, problem["code"].as_str().unwrap().to_owned()));
        }
        locked.push(codes);
    }
    assert_eq!(locked[0], locked[1]);
    assert!(locked[0].contains(&(StatusCode::TOO_MANY_REQUESTS, "too_many_tries".to_owned())), "{locked:?}");

    // An invitation that was used is as one that never was; neither costs a hash.
    let accept = async |code: &str| {
        tried(&server, "/api/v1/auth/accept", json!({ "code": code, "password": PASSWORD })).await
    };
    let never = accept("qdi_0000").await;
    assert_eq!((never.0, never.2), (StatusCode::UNAUTHORIZED, 0));
    assert_eq!(accept(&ann).await, never);
    assert_eq!(accept(&format!("{open}0")).await, never);
}
