//! Who may call: tokens, sign-in links, sessions, scopes, ids.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer};

#[tokio::test]
async fn nothing_of_a_tenant_is_read_without_a_token() {
    let server = TestServer::start().await;
    for path in
        ["/api/v1/me", "/api/v1/samples", "/api/v1/runs", "/api/v1/stream", "/api/v1/kinds", "/api/v1/audit"]
    {
        let (status, problem) = answer(server.client.get(server.url(path))).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("no_credential")), "{path}");
        let (status, problem) = answer(server.client.get(server.url(path)).bearer_auth("qd_stranger")).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNAUTHORIZED, &json!("bad_credential")),
            "{path}"
        );
    }
    for path in ["/health", "/version", "/openapi.json", "/ready", "/metrics"] {
        let reply = server.client.get(server.url(path)).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_sign_in_code_opens_one_session() {
    let server = TestServer::start().await;
    let (status, link) = server.post("/api/v1/auth/links", json!({})).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(link["url"].as_str().unwrap().contains("/sign-in#code=qdl_"));
    let exchange =
        || server.client.post(server.url("/api/v1/auth/exchange")).json(&json!({ "code": link["code"] }));
    let reply = exchange().send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let cookie = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let (status, problem) = answer(exchange()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("bad_sign_in_code")));

    let session = cookie.split(';').next().unwrap().to_owned();
    let with = |method: Method, path: &str| {
        server.client.request(method, server.url(path)).header("cookie", &session)
    };
    let (status, me) = answer(with(Method::GET, "/api/v1/me")).await;
    assert_eq!((status, &me["principal"]["name"]), (StatusCode::OK, &json!("owner")));

    let (status, problem) = answer(with(Method::POST, "/api/v1/auth/links")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("cross_site")));
    let foreign = with(Method::POST, "/api/v1/auth/links").header("origin", "http://elsewhere.example");
    assert_eq!(answer(foreign).await.0, StatusCode::FORBIDDEN);
    let own = with(Method::POST, "/api/v1/auth/links").header("origin", format!("http://{}", server.address));
    assert_eq!(answer(own).await.0, StatusCode::CREATED);

    let out = with(Method::POST, "/api/v1/auth/sign-out").header("sec-fetch-site", "same-origin");
    assert_eq!(answer(out).await.0, StatusCode::NO_CONTENT);
    assert_eq!(answer(with(Method::GET, "/api/v1/me")).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_scope_is_named_once_and_must_exist() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/t/default/api/v1/me").await.0, StatusCode::OK);
    let (status, problem) = server.get("/t/elsewhere/api/v1/me").await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("scope_not_found")));
    let both = server.request(Method::GET, "/t/default/api/v1/me").header("x-tenant-id", "other");
    assert_eq!(answer(both).await.1["code"], "scopes_disagree");
    let (_, me) = server.get("/t/default/p/default/api/v1/me").await;
    assert_eq!(me["project"]["name"], "default");
    assert_eq!(server.get("/t/default/p/elsewhere/api/v1/me").await.1["code"], "scope_not_found");
    let both = server.request(Method::GET, "/t/default/p/default/api/v1/me").header("x-project-id", "other");
    assert_eq!(answer(both).await.1["code"], "scopes_disagree");
    let bad = server.request(Method::GET, "/api/v1/me").header("x-tenant-id", "a b");
    assert_eq!(answer(bad).await.1["code"], "bad_scope");
}

