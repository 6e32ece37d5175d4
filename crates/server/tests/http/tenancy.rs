//! What one tenant has, asked for by another: every route that the API's description names and that takes a name or an id, asked with
//! one of another tenant's and with one that nobody has. The two answers are the same to the letter, but for what was asked for.
//!
//! A new route is asked as well. A new parameter needs a line here that says what it names, or the test fails.

use qd_kernel::{
    access::matrix::{Level, RoleInfo},
    params,
    registry::Role,
};
use qd_server::Rates;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{
    coverage::{PUBLIC, Route, holder, made_by, routes},
    support::{TestServer, answer},
};

/// What answers something else than 404 (or 403 to who lacks the role) by design, and why. Beside these there is what makes something of
/// one's own, under a name that another may have too ([`World::makes_its_own`]).
const OTHERWISE: [(&str, u16, &str); 7] = [
    ("get /api/v1/audit?object", 200, "a filter: nothing of one's own is about it, and the list is empty"),
    ("get /api/v1/audit?principal", 200, "as above"),
    ("get /api/v1/audit?actor", 200, "as above"),
    ("get /api/v1/audit?job", 200, "as above"),
    ("get /api/v1/audit?plan", 200, "as above"),
    ("get /api/v1/audit?plan_hash", 200, "as above"),
    ("get /api/v1/dead-letters?consumer", 200, "as above"),
];

/// Parameters of queries that name nothing that a tenant has.
const NAMELESS: &str = "action after attempt before correlation cursor delivered dry_run format from kind label level limit log_after \
    message outcome publish q reason records request since stage state stream to trace unread until";

/// The other tenant.
const THEIRS: &str = "their-tenant";

/// Allows everything, and can be held in a project: no other role does, and a refusal would hide what a route gives away.
const EVERYTHING: &str = "test:everything";

/// One of the other tenant's, and one that nobody has, of the same shape.
#[derive(Clone)]
struct Pair {
    theirs: String,
    nobodys: String,
    /// People and tenants: the platform's own may know of all of them.
    of_platform: bool,
}

