//! Who asks too much is told when to come back, and nobody else notices.

use qd_server::{EdgeOptions, Rates};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::http::support::{TestServer, answer};

fn limited(rates: &[&str]) -> EdgeOptions {
    let mut options = EdgeOptions { rates: Rates::off(), ..EdgeOptions::default() };
    rates.iter().for_each(|rate| options.rates.set(&rate.parse().unwrap()));
    options
}

async fn sent(request: RequestBuilder) -> (StatusCode, Response) {
    let response = request.send().await.unwrap();
    (response.status(), response)
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn sign_in(server: &TestServer, forwarded: &str) -> RequestBuilder {
    let body = json!({ "name": "nobody", "password": "none of anybody's" });
    server.client.post(server.url("/api/v1/auth/sign-in")).header("x-forwarded-for", forwarded).json(&body)
}

#[tokio::test]
async fn who_guesses_is_told_when_to_come_back() {
    let server = TestServer::with_edge(limited(&["sign-in=3/60"])).await;
    for left in [2, 1, 0] {
        let (status, response) = sent(sign_in(&server, "")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(header(&response, "ratelimit-policy"), "\"sign-in\";q=3;w=60");
        assert!(header(&response, "ratelimit").starts_with(&format!("\"sign-in\";r={left};t=")));
    }
    // An invented origin, and an invented token, change nothing.
    for request in [sign_in(&server, "198.51.100.7"), sign_in(&server, "").bearer_auth("qd_junk")] {
        let (status, response) = sent(request).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = header(&response, "retry-after").parse().unwrap();
        assert!((1..=20).contains(&wait), "{wait}");
        assert!(header(&response, "ratelimit").starts_with("\"sign-in\";r=0;t="));
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "rate_limited");
    }
    // Who is signed in is not concerned.
    assert_eq!(server.get("/api/v1/me").await.0, StatusCode::OK);
    let metrics = server.client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("qd_http_limited_total{class=\"sign-in\"} 2"), "{metrics}");
}

