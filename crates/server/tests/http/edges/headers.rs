//! What browsers are told, on every route and on the pages; and which other sites' pages get an answer.

use qd_server::EdgeOptions;
use reqwest::{Method, Response, StatusCode};

use crate::http::support::TestServer;

const SITE: &str = "https://portal.example.org";

async fn routes(server: &TestServer) -> Vec<(Method, String)> {
    let (_, description) = server.get("/openapi.json").await;
    let paths = description["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &serde_json::Value)| {
        let path = path.replace(['{', '}'], "");
        let methods: Vec<String> = methods.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    };
    paths.iter().flat_map(of).collect()
}

#[tokio::test]
async fn every_answer_tells_browsers_what_not_to_do() {
    let server = TestServer::start().await;
    let mut asked = routes(&server).await;
    assert!(asked.len() > 60, "{} routes", asked.len());
    let pages =
        ["/", "/pipelines", "/docs/api", "/docs/errors", "/assets/none.js", "/api/v1/none", "/t/x/api/v1/me"];
    asked.extend(pages.map(|path| (Method::GET, path.to_owned())));
    asked.push((Method::PATCH, "/health".into()));
    // What a redirect leads to is asked by itself.
    let unled = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut wrong = vec![];
    for (method, path) in asked {
        for token in ["", &server.token] {
            let request = unled.request(method.clone(), server.url(&path));
            let request = if token.is_empty() { request } else { request.bearer_auth(token) };
            let request = request.header("accept-encoding", "identity");
            let response = request.send().await.unwrap();
            let says = |name: &str| {
                response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
            };
            let wanted = [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("strict-transport-security", ""),
                ("access-control-allow-origin", ""),
            ];
            wrong.extend(
                wanted
                    .iter()
                    .filter(|(name, value)| says(name) != *value)
                    .map(|(name, _)| format!("{method} {path}: {name}: {:?}", says(name))),
            );
            let csp = says("content-security-policy");
            for part in
                ["default-src 'self'", "script-src 'self';", "frame-ancestors 'none'", "object-src 'none'"]
            {
                if !csp.contains(part) {
                    wrong.push(format!("{method} {path}: {part} is not in {csp:?}"));
                }
            }
            if !says("permissions-policy").contains("camera=()") {
                wrong.push(format!("{method} {path}: permissions-policy"));
            }
            let kept = says("cache-control");
            if path.starts_with("/api/") && kept != "no-store" {
                wrong.push(format!("{method} {path}: cache-control: {kept:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn other_sites_get_nothing_unless_they_are_named() {
    let server = TestServer::start().await;
    let response = preflight(&server, SITE).await;
    assert!(allowed(&response).is_none(), "{response:?}");
    let response = server.request(Method::GET, "/api/v1/me").header("origin", SITE).send().await.unwrap();
    assert_eq!((response.status(), allowed(&response)), (StatusCode::OK, None));
}

#[tokio::test]
async fn a_named_site_is_answered_and_no_other() {
    let options = EdgeOptions { cors_origins: vec![SITE.into()], ..EdgeOptions::default() };
    let server = TestServer::with_edge(options).await;
    let response = preflight(&server, SITE).await;
    assert_eq!((response.status(), allowed(&response).as_deref()), (StatusCode::OK, Some(SITE)));
    let says = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert!(says("access-control-allow-methods").contains("PUT"));
    assert!(says("access-control-allow-headers").contains("authorization"));
    assert!(says("vary").to_lowercase().contains("origin"));
    // Cookies are our own pages' alone.
    assert!(response.headers().get("access-control-allow-credentials").is_none());
    let response = server.request(Method::GET, "/api/v1/me").header("origin", SITE).send().await.unwrap();
    assert_eq!(allowed(&response).as_deref(), Some(SITE));
    assert!(response.headers()["access-control-expose-headers"].to_str().unwrap().contains("etag"));
    // Also an error can be read there.
    let response = server.client.get(server.url("/api/v1/me")).header("origin", SITE).send().await.unwrap();
    assert_eq!((response.status(), allowed(&response).as_deref()), (StatusCode::UNAUTHORIZED, Some(SITE)));
    for other in [
        "https://portal.example.org.evil.example",
        "http://portal.example.org",
        "https://x.portal.example.org",
        "null",
    ] {
        assert_eq!(allowed(&preflight(&server, other).await), None, "{other}");
    }
}

async fn preflight(server: &TestServer, origin: &str) -> Response {
    let request = server
        .client
        .request(Method::OPTIONS, server.url("/api/v1/samples/one/working-copy"))
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "authorization,content-type,if-match");
    request.send().await.unwrap()
}

fn allowed(response: &Response) -> Option<String> {
    let value = response.headers().get("access-control-allow-origin")?;
    Some(value.to_str().unwrap().to_owned())
}
