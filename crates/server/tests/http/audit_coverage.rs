//! Every route that changes something, called once with a request that it takes: it leaves exactly one record of an action, and none
//! for a dry run. A new route without a request here fails.
//!
//! The record of the action is the one that carries the request's id, says that it succeeded, and names a person or a service. So it
//! is told apart from a refusal (`denied`) and from what the system does afterwards for whoever asked (its actor is `system`).

use std::sync::Mutex;

use qd_kernel::{audit::SYSTEM, context::Scope, params};
use qd_testkit::eventually;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    coverage::{Route, routes},
    support::{TestServer, answer, document},
};

const PASSWORD: &str = "correct horse battery";

/// What changes nothing of ours although it is no GET.
const READING: [&str; 3] = ["validate", "requests", "what-if"];
/// Pipelines are held against their code by a Python environment. What follows from that is the same code as of samples.
const OF_PYTHON: [&str; 5] = ["plan", "publish", "revisions", "rollback", "runs"];

/// A server with what the requests act on. Each route gets things of its own, so that none finds what another left.
struct World {
    server: TestServer,
    second: String,
    code: qd_pipelines::code::Packed,
    /// Requests before the one in question that were refused.
    troubles: Mutex<Vec<String>>,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let (_, second) = server.post("/api/v1/auth/tokens", json!({ "name": "second" })).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), "").unwrap();
        let code = qd_pipelines::code::pack(folder.path()).unwrap();
        Self {
            server,
            second: second["token"].as_str().unwrap().to_owned(),
            code,
            troubles: Mutex::default(),
        }
    }

    /// What the requests act on in each tenant.
    async fn prepared(&self, spec: Value) {
        self.server.published("one", spec).await;
        self.done(Method::PUT, "/api/v1/secrets/hooks/signing", json!({ "value": "whsec_c2VjcmV0" })).await;
        let spec = json!({ "type": "webhook", "address": "http://127.0.0.1:1/", "secret": "secret://hooks/signing" });
        let chat = json!({ "apiVersion": "quarterdeck/v1", "kind": "Connection", "metadata": { "name": "chat" }, "spec": spec });
        self.done(Method::POST, "/api/v1/apply?publish=true", json!({ "documents": [chat] })).await;
    }

    /// What a request before the one in question answers.
    async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, reply) = answer(self.call(method, path, body)).await;
        if !status.is_success() {
            self.troubles.lock().unwrap().push(format!("{path}: {status} {reply}"));
        }
        if let Some(job) = reply["job"]["id"].as_str() {
            self.server.job_ended(job).await;
        }
        reply
    }

    /// By the second person, who is as able as the owner.
    fn second(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.server.client.request(method, self.server.url(path)).bearer_auth(&self.second);
        match &self.server.tenant {
            Some(tenant) => request.header("x-tenant-id", tenant),
            None => request,
        }
    }

    /// By the owner, under a key made of the address.
    fn call(&self, method: Method, path: &str, body: Value) -> RequestBuilder {
        let key = format!("{method} {path} {body}");
        let request = self.server.request(method, path).header("idempotency-key", key.replace(' ', "-"));
        if body.is_null() { request } else { request.json(&body) }
    }

    async fn changed(&self, method: Method, path: &str, read: &str, body: Value) -> RequestBuilder {
        let reply = self.server.request(Method::GET, read).send().await.unwrap();
        let etag = reply.headers().get("etag").unwrap_or_else(|| panic!("{read} has no ETag")).clone();
        self.call(method, path, body).header("if-match", etag)
    }

    async fn user(&self, name: &str) -> Value {
        self.done(Method::POST, "/api/v1/users", json!({ "name": self.account(name) })).await
    }

    /// Accounts are everybody's: those made for a tenant have its name behind theirs.
    fn account(&self, name: &str) -> String {
        self.server.tenant.as_ref().map_or_else(|| name.to_owned(), |tenant| format!("{name}-{tenant}"))
    }

    /// The address, of the tenant that is worked in.
    fn of_tenant(&self, path: &str) -> String {
        let tenant = self.server.tenant.as_deref().unwrap_or("default");
        path.replace("/tenants/{name}", &format!("/tenants/{tenant}"))
    }

    async fn scope(&self) -> Scope {
        self.server.kernel.scope_find(self.server.tenant.as_deref(), None).await.unwrap().scope
    }

    /// A plan that somebody else made, so that the owner may decide on it.
    async fn plan(&self, name: &str) -> Value {
        let body = json!({ "operation": "apply", "documents": [document(name, json!({}))] });
        answer(self.second(Method::POST, "/api/v1/plans").json(&body)).await.1
    }

    /// A run of a sample that is under way.
    async fn run(&self, name: &str) -> Value {
        self.server.published(name, json!({})).await;
        let path = format!("/api/v1/samples/{name}/runs");
        let started = self.done(Method::POST, &path, json!({})).await;
        self.server.run_is(started["run"]["id"].as_str().unwrap(), "running").await;
        started
    }

    async fn dead_letter(&self) -> String {
        let (id, at) = (self.server.kernel.source.uuid(), self.server.kernel.source.now());
        let scope = self.scope().await;
        let pos = at.micros();
        let event = json!({ "pos": pos, "type": "run.failed", "at": at, "actor": "owner", "correlation_id": "c", "data": {} });
        let event = event.to_string();
        let made = self.server.kernel.store.write(move |tx| -> qd_core::error::Result<()> {
            tx.exec(
                "INSERT INTO dead_letter (id, tenant_id, project_id, consumer, pos, event, state, attempts, error_code, error_message, died_at)
                 VALUES ($1, $2, $3, 'nobody', $6, $4, 'dead', 1, 'code', 'message', $5)",
                params![id, scope.tenant_id, scope.project_id, event.clone(), at, pos],
            )?;
            Ok(())
        });
        made.await.unwrap();
        id.to_string()
    }

    /// A request that the route takes; none where this test does not know the route.
    async fn request(&self, route: &Route) -> Option<RequestBuilder> {
        let (post, path) = (Method::POST, route.path.as_str());
        let name = route.name();
        let at = |path: &str| path.to_owned();
        Some(match name.as_str() {
            "post /api/v1/apply" => {
                let documents = json!({ "documents": [document("applied", json!({}))] });
                self.call(post, path, documents)
            }
            "post /api/v1/auth/accept" => {
                let code = self.user("accepts").await["invitation"]["code"].clone();
                self.call(post, path, json!({ "code": code, "password": PASSWORD }))
            }
            "delete /api/v1/auth/credentials/{id}" => {
                self.done(Method::POST, "/api/v1/auth/tokens", json!({ "label": "ends" })).await;
                let (_, mine) = self.server.get("/api/v1/auth/credentials").await;
                let id = mine["items"].as_array()?.iter().find(|one| one["label"] == "ends")?["id"].clone();
                self.call(Method::DELETE, &path.replace("{id}", id.as_str()?), json!({}))
            }
            "post /api/v1/auth/exchange" => {
                let code = self.done(Method::POST, "/api/v1/auth/links", json!({})).await["code"].clone();
                self.call(post, path, json!({ "code": code }))
            }
            "post /api/v1/auth/keys/rotate" => self.call(post, path, json!({})),
            "post /api/v1/auth/token" => {
                self.session("asks").await;
                let grant = json!({ "grant_type": "password", "name": "asks", "password": PASSWORD });
                self.call(post, path, grant)
            }
            "post /api/v1/notifications/read" => self.call(post, path, json!({})),
            "post /api/v1/auth/links" => self.call(post, path, json!({})),
            "put /api/v1/auth/password" => {
                let session = self.session("changes").await;
                let body = json!({ "present": PASSWORD, "chosen": "another horse battery" });
                let url = self.server.url(path);
                self.server
                    .client
                    .put(url)
                    .header("cookie", session)
                    .header("sec-fetch-site", "same-origin")
                    .json(&body)
            }
            "post /api/v1/auth/sign-in" => {
                self.session("signs-in").await;
                self.call(post, path, json!({ "name": "signs-in", "password": PASSWORD }))
            }
            "post /api/v1/auth/sign-out" => {
                let made = self.done(Method::POST, "/api/v1/auth/tokens", json!({ "label": "out" })).await;
                self.server.client.post(self.server.url(path)).bearer_auth(made["token"].as_str()?)
            }
            "post /api/v1/auth/tokens" => self.call(post, path, json!({ "label": "new" })),
            "put /api/v1/code/{digest}" => {
                let path = path.replace("{digest}", self.code.digest.as_str());
                self.server.request(Method::PUT, &path).body(self.code.archive.clone())
            }
            "post /api/v1/connections/{name}/test" => {
                self.made("connections", "tested").await;
                self.done(Method::POST, "/api/v1/connections/tested/revisions", json!({})).await;
                self.done(Method::POST, "/api/v1/connections/tested/publish", json!({})).await;
                self.call(post, "/api/v1/connections/tested/test", json!({}))
            }
            "post /api/v1/dead-letters/{id}/redeliver" => {
                self.call(post, &path.replace("{id}", &self.dead_letter().await), json!({}))
            }
            "post /api/v1/jobs/{id}/cancel" => {
                // It waits for the one slot that the first has.
                self.server.published("narrow", json!({ "max_active_runs": 1 })).await;
                let runs = "/api/v1/samples/narrow/runs";
                let first = self.done(Method::POST, runs, json!({})).await;
                self.server.run_is(first["run"]["id"].as_str()?, "running").await;
                let (_, second) = self.server.start_job(runs, "second", json!({})).await;
                self.call(post, &path.replace("{id}", second["job"]["id"].as_str()?), json!({}))
            }
            "post /api/v1/plans" => {
                let body = json!({ "operation": "apply", "documents": [document("planned", json!({}))] });
                self.call(post, path, body)
            }
            "post /api/v1/plans/{id}/apply" => {
                let plan = self.plan("plan-applied").await;
                self.call(post, &path.replace("{id}", plan["id"].as_str()?), json!({}))
            }
            "post /api/v1/plans/{id}/approve" => {
                let plan = self.plan("plan-approved").await;
                self.call(post, &path.replace("{id}", plan["id"].as_str()?), json!({ "hash": plan["hash"] }))
            }
            "post /api/v1/plans/{id}/reject" => {
                let plan = self.plan("plan-rejected").await;
                self.call(post, &path.replace("{id}", plan["id"].as_str()?), json!({ "reason": "why" }))
            }
            "post /api/v1/runs/{id}/stop" => {
                let run = self.run("stops").await;
                self.call(post, &path.replace("{id}", run["run"]["id"].as_str()?), json!({}))
            }
            "post /api/v1/runs/{id}/retry" => {
                let run = self.run("retried").await["run"]["id"].as_str()?.to_owned();
                self.done(Method::POST, &format!("/api/v1/runs/{run}/stop"), json!({})).await;
                self.server.run_is(&run, "stopped").await;
                self.call(post, &path.replace("{id}", &run), json!({}))
            }
            "post /api/v1/secret-keys/rotate" => {
                self.done(Method::PUT, "/api/v1/secrets/rotated", json!({ "value": "x" })).await;
                self.call(post, path, json!({ "key": "data" }))
            }
            "put /api/v1/secrets/{path}" => {
                self.call(Method::PUT, "/api/v1/secrets/written", json!({ "value": "x" }))
            }
            "delete /api/v1/secrets/{path}" => {
                self.done(Method::PUT, "/api/v1/secrets/removed", json!({ "value": "x" })).await;
                self.call(Method::DELETE, "/api/v1/secrets/removed", json!({}))
            }
            "put /api/v1/members/{name}/{role}" | "put /api/v1/administrators/{name}/{role}" => {
                let who = at(if path.contains("members") { "granted" } else { "raised" });
                self.user(&who).await;
                self.call(Method::PUT, &held(path, &self.account(&who)), Value::Null)
            }
            "delete /api/v1/members/{name}/{role}" | "delete /api/v1/administrators/{name}/{role}" => {
                let who = at(if path.contains("members") { "revoked" } else { "lowered" });
                self.user(&who).await;
                let held = held(path, &self.account(&who));
                self.done(Method::PUT, &held, Value::Null).await;
                self.call(Method::DELETE, &held, Value::Null)
            }
            "patch /api/v1/teams/{name}" | "delete /api/v1/teams/{name}" => {
                let name = format!("to-{}", route.method.as_str().to_lowercase());
                self.done(Method::POST, "/api/v1/teams", json!({ "name": name })).await;
                let path = path.replace("{name}", &name);
                self.changed(route.method.clone(), &path, &path, json!({ "display_name": "Another" })).await
            }
            "put /api/v1/teams/{name}/members/{person}" | "delete /api/v1/teams/{name}/members/{person}" => {
                let who = format!("joins-{}", route.method.as_str().to_lowercase());
                self.user(&who).await;
                self.done(Method::POST, "/api/v1/teams", json!({ "name": who })).await;
                let path = path.replace("{name}", &who).replace("{person}", &self.account(&who));
                if route.method == Method::DELETE {
                    self.done(Method::PUT, &path, Value::Null).await;
                }
                self.call(route.method.clone(), &path, Value::Null)
            }
            "post /api/v1/users"
            | "post /api/v1/tenants"
            | "post /api/v1/projects"
            | "post /api/v1/teams" => self.call(post, path, json!({ "name": "new" })),
            "patch /api/v1/users/{name}" => {
                self.user("renamed").await;
                let path = "/api/v1/users/renamed";
                self.changed(Method::PATCH, path, path, json!({ "display_name": "Another" })).await
            }
            "post /api/v1/users/{name}/invite" => {
                self.user("invited").await;
                self.call(post, "/api/v1/users/invited/invite", json!({}))
            }
            "post /api/v1/users/{name}/tokens" => {
                self.done(Method::POST, "/api/v1/users", json!({ "name": "service", "service": true })).await;
                self.call(post, "/api/v1/users/service/tokens", json!({}))
            }
            "delete /api/v1/users/{name}/tokens/{id}" => {
                self.done(Method::POST, "/api/v1/users", json!({ "name": "loses", "service": true })).await;
                let tokens = "/api/v1/users/loses/tokens";
                self.done(Method::POST, tokens, json!({})).await;
                let (_, list) = self.server.get(tokens).await;
                self.call(
                    Method::DELETE,
                    &format!("{tokens}/{}", list["items"][0]["id"].as_str()?),
                    Value::Null,
                )
            }
            "patch /api/v1/tenants/{name}" | "patch /api/v1/projects/{name}" => {
                let all = path.trim_end_matches("/{name}");
                self.done(Method::POST, all, json!({ "name": "renamed" })).await;
                let body = json!({ "display_name": "Another" });
                self.call(Method::PATCH, &path.replace("{name}", "renamed"), body).header("if-match", "\"1\"")
            }
            "post /api/v1/tenants/{name}/delete" | "post /api/v1/projects/{name}/delete" => {
                let all = path.trim_end_matches("/{name}/delete");
                self.done(Method::POST, all, json!({ "name": "deleted" })).await;
                if all.ends_with("tenants") {
                    let suspend =
                        self.call(Method::PATCH, &format!("{all}/deleted"), json!({ "state": "suspended" }));
                    assert!(answer(suspend.header("if-match", "\"1\"")).await.0.is_success());
                }
                let body = json!({ "confirm": "deleted", "reason": "why" });
                self.call(post, &path.replace("{name}", "deleted"), body)
            }
            "post /api/v1/tenants/{name}/export" => self.call(post, &self.of_tenant(path), json!({})),
            "post /api/v1/projects/{name}/export" => {
                self.done(Method::POST, "/api/v1/projects", json!({ "name": "exported" })).await;
                self.call(post, &path.replace("{name}", "exported"), json!({}))
            }
            "put /api/v1/tenants/{name}/quotas" | "put /api/v1/projects/{name}/quotas" => {
                let all = path.trim_end_matches("/{name}/quotas");
                self.done(Method::POST, all, json!({ "name": "limited" })).await;
                let path = path.replace("{name}", "limited");
                self.changed(Method::PUT, &path, &path, json!({ "resources": 5 })).await
            }
            _ => return self.of_a_kind(route).await,
        })
    }

    /// A session of somebody who has a password, as a cookie.
    async fn session(&self, name: &str) -> String {
        let code = self.user(name).await["invitation"]["code"].clone();
        let body = json!({ "code": code, "password": PASSWORD });
        let request = self.server.client.post(self.server.url("/api/v1/auth/accept")).json(&body);
        let reply = request.send().await.unwrap();
        reply.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// Makes a resource of the kind.
    async fn made(&self, plural: &str, name: &str) {
        self.done(Method::POST, &format!("/api/v1/{plural}"), self.document(plural, name)).await;
    }

    /// A revision of a new resource: its address.
    async fn revision(&self, plural: &str, name: &str) -> String {
        self.made(plural, name).await;
        let all = format!("/api/v1/{plural}/{name}/revisions");
        self.done(Method::POST, &all, json!({})).await;
        format!("{all}/1")
    }

    /// A revision that waits for the second person.
    async fn submitted(&self, plural: &str, name: &str) -> String {
        let one = self.revision(plural, name).await;
        self.done(Method::POST, &format!("{one}/submit"), json!({})).await;
        one
    }

    fn document(&self, plural: &str, name: &str) -> Value {
        let kind = self.server.kernel.registry.find_plural(plural).unwrap().info();
        let spec = match plural {
            "connections" => json!({ "type": "http", "address": "http://127.0.0.1:1/" }),
            "schedules" => json!({ "cron": "@yearly", "target": { "kind": "Sample", "name": "one" } }),
            "subscriptions" => json!({ "connection": "chat", "events": ["run.lost"] }),
            _ => kind.example.clone(),
        };
        json!({ "apiVersion": "quarterdeck/v1", "kind": kind.kind, "metadata": { "name": name }, "spec": spec })
    }

    /// The spec of that document with one field that says something else.
    fn another_spec(&self, plural: &str) -> Option<Value> {
        let (field, value) = match plural {
            "samples" => ("count", json!(7)),
            "connections" => ("address", json!("http://127.0.0.1:2/")),
            "schedules" => ("cron", json!("@monthly")),
            "subscriptions" => ("events", json!(["run.failed"])),
            "policies" | "stagetemplates" | "pipelines" => ("description", json!("Another.")),
            _ => return None,
        };
        let mut spec = self.document(plural, "any")["spec"].clone();
        spec[field] = value;
        Some(spec)
    }

    async fn of_a_kind(&self, route: &Route) -> Option<RequestBuilder> {
        let (plural, rest) = route.path.strip_prefix("/api/v1/")?.split_once('/').unwrap_or_default();
        let plural = if plural.is_empty() { route.path.strip_prefix("/api/v1/")? } else { plural };
        self.server.kernel.registry.find_plural(plural)?;
        let verb = rest.trim_start_matches("{name}").trim_start_matches('/');
        let last = verb.rsplit('/').next().unwrap_or_default().trim_matches(['{', '}']);
        let name = format!("{}-{last}", route.method.as_str().to_lowercase());
        let name = name.trim_end_matches('-');
        if route.method == Method::POST && rest.is_empty() {
            return Some(self.call(Method::POST, &route.path, self.document(plural, name)));
        }
        if verb.starts_with("revisions/{number}/") {
            return self.of_a_review(plural, name, last).await;
        }
        self.made(plural, name).await;
        let here = format!("/api/v1/{plural}/{name}");
        let there = format!("{here}/{verb}");
        let post = |body: Value| self.call(Method::POST, &there, body);
        Some(match (route.method.as_str(), verb) {
            ("PATCH", "") => {
                self.changed(Method::PATCH, &here, &here, json!({ "description": "Another" })).await
            }
            ("DELETE", "") => self.changed(Method::DELETE, &here, &here, json!({})).await,
            ("PUT", "working-copy") => {
                self.changed(Method::PUT, &there, &there, json!({ "spec": self.another_spec(plural)? })).await
            }
            ("PUT", "sharing/{holder}") => {
                self.call(Method::PUT, &format!("{here}/sharing/second"), json!({ "as": "viewer" }))
            }
            ("DELETE", "sharing/{holder}") => {
                let there = format!("{here}/sharing/second");
                self.done(Method::PUT, &there, json!({ "as": "viewer" })).await;
                self.call(Method::DELETE, &there, Value::Null)
            }
            ("POST", "restore") => {
                let archive = self.changed(Method::DELETE, &here, &here, json!({})).await;
                assert!(answer(archive).await.0.is_success(), "{here}");
                post(json!({}))
            }
            ("POST", "revisions") => post(json!({ "message": "why" })),
            ("POST", "plan" | "publish") => {
                self.done(Method::POST, &format!("{here}/revisions"), json!({})).await;
                post(json!({}))
            }
            ("POST", "rollback" | "runs") => {
                self.done(Method::POST, &format!("{here}/revisions"), json!({})).await;
                self.done(Method::POST, &format!("{here}/publish"), json!({})).await;
                post(if verb == "runs" { json!({}) } else { json!({ "to": 1, "reason": "why" }) })
            }
            _ => return None,
        })
    }

    async fn of_a_review(&self, plural: &str, name: &str, verb: &str) -> Option<RequestBuilder> {
        let one = match verb {
            "submit" | "comments" => self.revision(plural, name).await,
            _ => self.submitted(plural, name).await,
        };
        let there = format!("{one}/{verb}");
        Some(match verb {
            "submit" => self.call(Method::POST, &there, json!({ "message": "why" })),
            "comments" => self.call(Method::POST, &there, json!({ "body": "why" })),
            "withdraw" => self.call(Method::POST, &there, json!({ "reason": "why" })),
            "reject" => self.second(Method::POST, &there).json(&json!({ "reason": "why" })),
            "approve" => {
                let (_, seen) = answer(self.second(Method::GET, &format!("{one}/review"))).await;
                self.second(Method::POST, &there).json(&json!({ "hash": seen["hash"] }))
            }
            _ => return None,
        })
    }

    /// What a tenant has that only somebody's wish changes.
    async fn standing(&self, tenant: &str) -> Vec<String> {
        let id = self.server.kernel.scope_find(Some(tenant), None).await.unwrap().tenant.id;
        eventually("its jobs have ended", async || {
            let going = self.server.kernel.store.read(move |tx| -> qd_core::error::Result<i64> {
                let sql = "SELECT count(*) FROM job WHERE tenant_id = $1 AND ended_at IS NULL";
                Ok(tx.one(sql, params![id], |row| row.get(0))?)
            });
            (going.await.unwrap() == 0).then_some(())
        })
        .await;
        let read = self.server.kernel.store.read(move |tx| -> qd_core::error::Result<Vec<String>> {
            let mut all = vec![];
            for sql in [
                "SELECT name || kind || state || CAST(version AS TEXT) FROM resource WHERE tenant_id = $1 ORDER BY id",
                "SELECT path || CAST(version AS TEXT) FROM secret WHERE tenant_id = $1 ORDER BY id",
                "SELECT name || CAST(version AS TEXT) FROM project WHERE tenant_id = $1 ORDER BY id",
                "SELECT state || hash FROM plan WHERE tenant_id = $1 ORDER BY id",
                "SELECT role FROM role_binding WHERE tenant_id = $1 ORDER BY principal_id, role",
                "SELECT name || CAST(version AS TEXT) FROM team WHERE tenant_id = $1 ORDER BY id",
                "SELECT holder || access FROM resource_holder WHERE tenant_id = $1 ORDER BY resource_id, holder, access",
                "SELECT state FROM review WHERE tenant_id = $1 ORDER BY id",
                "SELECT body FROM review_comment WHERE tenant_id = $1 ORDER BY id",
                "SELECT action FROM audit WHERE tenant_id = $1 AND actor <> 'system' ORDER BY id",
            ] {
                all.extend(tx.rows(sql, params![id], |row| row.get::<String>(0))?);
            }
            Ok(all)
        });
        read.await.unwrap()
    }

    /// The ids of all that a tenant has.
    async fn ids(&self, tenant: &str) -> Vec<String> {
        let id = self.server.kernel.scope_find(Some(tenant), None).await.unwrap().tenant.id;
        let read = self.server.kernel.store.read(move |tx| -> qd_core::error::Result<Vec<uuid::Uuid>> {
            let mut all = vec![id.uuid()];
            for table in [
                "project",
                "resource",
                "job",
                "run",
                "plan",
                "secret",
                "audit",
                "dead_letter",
                "team",
                "review",
                "review_comment",
                "notification",
            ] {
                let sql = format!("SELECT id FROM {table} WHERE tenant_id = $1");
                all.extend(tx.rows(&sql, params![id], |row| row.get::<uuid::Uuid>(0))?);
            }
            Ok(all)
        });
        read.await.unwrap().iter().map(ToString::to_string).collect()
    }

    /// Where something of the tenant is read; none where it has nothing of that kind.
    async fn address(&self, route: &Route) -> Option<String> {
        let mut path = self.of_tenant(&route.path);
        if path.contains("{id}") || path.contains("{name}") {
            let (all, _) = path.split_once("/{")?;
            let (_, list) = self.server.get(all).await;
            let first = list["items"].as_array()?.first()?.clone();
            path = path.replace("{id}", first["id"].as_str().unwrap_or_default());
            path = path.replace("{name}", first["name"].as_str().unwrap_or_default());
        }
        let path = path.replace("{digest}", self.code.digest.as_str()).replace("{number}", "1");
        let path = path.replace("{object}", "samples/one");
        let path =
            if path.starts_with("/api/v1/secrets/") { "/api/v1/secrets/written".to_owned() } else { path };
        let path = path.replace("{path}", "out.jsonl");
        Some(if path.ends_with("/diff") { format!("{path}?from=1") } else { path })
    }

    /// The actions that were recorded under the request's id.
    async fn actions(&self, request_id: &str) -> Vec<String> {
        let id = request_id.to_owned();
        let read = self.server.kernel.store.read(move |tx| -> qd_core::error::Result<Vec<String>> {
            let sql = "SELECT action FROM audit WHERE request_id = $1 AND outcome = 'success' AND actor <> $2 ORDER BY id";
            Ok(tx.rows(sql, params![id, SYSTEM], |row| row.get(0))?)
        });
        read.await.unwrap()
    }
}

