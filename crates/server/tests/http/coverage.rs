//! Every route that the API's description names, asked by those who may not have it: nobody, a viewer, another tenant.
//! A new route is asked as well, without a line here.

use qd_kernel::{access::VIEWER, params};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::support::{TestServer, answer, document};

/// What needs no token on this machine: the only routes that do not answer 401.
const PUBLIC: [&str; 6] = [
    "get /health",
    "get /metrics",
    "get /openapi.json",
    "get /ready",
    "get /version",
    "post /api/v1/auth/exchange",
];
/// What changes nothing but what is the caller's own, or nothing at all.
const OWN: [&str; 3] = ["post /api/v1/auth/sign-out", "post /api/v1/auth/exchange", "post /validate"];

struct Route {
    method: Method,
    path: String,
}

impl Route {
    fn name(&self) -> String {
        format!("{} {}", self.method.as_str().to_lowercase(), self.path)
    }

    fn is_any_of(&self, names: &[&str]) -> bool {
        let name = self.name();
        names.iter().any(|one| {
            // A kind's route by its end.
            let (method, path) = one.split_once(' ').unwrap();
            name == *one
                || (!path.starts_with("/api")
                    && self.path.ends_with(path)
                    && self.method.as_str().eq_ignore_ascii_case(method))
        })
    }
}

/// A published sample with a run that is under way, and what the addresses are filled with.
struct Things {
    server: TestServer,
    run: String,
    job: String,
    plan: String,
    code: qd_pipelines::code::Packed,
}

impl Things {
    async fn new() -> Self {
        let server = TestServer::start().await;
        server.published("one", json!({})).await;
        let (_, started) = server.start_job("/api/v1/samples/one/runs", "start", json!({})).await;
        let run = started["run"]["id"].as_str().unwrap().to_owned();
        server.run_is(&run, "running").await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), "").unwrap();
        let code = qd_pipelines::code::pack(folder.path()).unwrap();
        let job = started["job"]["id"].as_str().unwrap().to_owned();
        let (_, plan) = server.post("/api/v1/samples/one/plan", json!({ "revision": 1 })).await;
        let plan = plan["id"].as_str().unwrap().to_owned();
        Self { server, run, job, plan, code }
    }

    async fn routes(&self) -> Vec<Route> {
        let (_, description) = self.server.get("/openapi.json").await;
        let paths = description["paths"].as_object().unwrap();
        let routes: Vec<Route> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(|method| Route {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                })
            })
            .collect();
        assert!(routes.len() > 60, "{} routes", routes.len());
        routes
    }

    /// A request that only the caller's rights can stand against.
    fn request(&self, route: &Route) -> RequestBuilder {
        let id = match route.path.split('/').nth(3) {
            Some("jobs") => &self.job,
            Some("plans") => &self.plan,
            _ => &self.run,
        };
        let path = route
            .path
            .replace("{id}", id)
            .replace("{name}", "one")
            .replace("{number}", "1")
            .replace("{digest}", self.code.digest.as_str())
            .replace("{path}", "out.jsonl")
            .replace("{object}", "samples/one");
        let path = if path.ends_with("/diff") { format!("{path}?from=1") } else { path };
        let request = self.server.client.request(route.method.clone(), self.server.url(&path));
        let request = request.header("if-match", "\"1\"").header("idempotency-key", "key");
        let body = match path.rsplit('/').next().unwrap_or_default() {
            _ if route.method == Method::GET => return request,
            _ if path.contains("/code/") => return request.body(self.code.archive.clone()),
            "apply" => json!({ "documents": [document("new", json!({}))] }),
            "working-copy" => json!({ "spec": {} }),
            "rollback" => json!({ "to": 1, "reason": "why" }),
            "requests" => json!({ "item": 1 }),
            "plans" => json!({ "operation": "publish", "kind": "Sample", "name": "one" }),
            "reject" => json!({ "reason": "why" }),
            "approve" => json!({ "hash": "sha256:0" }),
            "tokens" => json!({ "name": "second" }),
            "exchange" => json!({ "code": "qdl_none" }),
            "samples" => document("new", json!({})),
            _ => json!({}),
        };
        request.json(&body)
    }
}

#[tokio::test]
async fn without_a_token_only_what_is_public_answers() {
    let things = Things::new().await;
    let mut open = vec![];
    for route in things.routes().await {
        let (status, problem) = answer(things.request(&route)).await;
        if status != StatusCode::UNAUTHORIZED || problem["code"] != "no_credential" {
            open.push(route.name());
        }
    }
    open.sort();
    assert_eq!(open, PUBLIC);
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let things = Things::new().await;
    let demote = things.server.kernel.store.write(|tx| -> qd_core::error::Result<()> {
        tx.exec("UPDATE principal SET role = $1", params![VIEWER.to_owned()])?;
        Ok(())
    });
    demote.await.unwrap();
    // The old role may be remembered for a moment under the token that was used.
    let token = things.server.kernel.owner_token().await.unwrap();
    let mut wrong: Vec<(String, StatusCode, Value)> = vec![];
    let mut asked = 0;
    for route in things.routes().await {
        // The other kinds have nothing that could be changed here.
        let of_a_kind = route.path.contains("{name}")
            || route.path.ends_with("templates")
            || route.path.ends_with("connections")
            || route.path.ends_with("pipelines")
            || route.path.ends_with("schedules");
        let other_kind = of_a_kind && !route.path.starts_with("/api/v1/samples");
        if route.method == Method::GET || other_kind || route.is_any_of(&OWN) {
            continue;
        }
        asked += 1;
        let (status, problem) = answer(things.request(&route).bearer_auth(&token)).await;
        if status != StatusCode::FORBIDDEN {
            wrong.push((route.name(), status, problem));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked >= 16, "{asked} routes");
}

#[tokio::test]
async fn what_another_tenant_has_is_not_found() {
    let things = Things::new().await;
    let kernel = &things.server.kernel;
    let (tenant, project, now) = (kernel.source.uuid(), kernel.source.uuid(), kernel.source.now());
    let made = kernel.store.write(move |tx| -> qd_core::error::Result<()> {
        tx.exec(
            "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3)",
            params![tenant, "other".to_owned(), now],
        )?;
        tx.exec(
            "INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)",
            params![project, tenant, "default".to_owned(), now],
        )?;
        Ok(())
    });
    made.await.unwrap();
    let mut wrong: Vec<(String, StatusCode, Value)> = vec![];
    let mut asked = 0;
    for route in things.routes().await {
        // An archive of code that is uploaded is nobody else's.
        let foreign = ["{name}", "{id}", "{object}"].iter().any(|part| route.path.contains(part));
        if !foreign && route.name() != "get /api/v1/code/{digest}" {
            continue;
        }
        asked += 1;
        let request = things.request(&route).bearer_auth(&things.server.token).header("x-tenant-id", "other");
        let (status, problem) = answer(request).await;
        if status != StatusCode::NOT_FOUND {
            wrong.push((route.name(), status, problem));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked >= 40, "{asked} routes");
}