/// A tenant with one of everything; what it has is called after it (`their-sample`).
struct Tenant {
    of: &'static str,
    run: String,
    job: String,
    plan: Value,
    dead_letter: String,
    export: String,
    credential: String,
    principal: String,
    digest: String,
    archive: Vec<u8>,
    /// By plural.
    ids: Vec<(&'static str, String)>,
}

struct World {
    server: TestServer,
    theirs: Tenant,
    ours: Tenant,
    other: String,
}

/// A question: where it goes, and what in it stands for what is asked for.
struct Question<'r> {
    route: &'r Route,
    /// With `?query` behind, where it is the query that names something.
    key: String,
    /// With `{}` for what is asked for.
    path: String,
    pair: Pair,
    /// What a parameter wants beyond the route.
    wants: Option<(Level, &'static str)>,
}

impl Tenant {
    /// Makes all of it as the owner, in the tenant that the server's requests name.
    async fn make(server: &TestServer, of: &'static str) -> Self {
        let named = |what: &str| format!("{of}-{what}");
        server.published(&named("samples"), json!({})).await;
        let mut ids = vec![];
        for route in routes(server).await {
            let Some(document) = made_by(server, &route, &named(route.path.rsplit('/').next().unwrap()))
            else {
                continue;
            };
            let (plural, name) = (route.path.rsplit('/').next().unwrap(), &document["metadata"]["name"]);
            let plural = server.kernel.registry.find_plural(plural).unwrap().info().plural;
            if plural != "samples" {
                let (status, made) = server.post(&route.path, document.clone()).await;
                assert_eq!(status, StatusCode::CREATED, "{made}");
            }
            let (status, there) = server.get(&format!("{}/{}", route.path, name.as_str().unwrap())).await;
            assert_eq!(status, StatusCode::OK, "{there}");
            ids.push((plural, text(&there["id"])));
        }
        let (_, started) =
            server.start_job(&format!("/api/v1/samples/{of}-samples/runs"), &named("run"), json!({})).await;
        let run = text(&started["run"]["id"]);
        server.run_is(&run, "running").await;
        let (_, plan) =
            server.post(&format!("/api/v1/samples/{of}-samples/plan"), json!({ "revision": 1 })).await;
        for (path, body) in [
            ("teams", json!({ "name": named("team") })),
            ("projects", json!({ "name": named("project") })),
            ("users", json!({ "name": named("person"), "service": true })),
        ] {
            let (status, made) = server.post(&format!("/api/v1/{path}"), body).await;
            assert_eq!(status, StatusCode::CREATED, "{made}");
        }
        for (path, body) in [
            (format!("members/{of}-person/viewer"), Value::Null),
            (format!("secrets/{of}-secret"), json!({ "value": "x" })),
        ] {
            let (status, made) =
                answer(server.request(Method::PUT, &format!("/api/v1/{path}")).json(&body)).await;
            assert!(status.is_success(), "{made}");
        }
        let whole = server.tenant.as_deref().unwrap_or("default");
        let path = format!("/api/v1/tenants/{whole}/export");
        let (status, export) = server.start_job(&path, &named("export"), json!({ "reason": "why" })).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{export}");
        let (_, token) = server.post(&format!("/api/v1/users/{of}-person/tokens"), json!({})).await;
        let credentials =
            server.client.get(server.url("/api/v1/auth/credentials")).bearer_auth(text(&token["token"]));
        let (_, credentials) = answer(credentials).await;
        let (_, person) = server.get(&format!("/api/v1/users/{of}-person")).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), of).unwrap();
        let code = qd_pipelines::code::pack(folder.path()).unwrap();
        let upload =
            server.request(Method::PUT, &format!("/api/v1/code/{}", code.digest)).body(code.archive.clone());
        assert_eq!(answer(upload).await.0, StatusCode::CREATED);
        Self {
            of,
            run,
            job: text(&started["job"]["id"]),
            plan,
            export: text(&export["job"]["id"]),
            dead_letter: dead_letter(server, &named("consumer")).await,
            credential: text(&credentials["items"][0]["id"]),
            principal: text(&person["id"]),
            digest: code.digest.to_string(),
            archive: code.archive.to_vec(),
            ids,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

async fn dead_letter(server: &TestServer, consumer: &str) -> String {
    let (id, at) = (server.kernel.source.uuid(), server.kernel.source.now());
    let scope = server.kernel.scope_find(server.tenant.as_deref(), None).await.unwrap().scope;
    let event = json!({ "pos": 1, "type": "run.failed", "at": at, "actor": "owner", "correlation_id": "c", "data": {} });
    let (event, consumer) = (event.to_string(), consumer.to_owned());
    let made = server.kernel.store.write(move |tx| -> qd_core::error::Result<()> {
        tx.exec(
            "INSERT INTO dead_letter (id, tenant_id, project_id, consumer, pos, event, state, attempts, error_code, error_message, died_at)
             VALUES ($1, $2, $3, $4, 1, $5, 'dead', 1, 'code', 'message', $6)",
            params![id, scope.tenant_id, scope.project_id, consumer.clone(), event.clone(), at],
        )?;
        Ok(())
    });
    made.await.unwrap();
    id.to_string()
}

impl World {
    async fn new() -> Self {
        let mut server = TestServer::with(|boot| {
            boot.edge.rates = Rates::off();
            let usual = std::mem::replace(&mut boot.register, Box::new(|_| {}));
            boot.register = Box::new(move |registry| {
                usual(registry);
                registry.role(Role { name: EVERYTHING, summary: "Of this test.", actions: &["*"] });
            });
        })
        .await;
        let (status, other) = server.post("/api/v1/tenants", json!({ "name": THEIRS })).await;
        assert_eq!(status, StatusCode::CREATED, "{other}");
        let ours = Tenant::make(&server, "our").await;
        server.tenant = Some(THEIRS.into());
        let theirs = Tenant::make(&server, "their").await;
        server.tenant = None;
        Self { server, theirs, ours, other: text(&other["id"]) }
    }

    /// What is theirs under that name, and a name that nobody has.
    fn named(&self, what: &str) -> Pair {
        let (theirs, nobodys) = (format!("{}-{what}", self.theirs.of), format!("never-{what}"));
        Pair { theirs, nobodys, of_platform: false }
    }

    fn id(&self, theirs: &str) -> Pair {
        Pair {
            theirs: theirs.to_owned(),
            nobodys: self.server.kernel.source.uuid().to_string(),
            of_platform: false,
        }
    }

    fn person(&self) -> Pair {
        Pair { of_platform: true, ..self.named("person") }
    }

    /// What a parameter of a path names; nothing where it tells only which part of what another one names. An error for one that
    /// nobody has thought of yet.
    fn pairs(&self, route: &Route, parameter: &str) -> Result<Vec<Pair>, String> {
        let plural = route.path.split('/').nth(3).unwrap_or_default();
        let theirs = &self.theirs;
        let of_kind = theirs.ids.iter().find(|(of, _)| *of == plural);
        let before = |prefix: &str, pair: Pair| Pair {
            theirs: format!("{prefix}{}", pair.theirs),
            nobodys: format!("{prefix}{}", pair.nobodys),
            ..pair
        };
        Ok(match (plural, parameter) {
            (_, "name") if of_kind.is_some() => {
                vec![self.named(plural), self.id(&of_kind.unwrap().1)]
            }
            (_, "holder") | ("members", "name") => vec![self.person(), before("team:", self.named("team"))],
            ("administrators" | "users", "name") | ("teams", "person") => vec![self.person()],
            ("teams", "name") => vec![self.named("team")],
            ("projects", "name") => vec![self.named("project")],
            ("tenants", "name") => [self.named("tenant"), self.id(&self.other)]
                .map(|pair| Pair { of_platform: true, ..pair })
                .to_vec(),
            // What is put there is one's own.
            ("secrets" | "code", _) if route.method == Method::PUT => vec![],
            ("secrets", "path") => vec![self.named("secret")],
            ("runs", "id") => {
                let Pair { theirs, nobodys, .. } = self.named("samples");
                let reference = Pair {
                    theirs: format!("{theirs}%231"),
                    nobodys: format!("{nobodys}%231"),
                    of_platform: false,
                };
                vec![self.id(&self.theirs.run), reference]
            }
            ("jobs", "id") => vec![self.id(&theirs.job)],
            ("plans", "id") => vec![self.id(&text(&theirs.plan["id"]))],
            ("dead-letters", "id") => vec![self.id(&theirs.dead_letter)],
            ("auth", "id") => vec![self.id(&theirs.credential)],
            ("users", "id") => vec![Pair { of_platform: true, ..self.id(&theirs.credential) }],
            ("tenants", "id") => vec![self.id(&theirs.export)],
            ("code", "digest") => {
                let nobodys = theirs.digest.chars().rev().take(64).collect::<String>();
                let nobodys = format!("{}{nobodys}", &theirs.digest[..theirs.digest.len() - 64]);
                vec![Pair { theirs: theirs.digest.clone(), nobodys, of_platform: false }]
            }
            ("explain", "object") => vec![
                before("samples/", self.named("samples")),
                before("runs/", self.id(&theirs.run)),
                before("jobs/", self.id(&theirs.job)),
                before("plans/", self.id(&text(&theirs.plan["id"]))),
            ],
            (_, "number" | "role") | ("runs", "path") => vec![],
            _ => return Err(format!("{}: what does {{{parameter}}} name?", route.name())),
        })
    }

    /// The same of a parameter of a query: where it is asked, with what else, and what it wants by itself.
    #[expect(clippy::type_complexity, reason = "a row of a table, taken apart at once")]
    fn query(
        &self,
        route: &Route,
        parameter: &str,
    ) -> Result<Vec<(Pair, &'static str, Option<(Level, &'static str)>)>, String> {
        let theirs = &self.theirs;
        let alone = |pair: Pair| vec![(pair, "", None)];
        let of_sample = &theirs.ids.iter().find(|(plural, _)| *plural == "samples").unwrap().1;
        Ok(match (route.path.as_str(), parameter) {
            ("/api/v1/audit", "object") => alone(self.id(of_sample)),
            ("/api/v1/audit", "job") => alone(self.id(&theirs.job)),
            ("/api/v1/audit", "plan") => alone(self.id(&text(&theirs.plan["id"]))),
            ("/api/v1/audit", "plan_hash") => {
                let hash = text(&theirs.plan["hash"]);
                let nobodys = format!("{}0", &hash[..hash.len() - 1]);
                alone(Pair { theirs: hash, nobodys, of_platform: false })
            }
            ("/api/v1/audit", "actor") => alone(self.person()),
            ("/api/v1/audit", "principal") => alone(self.id(&theirs.principal)),
            (_, "reach") => {
                let id = self.id(&self.other);
                let reach = |id: String| format!("tenant:{id}");
                let pair = Pair { theirs: reach(id.theirs), nobodys: reach(id.nobodys), of_platform: true };
                vec![(pair, "", Some((Level::Platform, "audit.export")))]
            }
            ("/api/v1/auth/can-i" | "/api/v1/auth/who-can", "object") => {
                let Pair { theirs, nobodys, .. } = self.named("samples");
                let path = |name: String| format!("samples/{name}");
                let pair = Pair { theirs: path(theirs), nobodys: path(nobodys), of_platform: false };
                vec![(pair, "action=samples.read&", None)]
            }
            ("/api/v1/auth/can-i", "as") => {
                vec![(self.person(), "action=samples.read&", Some((Level::Tenant, "members.list")))]
            }
            ("/api/v1/dead-letters", "consumer") => alone(self.named("consumer")),
            ("/api/v1/members/{name}/{role}", "project") => alone(self.named("project")),
            ("/api/v1/stream", "logs") => alone(self.id(&theirs.run)),
            _ if NAMELESS.split_whitespace().any(|known| known == parameter) => vec![],
            _ => return Err(format!("{}: what does ?{parameter} name?", route.name())),
        })
    }

    /// The path with one's own in place of every parameter but this.
    fn around(&self, route: &Route, asked: Option<&str>) -> String {
        let ours = &self.ours;
        let plural = route.path.split('/').nth(3).unwrap_or_default();
        let parts = route.path.split('/').map(|part| {
            let Some(parameter) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                return part.to_owned();
            };
            match (plural, parameter) {
                _ if asked == Some(parameter) => "{}".to_owned(),
                ("members" | "administrators" | "users", "name") | (_, "person" | "holder") => {
                    "our-person".to_owned()
                }
                ("teams", "name") => "our-team".to_owned(),
                ("projects", "name") => "our-project".to_owned(),
                ("tenants", "name") => "default".to_owned(),
                (_, "name") => format!("our-{plural}"),
                (_, "number") => "1".to_owned(),
                (_, "role") => "viewer".to_owned(),
                ("secrets", "path") => "our-secret".to_owned(),
                ("jobs", "id") => ours.job.clone(),
                ("plans", "id") => text(&ours.plan["id"]),
                ("dead-letters", "id") => ours.dead_letter.clone(),
                ("auth" | "users", "id") => ours.credential.clone(),
                ("tenants", "id") => ours.export.clone(),
                (_, "id") => ours.run.clone(),
                (_, "digest") => ours.digest.clone(),
                (_, "object") => "samples/our-samples".to_owned(),
                _ => "out.jsonl".to_owned(),
            }
        });
        let path = parts.collect::<Vec<_>>().join("/");
        if path.ends_with("/diff") { format!("{path}?from=1") } else { path }
    }

