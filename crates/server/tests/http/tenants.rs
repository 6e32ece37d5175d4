//! Tenants over HTTP: the ways to name one, closing one, removing one.

use qd_testkit::eventually;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use super::support::{TestServer, answer};

fn at(server: &TestServer, host: &str, path: &str) -> RequestBuilder {
    server.request(Method::GET, path).header("host", host)
}

#[tokio::test]
async fn the_host_names_the_tenant() {
    let server = TestServer::with(|boot| boot.base_domain = Some("qd.example".parse().unwrap())).await;
    let (status, acme) = server.post("/api/v1/tenants", json!({ "name": "acme" })).await;
    assert_eq!(status, StatusCode::CREATED, "{acme}");
    let id = acme["id"].as_str().unwrap();
    for (host, tenant) in [
        ("acme.qd.example", "acme"),
        ("ACME.qd.example:7070", "acme"),
        ("qd.example", "default"),
        ("127.0.0.1:7070", "default"),
    ] {
        let (_, me) = answer(at(&server, host, "/api/v1/me")).await;
        assert_eq!(me["tenant"]["name"], tenant, "{host}: {me}");
    }
    // The other ways may name the same one, by its name or its id.
    for (path, header) in [("/t/acme/api/v1/me", "acme"), ("/api/v1/me", id), ("/t/acme/api/v1/me", id)] {
        let same = at(&server, "acme.qd.example", path).header("x-tenant-id", header);
        assert_eq!(answer(same).await.1["tenant"]["name"], "acme", "{path} {header}");
    }
    for (host, path, header) in [
        ("acme.qd.example", "/api/v1/me", Some("default")),
        ("acme.qd.example", "/t/default/api/v1/me", None),
        ("acme.qd.example", "/t/acme/api/v1/me", Some("nobody")),
    ] {
        let mut request = at(&server, host, path);
        if let Some(tenant) = header {
            request = request.header("x-tenant-id", tenant);
        }
        let (status, problem) = answer(request).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("scopes_disagree")));
    }
    let (status, problem) = answer(at(&server, "nobody.qd.example", "/api/v1/me")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("scope_not_found")));
    let (status, problem) = answer(at(&server, "a.b.qd.example", "/api/v1/me")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_scope")));
}

/// Somebody of the default tenant sees nothing of what is done to another, wherever its job lives.
#[tokio::test]
async fn a_deletion_is_nothing_to_who_works_in_the_project_where_its_job_is() {
    let server = TestServer::start().await;
    server.post("/api/v1/users", json!({ "name": "dev", "service": true })).await;
    let (_, made) = server.post("/api/v1/users/dev/tokens", json!({})).await;
    let token = made["token"].as_str().unwrap().to_owned();
    answer(server.request(Method::PUT, "/api/v1/members/dev/PIPELINE_DEV")).await;
    server.post("/api/v1/tenants", json!({ "name": "acme" })).await;
    let suspend = server.request(Method::PATCH, "/api/v1/tenants/acme").header("if-match", "\"1\"");
    assert_eq!(answer(suspend.json(&json!({ "state": "suspended" }))).await.0, StatusCode::OK);
    let body = json!({ "confirm": "acme", "reason": "it has ended" });
    let (status, reply) = server.start_job("/api/v1/tenants/acme/delete", "k", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let id = reply["job"]["id"].as_str().unwrap().to_owned();
    server.job_ended(&id).await;
    let dev = |method: Method, path: &str| {
        answer(server.client.request(method, server.url(path)).bearer_auth(&token))
    };
    for list in ["jobs", "plans", "events?limit=500", "audit?limit=500"] {
        let path = format!("/api/v1/{list}");
        let (status, shown) = dev(Method::GET, &path).await;
        assert_eq!(status, StatusCode::OK, "{list}: {shown}");
        assert!(!shown.to_string().contains("tenants.delete"), "{list}: {shown}");
        assert!(!shown.to_string().contains("tenant.delet"), "{list}: {shown}");
        let all = server.get(&path).await.1.to_string();
        assert!(list == "plans" || all.contains(&id) || all.contains("tenants.delete"), "{list}: {all}");
    }
    for (method, path) in [(Method::GET, ""), (Method::POST, "/cancel")] {
        let (status, told) = dev(method, &format!("/api/v1/jobs/{id}{path}")).await;
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::NOT_FOUND, &json!("job_not_found")),
            "{path}: {told}"
        );
    }
}