#[tokio::test]
async fn no_header_takes_a_sign_in_out_of_the_count() {
    let server = TestServer::with_edge(limited(&["sign-in=1/60", "write=1/60"])).await;
    let disguised = |path: &str, body: Value| {
        let request = server.client.post(server.url(path)).json(&body);
        sent(request.header("accept", "text/event-stream").header("cookie", "a=b"))
    };
    let guess = json!({ "name": "nobody", "password": "none of anybody's" });
    let (status, response) = disguised("/api/v1/auth/sign-in", guess.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(header(&response, "ratelimit").starts_with("\"sign-in\";r=0;"), "{response:?}");
    assert_eq!(disguised("/api/v1/auth/sign-in", guess).await.0, StatusCode::TOO_MANY_REQUESTS);
    // Nor does it make a stream of what writes.
    let write = || {
        let request = server.request(Method::POST, "/api/v1/auth/links").json(&json!({}));
        sent(request.header("accept", "text/event-stream"))
    };
    assert_eq!([write().await.0, write().await.0], [StatusCode::CREATED, StatusCode::TOO_MANY_REQUESTS]);
}

#[tokio::test]
async fn a_disguised_sign_in_takes_no_larger_body() {
    let server = TestServer::start().await;
    let body = json!({ "name": "nobody", "password": "x".repeat(20_000) });
    let request = server.client.post(server.url("/api/v1/auth/sign-in")).json(&body);
    let request = request.header("accept", "text/event-stream").header("cookie", "a=b");
    assert_eq!(sent(request).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

/// The addresses below `/auth` that want no token are sign-ins, but for the list of providers; the others are not.
#[tokio::test]
async fn only_what_gives_a_session_counts_as_a_sign_in() {
    let rates = ["sign-in=100/60", "read=100/60", "write=100/60", "refused=100/60"];
    let server = TestServer::with_edge(limited(&rates)).await;
    let (_, description) = server.get("/openapi.json").await;
    // What a redirect leads to is another address.
    let unled = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut seen = (0, 0);
    for (path, methods) in description["paths"].as_object().unwrap() {
        if !path.starts_with("/api/v1/auth/") {
            continue;
        }
        for (method, route) in methods.as_object().unwrap() {
            let public = route["security"] == json!([]) && path != "/api/v1/auth/providers";
            let method: Method = method.to_uppercase().parse().unwrap();
            let request = unled.request(method, server.url(&path.replace(['{', '}'], "")));
            let (_, response) = sent(request).await;
            let counted = header(&response, "ratelimit").starts_with("\"sign-in\"");
            assert_eq!(counted, public, "{path}: {}", header(&response, "ratelimit"));
            *if public { &mut seen.0 } else { &mut seen.1 } += 1;
        }
    }
    assert!(seen.0 >= 6 && seen.1 >= 10, "{seen:?}");
}

#[tokio::test]
async fn people_behind_a_listed_proxy_are_counted_one_by_one() {
    let mut options = limited(&["sign-in=1/60"]);
    options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::with_edge(options).await;
    for (forwarded, wanted) in [
        ("198.51.100.7", StatusCode::UNAUTHORIZED),
        ("198.51.100.7", StatusCode::TOO_MANY_REQUESTS),
        ("198.51.100.8", StatusCode::UNAUTHORIZED),
        // What a client put before the proxy's own entry is not believed.
        ("203.0.113.1, 198.51.100.8", StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert_eq!(sent(sign_in(&server, forwarded)).await.0, wanted, "{forwarded}");
    }
    // The audit names whom the proxy named.
    let (_, records) = server.get("/api/v1/audit?limit=50").await;
    assert!(!records.to_string().contains("203.0.113.1"), "{records}");
}

#[tokio::test]
async fn reads_writes_and_streams_are_counted_by_who_asks() {
    let server = TestServer::with_edge(limited(&["read=2/60", "write=1/60", "stream=1/60"])).await;
    let other = server.kernel.owner_token().await.unwrap();
    let stream = || server.request(Method::GET, "/api/v1/stream").header("accept", "text/event-stream");
    let write = || server.request(Method::POST, "/api/v1/auth/links").json(&json!({}));
    let read = || server.request(Method::GET, "/api/v1/me");
    for (class, one, times) in
        [("read", &read as &dyn Fn() -> RequestBuilder, 2), ("write", &write, 1), ("stream", &stream, 1)]
    {
        for _ in 0..times {
            let (status, response) = sent(one()).await;
            assert!(status.is_success(), "{class}: {status}");
            assert!(header(&response, "ratelimit").starts_with(&format!("\"{class}\";")), "{class}");
        }
        let (status, response) = sent(one()).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{class}");
        assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1, "{class}");
    }
    // It is the person that counts, whatever it shows; and one who shows nothing is somebody else.
    let again = server.client.get(server.url("/api/v1/me")).bearer_auth(&other);
    assert_eq!(sent(again).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sent(server.client.get(server.url("/version"))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn tokens_that_nobody_has_are_counted() {
    let server = TestServer::with_edge(limited(&["refused=2/60"])).await;
    let guess = || answer(server.client.get(server.url("/api/v1/me")).bearer_auth("qd_guess"));
    let codes = [guess().await.1, guess().await.1, guess().await.1].map(|problem| problem["code"].clone());
    assert_eq!(codes, ["bad_credential", "bad_credential", "rate_limited"]);
    assert_eq!(server.get("/api/v1/me").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_no_route_looks_at_spares_nobody_the_count() {
    let server = TestServer::with_edge(limited(&["read=2/60"])).await;
    let ask = || sent(server.client.get(server.url("/version")).bearer_auth("qd_junk"));
    assert_eq!([ask().await.0, ask().await.0], [StatusCode::OK; 2]);
    assert_eq!(ask().await.0, StatusCode::TOO_MANY_REQUESTS);
}
