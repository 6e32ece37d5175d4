//! Access and refresh tokens over HTTP, and what somebody tries who has none.

use qd_testkit::jwt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer};

/// An access token and a refresh token of the owner.
async fn granted(server: &TestServer) -> Value {
    let (_, link) = server.post("/api/v1/auth/links", json!({})).await;
    let (status, granted) = ask(server, json!({ "grant_type": "sign_in_code", "code": link["code"] })).await;
    assert_eq!(status, StatusCode::OK, "{granted}");
    granted
}

async fn ask(server: &TestServer, grant: Value) -> (StatusCode, Value) {
    answer(server.client.post(server.url("/api/v1/auth/token")).json(&grant)).await
}

fn renewal(granted: &Value) -> Value {
    json!({ "grant_type": "refresh_token", "refresh_token": granted["refresh_token"] })
}

/// What a request with this token is answered, without the ids of the request.
async fn with(server: &TestServer, token: &str) -> (StatusCode, Value) {
    let (status, mut told) = answer(server.client.get(server.url("/api/v1/me")).bearer_auth(token)).await;
    told["correlation_id"] = Value::Null;
    (status, told)
}

#[tokio::test]
async fn a_token_is_published_as_verifiable_and_signs_out() {
    let server = TestServer::start().await;
    let granted = granted(&server).await;
    assert_eq!((&granted["token_type"], &granted["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert!(granted["refresh_expires_in"].as_i64().unwrap() > 86_400 * 29, "{granted}");
    let token = granted["access_token"].as_str().unwrap();
    let (status, me) = with(&server, token).await;
    assert_eq!((status, &me["principal"]["name"]), (StatusCode::OK, &json!("owner")));
    let claims = jwt::claims(token);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    assert!(
        claims["iss"].as_str().unwrap().starts_with("urn:uuid:") && claims["aud"] == "quarterdeck",
        "{claims}"
    );
    let (_, keys) = answer(server.client.get(server.url("/.well-known/jwks.json"))).await;
    assert_eq!((&keys["keys"][0]["crv"], keys["keys"].as_array().unwrap().len()), (&json!("Ed25519"), 1));
    assert!(keys["keys"][0].get("d").is_none(), "{keys}");

    let (status, rotated) = server.post("/api/v1/auth/keys/rotate", json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{rotated}");
    let (status, next) = ask(&server, renewal(&granted)).await;
    assert_eq!(status, StatusCode::OK, "{next}");
    let (_, list) =
        answer(server.client.get(server.url("/api/v1/auth/credentials")).bearer_auth(token)).await;
    let current = list["items"].as_array().unwrap().iter().find(|item| item["current"] == true).unwrap();
    assert_eq!(current["kind"], "refresh");
    assert!(!list.to_string().contains("qdr_"));

    let next_token = next["access_token"].as_str().unwrap();
    let out =
        server.client.request(Method::POST, server.url("/api/v1/auth/sign-out")).bearer_auth(next_token);
    assert_eq!(answer(out).await.0, StatusCode::NO_CONTENT);
    for token in [token, next_token] {
        let (status, problem) = with(&server, token).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("bad_credential")));
    }
    let (status, problem) = ask(&server, renewal(&next)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("bad_refresh_token")));
}

#[tokio::test]
async fn every_forged_token_is_answered_alike() {
    let server = TestServer::start().await;
    let granted = granted(&server).await;
    let token = granted["access_token"].as_str().unwrap();
    let claims = jwt::claims(token);
    let (_, keys) = answer(server.client.get(server.url("/.well-known/jwks.json"))).await;
    let kid = &keys["keys"][0]["kid"];
    let published = keys["keys"][0]["x"].as_str().unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let expected = with(&server, "qd_stranger").await;
    assert_eq!((expected.0, &expected.1["code"]), (StatusCode::UNAUTHORIZED, &json!("bad_credential")));
    for (what, forged) in [
        ("no algorithm", jwt::unsigned(&json!({ "alg": "none", "kid": kid }), &claims)),
        ("its signature taken off", format!("{signed}.")),
        ("signed by a stranger", jwt::ed25519(&[1; 32], &json!({ "alg": "EdDSA", "kid": kid }), &claims)),
        ("an unknown key", jwt::ed25519(&[1; 32], &json!({ "alg": "EdDSA", "kid": "none" }), &claims)),
        (
            "a key of its own",
            jwt::ed25519(&[1; 32], &json!({ "alg": "EdDSA", "jwk": jwt::jwk(&[1; 32], "x") }), &claims),
        ),
        (
            "the public key as a secret",
            jwt::hs256(published.as_bytes(), &json!({ "alg": "HS256", "kid": kid }), &claims),
        ),
        ("no JSON", "a.b.c".into()),
        ("the refresh token", granted["refresh_token"].as_str().unwrap().into()),
    ] {
        assert_eq!(with(&server, &forged).await, expected, "{what}");
    }
    let mut large = claims.clone();
    large["x"] = json!("x".repeat(10_000));
    let large = jwt::ed25519(&[1; 32], &json!({ "alg": "EdDSA", "kid": kid }), &large);
    let (status, problem) = with(&server, &large).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("bad_authorization")));
}

#[tokio::test]
async fn a_grant_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let wrong = json!({ "grant_type": "password", "name": "owner", "password": "wrong" });
    assert_eq!(ask(&server, wrong).await.1["code"], "bad_sign_in");
    let used = json!({ "grant_type": "sign_in_code", "code": "qdl_none" });
    assert_eq!(ask(&server, used).await.1["code"], "bad_sign_in_code");
    for odd in [json!({}), json!({ "grant_type": "implicit" }), json!({ "grant_type": "refresh_token" })] {
        let (status, problem) = ask(&server, odd.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{odd}: {problem}");
    }
    let cross =
        server.client.post(server.url("/api/v1/auth/token")).header("origin", "http://elsewhere.example");
    let (status, problem) =
        answer(cross.json(&json!({ "grant_type": "refresh_token", "refresh_token": "x" }))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("cross_site")));
}