#[tokio::test]
async fn errors_are_problems_that_name_their_request() {
    let server = TestServer::start().await;
    let request = server
        .request(Method::GET, "/api/v1/samples/none")
        .header("x-correlation-id", "corr-1")
        .header("x-request-id", "req-1");
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    assert_eq!(reply.headers()["content-type"], "application/problem+json");
    assert_eq!(reply.headers()["x-request-id"], "req-1");
    let problem: serde_json::Value = reply.json().await.unwrap();
    assert_eq!(
        (&problem["code"], &problem["correlation_id"], &problem["status"]),
        (&json!("resource_not_found"), &json!("corr-1"), &json!(404))
    );

    assert_eq!(server.get("/api/v1/nothing").await.1["code"], "route_not_found");
    let (status, problem) = answer(server.request(Method::PUT, "/api/v1/samples")).await;
    assert_eq!(
        (status, &problem["code"], &problem["status"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_allowed"), &json!(405))
    );
}

#[tokio::test]
async fn behind_a_proxy_the_pages_for_operators_want_a_token() {
    let server = TestServer::start().await;
    for path in ["/ready", "/metrics"] {
        for (name, value) in
            [("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1"), ("via", "1.1 proxy")]
        {
            let passed_on = || server.client.get(server.url(path)).header(name, value);
            assert_eq!(answer(passed_on()).await.0, StatusCode::UNAUTHORIZED, "{path} {name}");
            assert_eq!(
                answer(passed_on().bearer_auth(&server.token)).await.0,
                StatusCode::OK,
                "{path} {name}"
            );
        }
    }
}

#[tokio::test]
async fn an_address_with_a_malformed_part_is_a_problem_too() {
    let server = TestServer::start().await;
    let (status, problem) = server.get("/api/v1/samples/one/revisions/first").await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_path")), "{problem}");
}

#[tokio::test]
async fn a_parameter_that_there_is_not_is_refused_and_filters_nothing() {
    let server = TestServer::start().await;
    for (path, wanted) in [
        ("/api/v1/audit?outcom=denied", "did you mean \"outcome\"?"),
        ("/api/v1/samples?bogus=1", "there is no parameter \"bogus\" here"),
        ("/api/v1/tenants?limit=1&tenant=acme", "there is no parameter \"tenant\" here"),
    ] {
        let (status, problem) = server.get(path).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_query")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(wanted), "{problem}");
    }
    assert_eq!(server.get("/api/v1/audit?outcome=denied&limit=1").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_the_platforms_is_nothing_that_an_administrator_of_a_tenant_may_do() {
    let server = TestServer::start().await;
    server.post("/api/v1/users", json!({ "name": "ann" })).await;
    let (status, told) = answer(server.request(Method::PUT, "/api/v1/members/ann/TENANT_ADMIN")).await;
    assert!(status.is_success(), "{told}");
    let ask = async |question: &str| server.get(&format!("/api/v1/auth/{question}")).await.1;
    for (action, level, places) in [
        ("users.create", "platform", [false, false, false]),
        ("secrets.rotate-master", "platform", [false, false, false]),
        ("teams.create", "tenant", [false, true, false]),
        ("jobs.cancel", "project", [true, true, false]),
    ] {
        let told = ask(&format!("can-i?action={action}&as=ann")).await;
        let answered = ["project", "tenant", "platform"].map(|place| told[place] == true);
        assert_eq!((told["level"].as_str(), answered), (Some(level), places), "{told}");
        let would = told["allowed_by"].as_array().unwrap().contains(&json!("TENANT_ADMIN"));
        assert_eq!(would, level != "platform", "{told}");
        let able = ask(&format!("who-can?action={action}")).await;
        let able: Vec<&str> =
            able["items"].as_array().unwrap().iter().filter_map(|one| one["principal"].as_str()).collect();
        assert_eq!(able.contains(&"ann"), level != "platform", "{action}: {able:?}");
        assert!(able.contains(&"owner"), "{action}: {able:?}");
    }
}

#[tokio::test]
async fn whoever_holds_a_role_in_a_project_sees_that_project_alone() {
    let server = TestServer::start().await;
    for (path, body) in [
        ("/api/v1/projects", json!({ "name": "lab" })),
        ("/api/v1/projects", json!({ "name": "secret" })),
        ("/api/v1/teams", json!({ "name": "guests" })),
    ] {
        assert_eq!(server.post(path, body).await.0, StatusCode::CREATED);
    }
    for path in ["members/dev/PIPELINE_DEV?project=lab", "members/all/viewer", "teams/guests/members/guest"] {
        let name = path.split('/').find(|word| ["dev", "all", "guest"].contains(word)).unwrap();
        server.post("/api/v1/users", json!({ "name": name, "service": true })).await;
        let (status, told) = answer(server.request(Method::PUT, &format!("/api/v1/{path}"))).await;
        assert!(status.is_success(), "{told}");
    }
    let token = async |name: &str, body: Value| {
        let (_, made) = server.post(&format!("/api/v1/users/{name}/tokens"), body).await;
        made["token"].as_str().unwrap().to_owned()
    };
    let seen = async |token: &str| {
        answer(server.client.get(server.url("/api/v1/projects")).bearer_auth(token)).await
    };
    for (name, projects) in [("dev", &["lab"][..]), ("all", &["default", "lab", "secret"]), ("guest", &[])] {
        let (status, told) = seen(&token(name, json!({})).await).await;
        let names: Vec<&str> =
            told["items"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!((status, names.as_slice()), (StatusCode::OK, projects), "{name}");
    }
    let limited = token("dev", json!({ "allows": ["jobs.list"] })).await;
    assert_eq!(seen(&limited).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_tenant_is_told_nothing_of_accounts_that_are_not_its_own() {
    let server = TestServer::start().await;
    for (name, service) in [("lone", false), ("member", false), ("looker", true)] {
        server.post("/api/v1/users", json!({ "name": name, "service": service })).await;
    }
    for name in ["member", "looker"] {
        let path = format!("/api/v1/members/{name}/viewer");
        let (status, told) = answer(server.request(Method::PUT, &path)).await;
        assert!(status.is_success(), "{told}");
    }
    let (_, made) = server.post("/api/v1/users/looker/tokens", json!({})).await;
    let token = made["token"].as_str().unwrap();
    let ask = async |name: &str| {
        let path = format!("/api/v1/auth/can-i?action=tenants.create&as={name}");
        answer(server.client.get(server.url(&path)).bearer_auth(token)).await
    };
    let (status, told) = ask("member").await;
    assert_eq!((status, &told["principal"]), (StatusCode::OK, &json!("member")), "{told}");
    for nobody in ["lone", "nobody"] {
        let (status, problem) = ask(nobody).await;
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("user_not_found")), "{nobody}");
    }
}