#[tokio::test]
async fn a_browser_signs_in_at_its_tenants_host_and_the_cookie_is_of_that_host_alone() {
    let server = TestServer::with(|boot| boot.base_domain = Some("qd.example".parse().unwrap())).await;
    server.post("/api/v1/tenants", json!({ "name": "acme" })).await;
    let host = "acme.qd.example:7070";
    let page = server.client.get(server.url("/pipelines")).header("host", host).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let (_, link) = server.post("/api/v1/auth/links", json!({})).await;
    let request = server.client.post(server.url("/api/v1/auth/exchange")).header("host", host);
    let request = request.header("origin", format!("http://{host}")).json(&json!({ "code": link["code"] }));
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let cookie = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
    let session = cookie.split(';').next().unwrap();
    let request = server.client.get(server.url("/api/v1/me")).header("host", host).header("cookie", session);
    let (status, me) = answer(request).await;
    assert_eq!((status, &me["tenant"]["name"]), (StatusCode::OK, &json!("acme")));
    // A page of another tenant's host is another site.
    let other = server.client.post(server.url("/api/v1/auth/links")).header("host", host);
    let other = other.header("cookie", session).header("origin", "http://beta.qd.example:7070");
    let (status, problem) = answer(other.json(&json!({}))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("cross_site")));
}

