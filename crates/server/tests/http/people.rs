//! People over HTTP: an invitation becomes a session, a role becomes what one sees, another tenant is not there.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer};

const PASSWORD: &str = "correct horse battery";

/// Makes a person and accepts the invitation; answers the session as a cookie.
async fn person(server: &TestServer, name: &str) -> String {
    let (status, made) = server.post("/api/v1/users", json!({ "name": name })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let url = made["invitation"]["url"].as_str().unwrap();
    let (_, code) = url.split_once("/sign-in#invitation=").unwrap();
    let body = json!({ "code": code, "password": PASSWORD });
    let reply = server.client.post(server.url("/api/v1/auth/accept")).json(&body).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    cookie(&reply)
}

fn cookie(reply: &Response) -> String {
    let set = reply.headers()["set-cookie"].to_str().unwrap();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Max-Age=43200"),
        "{set}"
    );
    set.split(';').next().unwrap().to_owned()
}

fn as_one(server: &TestServer, session: &str, method: Method, path: &str) -> RequestBuilder {
    server
        .client
        .request(method, server.url(path))
        .header("cookie", session)
        .header("sec-fetch-site", "same-origin")
}

async fn sign_in(server: &TestServer, name: &str, password: &str) -> (StatusCode, Value) {
    let body = json!({ "name": name, "password": password });
    answer(server.client.post(server.url("/api/v1/auth/sign-in")).json(&body)).await
}

async fn put(server: &TestServer, path: &str) -> (StatusCode, Value) {
    answer(server.request(Method::PUT, path)).await
}

/// A refusal that names no action is in the audit by its code, with who it was.
async fn refused_once(server: &TestServer, reach: &str, code: &str) {
    let (_, page) = server.get(&format!("/api/v1/audit?{reach}&outcome=denied&action=access.refuse")).await;
    let items = page["items"].as_array().unwrap();
    let found: Vec<&Value> = items
        .iter()
        .filter(|one| one["reason"].as_str().unwrap().starts_with(&format!("{code}: ")))
        .collect();
    assert_eq!(found.len(), 1, "{page}");
    assert_eq!((&found[0]["actor"], &found[0]["object"]["kind"]), (&json!("ann"), &json!("Route")), "{page}");
}

#[tokio::test]
async fn an_invitation_a_password_and_a_role_let_somebody_in() {
    let server = TestServer::start().await;
    let session = person(&server, "ann").await;
    let me = || answer(as_one(&server, &session, Method::GET, "/api/v1/me"));
    let (status, problem) = me().await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("no_role")));
    refused_once(&server, "reach=platform", "no_role").await;
    // A page from elsewhere tries it with the browser's session.
    let cross = server.client.put(server.url("/api/v1/members/ann/viewer")).header("cookie", &session);
    let (status, problem) = answer(cross.header("sec-fetch-site", "cross-site")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("cross_site")));
    refused_once(&server, "reach=platform", "cross_site").await;
    let unknown =
        server.client.put(server.url("/api/v1/members/ann/viewer")).header("cookie", "qd_session=qds_x");
    assert_eq!(answer(unknown).await.0, StatusCode::FORBIDDEN);
    refused_once(&server, "reach=platform", "cross_site").await;
    assert_eq!(put(&server, "/api/v1/members/ann/viewer").await.0, StatusCode::NO_CONTENT);
    let (status, told) = me().await;
    assert_eq!((status, &told["principal"]["roles"]), (StatusCode::OK, &json!(["viewer"])));
    let may = |action: &str| told["permissions"].as_array().unwrap().contains(&json!(action));
    assert!(may("samples.list") && !may("samples.publish"), "{told}");
    assert_eq!(told["platform_permissions"], json!([]));
    let can = as_one(&server, &session, Method::GET, "/api/v1/auth/can-i?action=samples.publish");
    let (_, can) = answer(can).await;
    assert_eq!(
        (&can["project"], &can["allowed_by"]),
        (&json!(false), &json!(["PLATFORM_ADMIN", "TENANT_ADMIN"]))
    );

    let cross =
        server.client.post(server.url("/api/v1/auth/sign-in")).header("origin", "http://elsewhere.example");
    let (status, problem) = answer(cross.json(&json!({ "name": "ann", "password": PASSWORD }))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("cross_site")));
    assert_eq!(sign_in(&server, "ann", PASSWORD).await.0, StatusCode::OK);
    let (status, problem) = sign_in(&server, "ann", "wrong").await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("bad_sign_in")));
}

