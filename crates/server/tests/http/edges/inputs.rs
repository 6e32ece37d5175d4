//! What nobody should send, sent to every route that reads a body: refused with its code, never a failure of the server's.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::http::support::{TestServer, answer};

/// `(what it is, JSON)`; none of it reads the same to everybody, or at all.
fn json() -> Vec<(&'static str, Vec<u8>)> {
    let deep = format!("{{\"spec\": {}{}}}", "[".repeat(2_000), "]".repeat(2_000));
    vec![
        ("a key twice", br#"{"spec": {"count": 1, "count": 2}}"#.to_vec()),
        ("a key twice, spelt otherwise", br#"{"name": "a", "n\u0061me": "b"}"#.to_vec()),
        ("NUL", br#"{"name": "a\u0000b", "reason": "\u0000"}"#.to_vec()),
        ("NUL in a key", br#"{"na\u0000me": 1}"#.to_vec()),
        ("no UTF-8", b"{\"name\": \"\xff\xfe\"}".to_vec()),
        ("half a surrogate", br#"{"name": "\ud800"}"#.to_vec()),
        ("a number without end", br#"{"spec": {"count": 1e999}}"#.to_vec()),
        ("depth", deep.into_bytes()),
        ("a text that is parsed", br#"{"spec": {"$serde_json::private::RawValue": "{}"}}"#.to_vec()),
        ("a cut", br#"{"name": "#.to_vec()),
        ("more behind it", br#"{} {}"#.to_vec()),
    ]
}

fn yaml() -> Vec<(&'static str, Vec<u8>)> {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    vec![
        ("a billion laughs", laughs.into_bytes()),
        ("many aliases", format!("a: &a x\nb: [{}]\n", "*a, ".repeat(5_000)).into_bytes()),
        ("a key twice", b"spec: {count: 1}\nspec: {count: 2}\n".to_vec()),
        ("a key twice within", b"spec:\n  count: 1\n  count: 2\n".to_vec()),
        ("NUL", b"name: \"a\0b\"\n".to_vec()),
        ("NUL, escaped", b"name: \"a\\0b\"\n".to_vec()),
        ("no UTF-8", b"name: \xff\xfe\n".to_vec()),
        ("depth", format!("a: {}{}\n", "[".repeat(2_000), "]".repeat(2_000)).into_bytes()),
        ("a text that is parsed", b"spec: {$serde_json::private::RawValue: \"{}\"}\n".to_vec()),
        ("a cut", b"a: [1, 2\n".to_vec()),
        ("an alias of nothing", b"a: *b\n".to_vec()),
        ("a merge of itself", b"a: &a\n  <<: *a\n".to_vec()),
    ]
}

/// `(method, path, media types)` of each route that reads JSON or YAML.
async fn routes(server: &TestServer) -> Vec<(Method, String, Vec<String>)> {
    let (_, description) = server.get("/openapi.json").await;
    let mut found = vec![];
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, said) in methods.as_object().unwrap() {
            let Some(content) = said["requestBody"]["content"].as_object() else { continue };
            let media: Vec<String> =
                content.keys().filter(|media| !media.ends_with("octet-stream")).cloned().collect();
            let path = path.replace("{name}", "one").replace("{number}", "1").replace("{path}", "a/b");
            let path = path.replace("{id}", &uuid::Uuid::from_u128(1).to_string());
            if !media.is_empty() {
                found.push((method.to_uppercase().parse().unwrap(), path, media));
            }
        }
    }
    found
}

#[tokio::test]
async fn what_nobody_should_send_is_refused_everywhere() {
    let server = TestServer::start().await;
    server.published("one", serde_json::json!({})).await;
    let (mut wrong, mut read) = (vec![], 0);
    let routes = routes(&server).await;
    assert!(routes.len() > 30, "{} routes", routes.len());
    for (method, path, media) in routes {
        // It would end the token that asks.
        if path.ends_with("/sign-out") {
            continue;
        }
        for media in media {
            let yaml_only = media.contains("yaml");
            let (sent, code) = if yaml_only { (yaml(), "bad_yaml") } else { (json(), "bad_json") };
            for (what, body) in sent {
                let request = server
                    .request(method.clone(), &path)
                    .header("content-type", &media)
                    .header("if-match", "\"1\"")
                    .header("idempotency-key", "key")
                    .body(body);
                let (status, problem) = answer(request).await;
                let named: &Value = &problem["code"];
                read += usize::from(named == code);
                // A secret's own reader says no more than that it is none.
                let known = named == code
                    || named == "bad_body"
                    || [404, 409, 412].contains(&status.as_u16())
                    || (what == "a merge of itself" && status == StatusCode::UNPROCESSABLE_ENTITY);
                if !status.is_client_error() || !known || status == StatusCode::UNAUTHORIZED {
                    wrong.push(format!("{method} {path} {media}: {what}: {status} {problem}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(read > 200, "{read} were refused for what they are");
}

#[tokio::test]
async fn odd_queries_and_paths_are_refused() {
    let server = TestServer::start().await;
    let odd =
        ["%ff", "%c0%80", "%2e%2e%2f", "%0d%0aset-cookie:%20a=b", "'%3B--", "%F0%9F%92%A5", "%E2%80%AE"];
    let mut wrong = vec![];
    for text in odd {
        for path in [
            format!("/api/v1/samples?cursor={text}"),
            format!("/api/v1/samples?limit={text}"),
            format!("/api/v1/samples/{text}"),
            format!("/api/v1/runs/{text}"),
            format!("/api/v1/secrets/{text}"),
            format!("/api/v1/explain/{text}"),
            format!("/api/v1/audit?actor={text}"),
            format!("/api/v1/code/{text}"),
            format!("/t/{text}/api/v1/me"),
        ] {
            let response = server.request(Method::GET, &path).send().await.unwrap();
            if response.status().is_server_error() || response.headers().contains_key("set-cookie") {
                wrong.push(format!("{path}: {}", response.status()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A number that no counter holds.
    for limit in ["99999999999999999999999", "-1", "1e3", "0x10", "NaN"] {
        let (status, _) = server.get(&format!("/api/v1/samples?limit={limit}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{limit}");
    }
}