#[tokio::test]
async fn a_suspended_tenants_tokens_are_refused_until_it_is_readmitted() {
    let server = TestServer::start().await;
    server.post("/api/v1/tenants", json!({ "name": "acme" })).await;
    server.post("/api/v1/users", json!({ "name": "robot", "service": true })).await;
    let grant =
        server.request(Method::PUT, "/api/v1/members/robot/TENANT_ADMIN").header("x-tenant-id", "acme");
    assert_eq!(answer(grant).await.0, StatusCode::NO_CONTENT);
    let (_, token) = server.post("/api/v1/users/robot/tokens", json!({})).await;
    let token = token["token"].as_str().unwrap();
    let ask = || answer(server.client.get(server.url("/api/v1/runs")).bearer_auth(token));
    let set = async |version: &str, state: &str| {
        let patch = server.request(Method::PATCH, "/api/v1/tenants/acme").header("if-match", version);
        answer(patch.json(&json!({ "state": state }))).await.0
    };
    assert_eq!(ask().await.0, StatusCode::OK);
    assert_eq!(set("\"1\"", "suspended").await, StatusCode::OK);
    let (status, problem) = ask().await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("tenant_suspended")));
    assert_eq!(server.get("/t/acme/api/v1/runs").await.0, StatusCode::OK, "the platform's own get in");
    assert_eq!(set("\"2\"", "active").await, StatusCode::OK);
    assert_eq!(ask().await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_tenant_is_deleted_by_a_job_and_its_audit_is_read_by_its_id() {
    let server = TestServer::start().await;
    let (_, acme) = server.post("/api/v1/tenants", json!({ "name": "acme" })).await;
    let id = acme["id"].as_str().unwrap();
    let path = "/api/v1/tenants/acme/delete";
    let body = json!({ "confirm": "acme", "reason": "it has ended" });
    let (status, problem) = server.start_job(path, "early", body.clone()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("tenant_not_suspended")));
    let patch = server.request(Method::PATCH, "/api/v1/tenants/acme").header("if-match", "\"1\"");
    assert_eq!(answer(patch.json(&json!({ "state": "suspended" }))).await.0, StatusCode::OK);
    let (status, preview) = server.post(&format!("{path}?dry_run=true"), json!({})).await;
    assert_eq!(
        (status, &preview["plan"]["operation"]),
        (StatusCode::OK, &json!("tenants.delete")),
        "{preview}"
    );
    assert_eq!(preview["plan"]["steps"][1]["changes"][0]["before"]["projects"], 1, "{preview}");
    let (status, problem) =
        server.start_job(path, "wrong", json!({ "confirm": "amce", "reason": "x" })).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("name_not_confirmed")));
    let (status, accepted) = server.start_job(path, "delete", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let job = server.job_ended(accepted["job"]["id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let (status, _) = server.get("/t/acme/api/v1/me").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (_, records) = server.get(&format!("/api/v1/audit?reach=tenant:{id}")).await;
    assert_eq!(records["items"][0]["action"], "tenants.delete", "{records}");
    eventually("the last record is sealed", async || {
        let (status, export) = server.get(&format!("/api/v1/audit/export?reach=tenant:{id}")).await;
        (status == StatusCode::OK && export.to_string().contains("tenants.delete")).then_some(())
    })
    .await;
    assert_eq!(server.get("/api/v1/audit?reach=tenant:none").await.1["code"], "bad_reach");
}

#[tokio::test]
async fn a_tenant_is_exported_for_those_who_administer_it_and_each_download_is_recorded() {
    let server = TestServer::start().await;
    for tenant in ["acme", "beta"] {
        server.post("/api/v1/tenants", json!({ "name": tenant })).await;
    }
    let token = async |name: &str, role: &str| {
        server.post("/api/v1/users", json!({ "name": name, "service": true })).await;
        let grant = server.request(Method::PUT, &format!("/api/v1/members/{name}/{role}"));
        assert_eq!(answer(grant.header("x-tenant-id", "acme")).await.0, StatusCode::NO_CONTENT);
        let (_, token) = server.post(&format!("/api/v1/users/{name}/tokens"), json!({})).await;
        token["token"].as_str().unwrap().to_owned()
    };
    let (boss, reader) = (token("boss", "TENANT_ADMIN").await, token("reader", "viewer").await);
    let ask = |token: &str, method: Method, path: &str| {
        let request = server.client.request(method, server.url(path)).bearer_auth(token);
        request.header("idempotency-key", "export").json(&json!({ "reason": "moving" }))
    };
    let start = "/api/v1/tenants/acme/export";
    let bare = server.client.post(server.url(start)).bearer_auth(&boss).json(&json!({}));
    assert_eq!(answer(bare).await.1["code"], "idempotency_key_required");
    assert_eq!(answer(ask(&reader, Method::POST, start)).await.1["code"], "action_denied");
    let (status, problem) = answer(ask(&boss, Method::POST, "/api/v1/tenants/beta/export")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("scope_not_found")));
    let (status, preview) = answer(ask(&boss, Method::POST, &format!("{start}?dry_run=true"))).await;
    assert_eq!(
        (status, &preview["plan"]["operation"]),
        (StatusCode::OK, &json!("tenants.export")),
        "{preview}"
    );
    let (status, accepted) = answer(ask(&boss, Method::POST, start)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let id = accepted["job"]["id"].as_str().unwrap();
    assert_eq!(answer(ask(&boss, Method::POST, start)).await.1["job"]["id"], id, "asked for before");
    let one = format!("/api/v1/tenants/acme/exports/{id}");
    let export = eventually("the archive is there", async || {
        let export = answer(ask(&boss, Method::GET, &one)).await.1;
        (export["state"] != "preparing").then_some(export)
    })
    .await;
    assert_eq!(export["state"], "ready", "{export}");
    let (_, list) = answer(ask(&boss, Method::GET, "/api/v1/tenants/acme/exports")).await;
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["id"]), (1, &json!(id)));

    let reply = ask(&boss, Method::GET, &format!("{one}/archive")).header("accept-encoding", "gzip");
    let reply = reply.send().await.unwrap();
    let header = |name: &str| reply.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/gzip");
    assert!(header("content-disposition").starts_with("attachment; filename=\"acme-"), "{reply:?}");
    assert!(!reply.headers().contains_key("content-encoding"), "it is compressed already");
    assert_eq!(header("content-length"), export["bytes"].to_string());
    let body = reply.bytes().await.unwrap();
    assert_eq!(export["digest"], format!("sha256:{}", qd_core::canonical::sha256_hex(&body)));
    let (_, records) = server.get("/t/acme/api/v1/audit?reach=tenant&action=tenants.export").await;
    let said: Vec<_> = records["items"].as_array().unwrap().iter().collect();
    let kinds: Vec<_> = said.iter().map(|r| (r["object"]["kind"].as_str(), r["outcome"].as_str())).collect();
    assert_eq!(kinds, [(Some("Export"), Some("success")), (Some("Tenant"), Some("success"))], "{records}");

    // Another's is not there, and what is there is nobody else's.
    for (path, code) in [
        (format!("/api/v1/tenants/beta/exports/{id}/archive"), "export_not_found"),
        ("/api/v1/tenants/acme/exports/none/archive".to_owned(), "export_not_found"),
        ("/api/v1/tenants/nobody/exports".to_owned(), "scope_not_found"),
    ] {
        let (status, problem) = server.get(&path).await;
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!(code)), "{path}");
    }
    for path in [&one, &format!("{one}/archive")] {
        assert_eq!(answer(ask(&reader, Method::GET, path)).await.1["code"], "action_denied");
        let stranger = answer(ask(&boss, Method::GET, &path.replace("acme", "beta"))).await;
        assert_eq!((stranger.0, &stranger.1["code"]), (StatusCode::NOT_FOUND, &json!("scope_not_found")));
    }
    // A project of it lies beside it.
    let project = server.client.post(server.url("/api/v1/projects/default/export")).bearer_auth(&boss);
    let (status, accepted) = answer(project.header("idempotency-key", "project").json(&json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let (_, list) = answer(ask(&boss, Method::GET, "/api/v1/tenants/acme/exports")).await;
    assert_eq!(list["items"][0]["project"], "default", "{list}");
}