#[tokio::test]
async fn ones_own_sessions_and_tokens_are_listed_and_ended() {
    let server = TestServer::start().await;
    let session = person(&server, "ann").await;
    let own = |method: Method, path: &str| as_one(&server, &session, method, path);
    let wanted = json!({ "label": "laptop", "expires_in_s": 3600, "allows": ["read"] });
    let (status, made) = answer(own(Method::POST, "/api/v1/auth/tokens").json(&wanted)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let token = made["token"].as_str().unwrap().to_owned();
    let (_, list) = answer(own(Method::GET, "/api/v1/auth/credentials")).await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{list}");
    assert!(!list.to_string().contains(&token), "a secret is shown once");
    let found = |current: bool| items.iter().find(|item| item["current"] == current).unwrap();
    assert_eq!((&found(true)["kind"], &found(false)["label"]), (&json!("session"), &json!("laptop")));
    // A limited token makes no other.
    let more = server.client.post(server.url("/api/v1/auth/tokens")).bearer_auth(&token).json(&json!({}));
    assert_eq!(answer(more).await.1["code"], "action_denied");
    let path = format!("/api/v1/auth/credentials/{}", found(false)["id"].as_str().unwrap());
    let (status, problem) = answer(server.request(Method::DELETE, &path)).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::NOT_FOUND, &json!("credential_not_found")),
        "somebody else's"
    );
    assert_eq!(answer(own(Method::DELETE, &path)).await.0, StatusCode::NO_CONTENT);
    let gone = server.client.get(server.url("/api/v1/me")).bearer_auth(&token);
    assert_eq!(answer(gone).await.0, StatusCode::UNAUTHORIZED);
    let body = json!({ "present": PASSWORD, "chosen": "staple in the barn" });
    assert_eq!(answer(own(Method::PUT, "/api/v1/auth/password").json(&body)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(sign_in(&server, "ann", PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&server, "ann", "staple in the barn").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_limited_token_reads_nothing_of_ones_own_that_it_is_not_for() {
    let server = TestServer::start().await;
    let own = [
        "/api/v1/auth/can-i?action=samples.read",
        "/api/v1/auth/credentials",
        "/api/v1/auth/roles",
        "/api/v1/inbox",
        "/api/v1/inbox/counts",
        "/api/v1/me",
        "/api/v1/notifications",
    ];
    let everybodys = ["/api/v1/roles", "/api/v1/tenants"];
    let all: Vec<&str> = own.into_iter().chain(everybodys).collect();
    let mut told = vec![];
    for allows in ["samples.read", "own.read", "tenants.list", "roles.*", "read"] {
        let (_, made) = server.post("/api/v1/auth/tokens", json!({ "allows": [allows] })).await;
        let mut may = vec![];
        for path in &all {
            let token = made["token"].as_str().unwrap();
            let (status, reply) = answer(server.client.get(server.url(path)).bearer_auth(token)).await;
            match status {
                StatusCode::OK => may.push(*path),
                _ => assert_eq!(reply["code"], "action_denied", "{allows} {path}: {reply}"),
            }
        }
        told.push(may);
    }
    assert_eq!(told, [vec![], own.to_vec(), vec!["/api/v1/tenants"], vec!["/api/v1/roles"], all.clone()]);
}

#[tokio::test]
async fn who_administers_accounts_revokes_others_tokens() {
    let server = TestServer::start().await;
    let session = person(&server, "ann").await;
    let own = as_one(&server, &session, Method::POST, "/api/v1/auth/tokens");
    let (_, anns) = answer(own.json(&json!({ "label": "laptop" }))).await;
    assert_eq!(
        server.post("/api/v1/users", json!({ "name": "robot", "service": true })).await.0,
        StatusCode::CREATED
    );
    let (_, robots) = server.post("/api/v1/users/robot/tokens", json!({ "allows": ["read"] })).await;
    let secret = |made: &Value| made["token"].as_str().unwrap().to_owned();
    let with =
        |made: &Value| answer(server.client.get(server.url("/api/v1/auth/roles")).bearer_auth(secret(made)));
    let mut ids = vec![];
    for (name, made, label) in [("ann", &anns, "laptop"), ("robot", &robots, "")] {
        let (status, list) = server.get(&format!("/api/v1/users/{name}/tokens")).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let items = list["items"].as_array().unwrap();
        assert_eq!((items.len(), &items[0]["label"]), (1, &json!(label)), "no session is among them: {list}");
        assert!(!list.to_string().contains(&secret(made)), "a secret is shown once");
        assert_eq!(with(made).await.0, StatusCode::OK);
        ids.push(items[0]["id"].as_str().unwrap().to_owned());
    }
    let revoke = |path: String| answer(server.request(Method::DELETE, &path));
    // Who administers no accounts neither sees nor ends them.
    for (method, path) in [
        (Method::GET, "/api/v1/users/robot/tokens".to_owned()),
        (Method::DELETE, format!("/api/v1/users/robot/tokens/{}", ids[1])),
    ] {
        let (status, problem) = answer(as_one(&server, &session, method, &path)).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("action_denied")), "{path}");
    }
    let (_, mine) = answer(as_one(&server, &session, Method::GET, "/api/v1/auth/credentials")).await;
    let here = mine["items"].as_array().unwrap().iter().find(|one| one["kind"] == "session").unwrap();
    for (path, code) in [
        (format!("/api/v1/users/ann/tokens/{}", ids[1]), "credential_not_found"),
        (format!("/api/v1/users/ann/tokens/{}", here["id"].as_str().unwrap()), "credential_not_found"),
        (format!("/api/v1/users/nobody/tokens/{}", ids[1]), "user_not_found"),
        ("/api/v1/users/ann/tokens/none".to_owned(), "bad_path"),
    ] {
        assert_eq!(revoke(path.clone()).await.1["code"], code, "{path}");
    }
    for (name, made, id) in [("ann", &anns, &ids[0]), ("robot", &robots, &ids[1])] {
        assert_eq!(revoke(format!("/api/v1/users/{name}/tokens/{id}")).await.0, StatusCode::NO_CONTENT);
        assert_eq!(with(made).await.0, StatusCode::UNAUTHORIZED, "at once");
        let (_, list) = server.get(&format!("/api/v1/users/{name}/tokens")).await;
        assert_eq!(list["items"], json!([]));
    }
    let (_, page) = server.get("/api/v1/audit?reach=platform&action=tokens.revoke&outcome=success").await;
    let names: Vec<&Value> =
        page["items"].as_array().unwrap().iter().map(|one| &one["object"]["name"]).collect();
    assert_eq!(names, ["robot", "ann"]);
}

#[tokio::test]
async fn a_tenant_that_one_holds_nothing_in_is_like_one_that_is_not_there() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    assert_eq!(server.post("/api/v1/tenants", json!({ "name": "acme" })).await.0, StatusCode::CREATED);
    let session = person(&server, "ann").await;
    let grant = server.request(Method::PUT, "/api/v1/members/ann/TENANT_ADMIN").header("x-tenant-id", "acme");
    assert_eq!(answer(grant).await.0, StatusCode::NO_CONTENT);
    let ask = async |tenant: &str, path: &str| {
        let request = as_one(&server, &session, Method::GET, path).header("x-tenant-id", tenant);
        let (status, mut problem) = answer(request.header("x-correlation-id", "same")).await;
        problem["instance"] = Value::Null;
        (status, problem)
    };
    for path in ["/api/v1/samples/one", "/api/v1/samples", "/api/v1/members", "/api/v1/me"] {
        let (foreign, missing) = (ask("default", path).await, ask("nowhere", path).await);
        assert_eq!(foreign.0, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(foreign, missing, "{path}");
    }
    // Who has one tenant need not name it.
    let (status, me) = answer(as_one(&server, &session, Method::GET, "/api/v1/me")).await;
    assert_eq!((status, &me["tenant"]["name"]), (StatusCode::OK, &json!("acme")), "{me}");
    let (_, seen) = answer(as_one(&server, &session, Method::GET, "/api/v1/tenants")).await;
    assert_eq!(seen["items"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(put(&server, "/api/v1/members/ann/viewer?project=default").await.0, StatusCode::NO_CONTENT);
    let (status, problem) = answer(as_one(&server, &session, Method::GET, "/api/v1/me")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("scope_needed")));
    let (_, held) = answer(as_one(&server, &session, Method::GET, "/api/v1/auth/roles")).await;
    let held = held["items"].as_array().unwrap().iter();
    let places: Vec<_> = held.map(|role| (&role["role"], &role["tenant"], &role["project"])).collect();
    assert_eq!(
        places,
        [
            (&json!("TENANT_ADMIN"), &json!("acme"), &Value::Null),
            (&json!("viewer"), &json!("default"), &json!("default"))
        ]
    );
}

#[tokio::test]
async fn a_suspended_tenant_is_closed_to_its_own() {
    let server = TestServer::start().await;
    let (_, tenant) = server.post("/api/v1/tenants", json!({ "name": "acme" })).await;
    let session = person(&server, "ann").await;
    let grant = server.request(Method::PUT, "/api/v1/members/ann/TENANT_ADMIN").header("x-tenant-id", "acme");
    assert_eq!(answer(grant).await.0, StatusCode::NO_CONTENT);
    let me = || answer(as_one(&server, &session, Method::GET, "/api/v1/me"));
    assert_eq!(me().await.0, StatusCode::OK);
    let patch = |version: &Value, state: &str| {
        let request = server
            .request(Method::PATCH, "/api/v1/tenants/acme")
            .header("if-match", format!("\"{version}\""));
        answer(request.json(&json!({ "state": state })))
    };
    let (status, suspended) = patch(&tenant["version"], "suspended").await;
    assert_eq!(status, StatusCode::OK, "{suspended}");
    let (status, problem) = me().await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("tenant_suspended")));
    let (_, page) = server.get("/t/acme/api/v1/audit?outcome=denied").await;
    assert_eq!(
        (&page["items"][0]["actor"], &page["items"][0]["action"]),
        (&json!("ann"), &json!("access.refuse"))
    );
    assert_eq!(
        server.get("/t/acme/api/v1/samples").await.0,
        StatusCode::OK,
        "the platform's own still get in"
    );
    assert_eq!(patch(&suspended["version"], "active").await.0, StatusCode::OK);
    assert_eq!(me().await.0, StatusCode::OK);
}
