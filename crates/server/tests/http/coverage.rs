//! Every route that the API's description names, asked by nobody, and by a holder of each role at each level.
//! A new route is asked as well, without a line here; one that does not say what it wants fails. What another tenant has is asked for in
//! [`super::tenancy`].

use std::collections::BTreeMap;

use qd_kernel::{
    access::matrix::{self, Level},
    credentials::OWN_ACTIONS,
    params,
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{TestServer, answer, document};

/// What needs no token on this machine: the only routes that do not answer 401.
pub const PUBLIC: [&str; 13] = [
    "get /.well-known/jwks.json",
    "get /api/v1/auth/oidc/{provider}/callback",
    "get /api/v1/auth/oidc/{provider}/start",
    "get /api/v1/auth/providers",
    "get /health",
    "get /metrics",
    "get /openapi.json",
    "get /ready",
    "get /version",
    "post /api/v1/auth/accept",
    "post /api/v1/auth/exchange",
    "post /api/v1/auth/sign-in",
    "post /api/v1/auth/token",
];

pub struct Route {
    pub method: Method,
    pub path: String,
    /// `project`, `tenant`, `platform` or `own`; empty where it does not say.
    pub level: String,
    pub actions: Vec<String>,
    /// Whether it takes `?dry_run`.
    pub dry_run: bool,
    /// The names of what its query takes.
    pub query: Vec<String>,
}

impl Route {
    pub fn name(&self) -> String {
        format!("{} {}", self.method.as_str().to_lowercase(), self.path)
    }

    /// Whether who holds the role at that level may ask it.
    pub fn allowed(&self, role: &matrix::RoleInfo, level: Level) -> bool {
        let reached = match self.level.as_str() {
            "platform" => level == Level::Platform,
            "tenant" => level != Level::Project,
            _ => true,
        };
        reached && self.actions.iter().all(|action| role.allows(action))
    }

    /// A body that it takes at this path; `name` is what a body has that names what the path names, or something by itself.
    pub fn body(&self, path: &str, name: &str) -> Value {
        let path = path.split('?').next().unwrap_or_default();
        match path.rsplit('/').next().unwrap_or_default() {
            _ if self.path.contains("/secrets/") && self.method == Method::PUT => json!({ "value": "x" }),
            _ if self.path.ends_with("/sharing/{holder}") => json!({ "as": "viewer" }),
            "apply" => json!({ "documents": [document("new", json!({}))] }),
            "working-copy" => json!({ "spec": {} }),
            "rollback" => json!({ "to": 1, "reason": "why" }),
            "requests" => json!({ "item": 1 }),
            "plans" => json!({ "operation": "publish", "kind": "Sample", "name": name }),
            "reject" | "withdraw" => json!({ "reason": "why" }),
            "comments" => json!({ "body": "why" }),
            "approve" => json!({ "hash": "sha256:0" }),
            "delete" => json!({ "confirm": name, "reason": "why" }),
            "password" => json!({ "present": "none", "chosen": "correct horse battery" }),
            "sign-in" => json!({ "name": "nobody", "password": "none" }),
            "accept" => json!({ "code": "qdi_none", "password": "correct horse battery" }),
            "rotate" => json!({ "key": "data" }),
            "token" => json!({ "grant_type": "refresh_token", "refresh_token": "qdr_none" }),
            "exchange" => json!({ "code": "qdl_none" }),
            "users" => json!({ "name": "new" }),
            "tenants" | "projects" | "teams" => json!({ "name": "new" }),
            _ => json!({}),
        }
    }
}

/// A document of the kind that the route makes, where it makes one.
pub fn made_by(server: &TestServer, route: &Route, name: &str) -> Option<Value> {
    let plural = route.path.strip_prefix("/api/v1/").filter(|_| route.method == Method::POST)?;
    let info = server.kernel.registry.find_plural(plural)?.info();
    let metadata = json!({ "name": name });
    Some(
        json!({ "apiVersion": "quarterdeck/v1", "kind": info.kind, "metadata": metadata, "spec": info.example }),
    )
}

/// All that the API's description names.
pub async fn routes(server: &TestServer) -> Vec<Route> {
    let (_, description) = server.get("/openapi.json").await;
    let paths = description["paths"].as_object().unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let routes: Vec<Route> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(|(method, said)| Route {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                level: said["x-level"].as_str().unwrap_or_default().to_owned(),
                actions: list(&said["x-actions"])
                    .iter()
                    .map(|action| action.as_str().unwrap().replace("{kind}", "samples"))
                    .collect(),
                dry_run: list(&said["parameters"]).iter().any(|parameter| parameter["name"] == "dry_run"),
                query: list(&said["parameters"])
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                    .collect(),
            })
        })
        .collect();
    assert!(routes.len() > 60, "{} routes", routes.len());
    routes
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
        routes(&self.server).await
    }

    /// A request that only the caller's rights can stand against.
    fn request(&self, route: &Route) -> RequestBuilder {
        let id = match route.path.split('/').nth(3) {
            Some("jobs") => &self.job,
            Some("plans") => &self.plan,
            _ => &self.run,
        };
        // A tenant that is not one's own is not there, whatever one may.
        let name = if route.path == "/api/v1/tenants/{name}/quotas" { "default" } else { "one" };
        let path = route
            .path
            // Whose tenant is not one's own is not found, whatever one may.
            .replace("/tenants/{name}/export", "/tenants/default/export")
            .replace("{id}", id)
            .replace("{name}", name)
            .replace("{number}", "1")
            .replace("{digest}", self.code.digest.as_str())
            .replace("{path}", "out.jsonl")
            .replace("{object}", "samples/one");
        let path = match path.rsplit('/').next() {
            Some("diff") => format!("{path}?from=1"),
            Some("can-i" | "who-can") => format!("{path}?action=samples.read"),
            _ => path,
        };
        let request = self.server.client.request(route.method.clone(), self.server.url(&path));
        let request = request.header("if-match", "\"1\"").header("idempotency-key", "key");
        match route.method {
            Method::GET => request,
            _ if path.contains("/code/") => request.body(self.code.archive.clone()),
            _ => {
                let made = made_by(&self.server, route, "new");
                request.json(&made.unwrap_or_else(|| route.body(&path, "one")))
            }
        }
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

/// Somebody who holds the role at that level, on the platform or in the default tenant or project: its token.
pub async fn holder(server: &TestServer, role: &matrix::RoleInfo, level: Level) -> String {
    let kernel = &server.kernel;
    let (id, now) = (kernel.source.uuid(), kernel.source.now());
    let scope = kernel.scope_find(None, None).await.unwrap().scope;
    let (object, tenant) = match level {
        Level::Platform => (Uuid::nil(), Uuid::nil()),
        Level::Tenant => (scope.tenant_id.uuid(), scope.tenant_id.uuid()),
        Level::Project => (scope.project_id.uuid(), scope.tenant_id.uuid()),
    };
    let name = role.name.to_lowercase().replace(['_', ':'], "-");
    let (name, level) = (format!("{name}-{}", level.as_str()), level.as_str());
    let secret = format!("qd_{}", hex::encode(id.as_bytes().repeat(2)));
    let hash = hex::decode(qd_core::canonical::sha256_hex(secret.as_bytes())).unwrap();
    let role = role.name.to_owned();
    let made = kernel.store.write(move |tx| -> qd_core::error::Result<()> {
        tx.exec(
            "INSERT INTO principal (id, name, kind, created_at) VALUES ($1, $2, 'user', $3)",
            params![id, name.clone(), now],
        )?;
        tx.exec(
            "INSERT INTO role_binding (principal_id, role, level, object_id, tenant_id, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, 'test', $6)",
            params![id, role.clone(), level, object, tenant, now],
        )?;
        tx.exec(
            "INSERT INTO credential (hash, id, principal_id, kind, label, source, created_at)
             VALUES ($1, $2, $2, 'token', '', '', $3)",
            params![hash.clone(), id, now],
        )?;
        Ok(())
    });
    made.await.unwrap();
    secret
}

/// The matrix is the answer: whoever has a role gets 403 exactly where it does not allow all that a route wants, or is held below where
/// the route wants it.
#[tokio::test]
async fn every_route_gives_each_role_what_the_matrix_says() {
    let roles = Things::new().await.server.kernel.authority.roles().to_vec();
    assert!(roles.len() >= 6, "{roles:?}");
    let held = roles.iter().flat_map(|role| role.levels.iter().map(move |level| (role, *level)));
    let (mut wrong, mut asked, mut holders) = (vec![], 0, 0);
    for (role, level) in held {
        holders += 1;
        let things = Things::new().await;
        let token = holder(&things.server, role, level).await;
        let mut routes = things.routes().await;
        // What changes something comes last: it must not change what others find.
        routes.sort_by_key(|route| (route.allowed(role, level), route.method != Method::GET));
        for route in routes {
            // One's own is everybody's; a stream has no end.
            let public = PUBLIC.contains(&route.name().as_str());
            if public || route.level == "own" || route.path == "/api/v1/stream" {
                continue;
            }
            asked += 1;
            let (status, problem) = answer(things.request(&route).bearer_auth(&token)).await;
            if (problem["code"] == "action_denied") == route.allowed(role, level) {
                wrong.push((role.name, level, route.name(), status, problem));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(holders >= 11 && asked >= 1_000, "{holders} holders, {asked} questions");
}

/// Where an action is done is known to whoever asks who may: from the same data as the routes.
#[tokio::test]
async fn an_action_is_done_to_the_smallest_place_that_a_route_does_it_to() {
    let things = Things::new().await;
    let mut levels: BTreeMap<String, Level> = BTreeMap::new();
    for route in things.routes().await {
        let level = match route.level.as_str() {
            "project" => Level::Project,
            "tenant" => Level::Tenant,
            "platform" => Level::Platform,
            _ => continue,
        };
        for action in route.actions {
            let smallest = levels.entry(action).or_insert(level);
            *smallest = level.max(*smallest);
        }
    }
    assert!(levels.len() > 60, "{} actions", levels.len());
    for (action, level) in levels {
        assert_eq!(matrix::level(&action), level, "{action}");
    }
}

/// Whoever may do everything is refused nothing: so that a 403 above is the role's, and not the route's.
#[tokio::test]
async fn every_route_says_what_it_wants_and_lets_the_administrator_have_it() {
    let things = Things::new().await;
    let actions = matrix::actions(&things.server.kernel.registry);
    let is_own = |action: &str| OWN_ACTIONS.contains(&action);
    let mut wrong = vec![];
    for route in things.routes().await {
        if PUBLIC.contains(&route.name().as_str()) {
            continue;
        }
        if !["project", "tenant", "platform", "own"].contains(&route.level.as_str()) {
            wrong.push(format!("{}: no level", route.name()));
        }
        if route.actions.is_empty() && (route.level != "own" || route.method != Method::GET) {
            wrong.push(format!("{}: no actions", route.name()));
        }
        for action in route.actions.iter().filter(|action| !is_own(action) && !actions.contains(action)) {
            wrong.push(format!("{}: there is no action {action}", route.name()));
        }
        if route.path == "/api/v1/stream" || route.path.ends_with("/sign-out") {
            continue;
        }
        let (status, problem) = answer(things.request(&route).bearer_auth(&things.server.token)).await;
        let own_plan = problem["code"] == "own_plan";
        if (status == StatusCode::FORBIDDEN && !own_plan) || status.is_server_error() {
            wrong.push(format!("{}: {status} {problem}", route.name()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