fn of_python(route: &Route) -> bool {
    let verb = route.path.strip_prefix("/api/v1/pipelines/{name}/").and_then(|rest| rest.split('/').next());
    verb.is_some_and(|verb| OF_PYTHON.contains(&verb))
}

fn held(path: &str, who: &str) -> String {
    let role = if path.contains("members") { "viewer" } else { "PLATFORM_ADMIN" };
    path.replace("{name}", who).replace("{role}", role)
}

/// Every mutating route of a project or a tenant is asked in one tenant and then, with the same names, in another: nothing is taken, and
/// what the first has is neither changed nor told to the second.
#[tokio::test]
async fn equal_names_in_two_tenants_never_meet() {
    let mut world = World::new().await;
    let routes = routes(&world.server).await;
    let inside = |route: &&Route| route.level == "project" || route.level == "tenant";
    let mut wrong = vec![];
    let mut before = None;
    for tenant in ["acme", "beta"] {
        world.server.tenant = None;
        world.done(Method::POST, "/api/v1/tenants", json!({ "name": tenant })).await;
        world.server.tenant = Some(tenant.to_owned());
        world.prepared(json!({ "mark": format!("mark-{tenant}") })).await;
        if tenant == "beta" {
            before = Some(world.standing("acme").await);
        }
        for route in routes.iter().filter(inside).filter(|route| route.method != Method::GET) {
            if of_python(route) {
                continue;
            }
            let Some(request) = world.request(route).await else { continue };
            let (status, reply) = answer(request).await;
            if !status.is_success() {
                wrong.push(format!("{} in {tenant}: {status} {reply}", route.name()));
            }
        }
    }
    assert_eq!(before.unwrap(), world.standing("acme").await, "beta changed nothing of acme's");
    let foreign = world.ids("acme").await;
    assert!(foreign.len() > 100, "{} ids", foreign.len());
    let mut told = 0;
    for route in routes.iter().filter(inside).filter(|route| route.method == Method::GET) {
        if route.path == "/api/v1/stream" {
            continue;
        }
        let Some(path) = world.address(route).await else { continue };
        let reply = world.server.request(Method::GET, &path).send().await.unwrap();
        told += usize::from(reply.status().is_success());
        let text = reply.text().await.unwrap_or_default();
        if text.contains("mark-acme") || foreign.iter().any(|id| text.contains(id)) {
            wrong.push(format!("{path} tells beta what is acme's: {text}"));
        }
    }
    wrong.extend(world.troubles.into_inner().unwrap());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(told >= 30, "{told} addresses told something");
}