    /// All that there is to ask, and what of the description nobody has thought of yet.
    fn questions<'r>(&self, routes: &'r [Route]) -> (Vec<Question<'r>>, Vec<String>) {
        let (mut questions, mut unknown) = (vec![], vec![]);
        for route in routes.iter().filter(|route| !PUBLIC.contains(&route.name().as_str())) {
            for parameter in route.path.split(['{', '}']).skip(1).step_by(2) {
                let pairs = self.pairs(route, parameter).unwrap_or_else(|why| {
                    unknown.push(why);
                    vec![]
                });
                let path = self.around(route, Some(parameter));
                questions.extend(pairs.into_iter().map(|pair| Question {
                    route,
                    key: route.name(),
                    path: path.clone(),
                    pair,
                    wants: None,
                }));
            }
            for parameter in &route.query {
                let asked = self.query(route, parameter).unwrap_or_else(|why| {
                    unknown.push(why);
                    vec![]
                });
                let path = self.around(route, None);
                questions.extend(asked.into_iter().map(|(pair, beside, wants)| Question {
                    route,
                    key: format!("{}?{parameter}", route.name()),
                    path: format!("{path}?{beside}{parameter}={{}}"),
                    pair,
                    wants,
                }));
            }
            if route.name() == "post /api/v1/plans" {
                let (path, pair) = (route.path.clone(), self.named("samples"));
                questions.push(Question { route, key: route.name(), path, pair, wants: None });
            }
        }
        (questions, unknown)
    }

    fn request(&self, route: &Route, path: &str, name: &str) -> RequestBuilder {
        let request = self.server.client.request(route.method.clone(), self.server.url(path));
        let key = self.server.kernel.source.uuid().to_string();
        let request = request.header("if-match", "\"1\"").header("idempotency-key", key);
        match route.method {
            Method::GET => request,
            _ if path.contains("/code/") => request.body(self.ours.archive.clone()),
            _ => {
                let made = made_by(&self.server, route, "made");
                request.json(&made.unwrap_or_else(|| route.body(path, name)))
            }
        }
    }

    /// What is answered, with a word in place of what was asked for.
    async fn told(&self, question: &Question<'_>, token: &str, asked: &str) -> (StatusCode, String) {
        self.told_in("default", question, token, asked).await
    }

    async fn told_in(
        &self,
        tenant: &str,
        question: &Question<'_>,
        token: &str,
        asked: &str,
    ) -> (StatusCode, String) {
        let request = self.request(question.route, &question.path.replace("{}", asked), asked);
        let (status, told) = settled(request.bearer_auth(token).header("x-tenant-id", tenant)).await;
        // A run's reference is told as it is written, and an object by the name or id alone.
        let asked = asked.replace("%23", "#");
        let bare = asked.rsplit(['/', ':']).next().unwrap_or_default();
        (status, told.replace(&asked, "ASKED").replace(bare, "ASKED").replace("samples/ASKED", "ASKED"))
    }

    /// Whether the other tenant itself is told the same of what it has and of what nobody has: then nothing was asked.
    async fn means_nothing(&self, question: &Question<'_>) -> bool {
        let Question { route, key, pair, .. } = question;
        let filter = OTHERWISE.iter().any(|(otherwise, ..)| otherwise == key);
        if route.method != Method::GET || route.path == "/api/v1/stream" || filter {
            return false;
        }
        // The tenant may be named by the path.
        let path = question.path.replace("/tenants/default/", &format!("/tenants/{THEIRS}/"));
        let question = Question { route, key: key.clone(), path, pair: pair.clone(), wants: None };
        let told = async |asked: &str| self.told_in(THEIRS, &question, &self.server.token, asked).await;
        told(&pair.theirs).await == told(&pair.nobodys).await
    }

    /// What is wrong with how a question is answered to a holder of the role.
    async fn wrong(&self, question: &Question<'_>, who: &Asker) -> Option<String> {
        let theirs = self.told(question, &who.token, &question.pair.theirs).await;
        let nobodys = self.told(question, &who.token, &question.pair.nobodys).await;
        let reached = |level: Level| who.level <= level;
        let allowed = question.route.allowed(&who.role, who.level)
            && question.wants.is_none_or(|(level, action)| reached(level) && who.role.allows(action));
        let otherwise = OTHERWISE.iter().find(|(key, ..)| *key == question.key);
        let expected = match otherwise {
            Some((_, status, _)) if allowed => theirs.0 == *status,
            _ => theirs.0 == StatusCode::NOT_FOUND || (theirs.0 == StatusCode::FORBIDDEN && !allowed),
        };
        // What one makes for oneself has a time of its own.
        let same =
            theirs == nobodys || (otherwise.is_some() && allowed && question.route.method == Method::PUT);
        let Asker { role, level, .. } = who;
        let asked =
            format!("{} ({}) by {} of the {}", question.key, question.pair.theirs, role.name, level.as_str());
        (!expected || !same).then(|| format!("{asked}:\n  theirs:  {theirs:?}\n  nobody's: {nobodys:?}"))
    }

    /// What one writes where another tenant has something as well is new to one's own, and leaves theirs as it was.
    async fn makes_its_own(&self, who: &Asker) {
        let server = &self.server;
        let secret = format!("/api/v1/secrets/{}", self.named("secret").theirs);
        let code = format!("/api/v1/code/{}", self.theirs.digest);
        let theirs =
            async || answer(server.request(Method::GET, &secret).header("x-tenant-id", THEIRS)).await;
        let before = theirs().await;
        assert_eq!(before.0, StatusCode::OK);
        let put = |path: &str| server.client.put(server.url(path)).bearer_auth(&who.token);
        assert_eq!(answer(put(&secret).json(&json!({ "value": "y" }))).await.0, StatusCode::CREATED);
        assert_eq!(answer(put(&code).body(self.theirs.archive.clone())).await.0, StatusCode::CREATED);
        assert_eq!(theirs().await, before);
    }
}

/// Somebody of the default tenant.
struct Asker {
    token: String,
    role: RoleInfo,
    level: Level,
}

/// The answer without what names the request.
async fn settled(request: RequestBuilder) -> (StatusCode, String) {
    let (status, mut told) = answer(request).await;
    if let Some(told) = told.as_object_mut() {
        told.remove("correlation_id");
    }
    (status, told.to_string())
}

#[tokio::test]
async fn what_another_tenant_has_is_not_found() {
    let world = World::new().await;
    let roles = world.server.kernel.authority.roles().to_vec();
    let role = |name: &str| roles.iter().find(|role| role.name == name).unwrap().clone();
    let mut askers = vec![];
    for (name, level) in [
        ("TENANT_ADMIN", Level::Tenant),
        (EVERYTHING, Level::Project),
        ("PIPELINE_DEV", Level::Project),
        ("viewer", Level::Tenant),
    ] {
        let role = role(name);
        askers.push(Asker { token: holder(&world.server, &role, level).await, role, level });
    }
    askers.push(Asker {
        token: world.server.token.clone(),
        role: role("PLATFORM_ADMIN"),
        level: Level::Platform,
    });
    let routes = routes(&world.server).await;
    let (questions, mut wrong) = world.questions(&routes);
    for (key, ..) in OTHERWISE {
        if questions.iter().all(|question| question.key != key) {
            wrong.push(format!("{key}: nobody asks that"));
        }
    }
    let mut asked = 0;
    for question in &questions {
        if world.means_nothing(question).await {
            wrong.push(format!("{} ({}) asks for nothing", question.key, question.pair.theirs));
        }
        for who in &askers {
            let platforms = who.level == Level::Platform;
            // What the platform has is no tenant's, and his to see.
            if platforms && (question.pair.of_platform || question.route.level == "platform") {
                continue;
            }
            asked += 1;
            wrong.extend(world.wrong(question, who).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked >= 1_000, "{asked} questions");
    world.makes_its_own(&askers[0]).await;
}

/// Naming the other tenant itself, on every route that acts in one.
#[tokio::test]
async fn another_tenant_is_not_there_on_any_route() {
    let world = World::new().await;
    let role =
        world.server.kernel.authority.roles().iter().find(|role| role.name == EVERYTHING).unwrap().clone();
    let (mut wrong, mut asked) = (vec![], 0);
    for level in [Level::Tenant, Level::Project] {
        let token = holder(&world.server, &role, level).await;
        for route in routes(&world.server).await {
            // Those name the tenant by their path alone.
            let by_path = route.path.starts_with("/api/v1/tenants/");
            if !["project", "tenant"].contains(&route.level.as_str()) || by_path {
                continue;
            }
            let path = world.around(&route, None);
            let ask = async |tenant: &str| {
                let request = world.request(&route, &path, "our-samples").bearer_auth(&token);
                settled(request.header("x-tenant-id", tenant)).await
            };
            let never = ask("never").await;
            let id = world.server.kernel.source.uuid().to_string();
            for (theirs, nobodys) in [(ask(THEIRS).await, never), (ask(&world.other).await, ask(&id).await)] {
                asked += 1;
                if theirs.0 != StatusCode::NOT_FOUND || theirs != nobodys {
                    wrong.push(format!("{}: {theirs:?}, nobody's {nobodys:?}", route.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked >= 600, "{asked} questions");
}