#[tokio::test]
async fn every_mutating_route_leaves_exactly_one_action_record_and_a_dry_run_none() {
    let world = World::new().await;
    world.prepared(json!({})).await;
    let (mut wrong, mut asked, mut dry) = (vec![], 0, 0);
    for route in routes(&world.server).await {
        let last = route.path.rsplit('/').next().unwrap_or_default();
        if route.method == Method::GET || of_python(&route) || READING.contains(&last) {
            continue;
        }
        let Some(request) = world.request(&route).await else {
            wrong.push(format!("{}: no request here that it takes", route.name()));
            continue;
        };
        if route.dry_run {
            dry += 1;
            let id = format!("dry-{asked}");
            let preview =
                request.try_clone().unwrap().query(&[("dry_run", "true")]).header("x-request-id", &id);
            let (status, reply) = answer(preview).await;
            let actions = world.actions(&id).await;
            if !status.is_success() || !actions.is_empty() {
                wrong.push(format!("{} as a dry run: {status} {reply} {actions:?}", route.name()));
            }
        }
        asked += 1;
        let id = format!("asked-{asked}");
        let (status, reply) = answer(request.header("x-request-id", &id)).await;
        let actions = world.actions(&id).await;
        if !status.is_success() || actions.len() != 1 {
            wrong.push(format!("{}: {status} {reply}, recorded: {actions:?}", route.name()));
        }
    }
    wrong.extend(world.troubles.into_inner().unwrap());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked >= 70 && dry >= 10, "{asked} routes, {dry} of them dry");
}
