//! One resource for one person: what is shared is there, and what is not is nowhere.

use qd_testkit::engine::line;
use qd_testkit::eventually;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::streams::Reader;
use super::support::{TestServer, answer, document};

/// A service of that name with a token.
async fn robot(server: &TestServer, name: &str) -> String {
    server.post("/api/v1/users", json!({ "name": name, "service": true })).await;
    let (status, made) = server.post(&format!("/api/v1/users/{name}/tokens"), json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

async fn share(server: &TestServer, path: &str, with: &str, level: &str) {
    let path = format!("/api/v1/{path}/sharing/{with}");
    let (status, told) = answer(server.request(Method::PUT, &path).json(&json!({ "as": level }))).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{told}");
}

fn policy(name: &str, cedar: &str) -> Value {
    json!({ "apiVersion": "quarterdeck/v1", "kind": "Policy", "metadata": { "name": name }, "spec": { "cedar": cedar } })
}

/// Publishes a policy and waits until it is in force.
async fn in_force(server: &TestServer, name: &str, cedar: &str) {
    let body = json!({ "documents": [policy(name, cedar)] });
    let (status, reply) = server.start_job("/api/v1/apply?publish=true", name, body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let job = server.job_ended(reply["job"]["id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "succeeded", "{job}");
}

/// Two published samples that run, with what is known of each.
struct Two {
    server: TestServer,
    one: Things,
    two: Things,
}

struct Things {
    name: &'static str,
    id: String,
    run: String,
    job: String,
    plan: String,
}

impl Two {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let one = Things::make(&server, "one").await;
        let two = Things::make(&server, "two").await;
        Self { server, one, two }
    }

    fn with(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.server.client.request(method, self.server.url(path)).bearer_auth(token)
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        answer(self.with(token, Method::GET, path)).await
    }

    /// Every address of the description that reads something of one object, for `things`.
    async fn addresses(&self, things: &Things) -> Vec<String> {
        let (_, description) = self.server.get("/openapi.json").await;
        let paths = description["paths"].as_object().unwrap();
        let reads = paths.iter().filter(|(_, methods)| methods.get("get").is_some());
        let of_one = reads.map(|(path, _)| path).filter(|path| {
            let part = path.split('/').nth(3);
            path.contains('{') && matches!(part, Some("samples" | "runs" | "jobs" | "plans" | "explain"))
        });
        let mut addresses: Vec<String> = of_one.flat_map(|path| things.fill(path)).collect();
        addresses.sort();
        assert!(addresses.len() > 20, "{addresses:?}");
        addresses
    }

    /// Nothing that a reader is given speaks of `two`; everything of `one` is there.
    async fn shows_one_alone(&self, token: &str) {
        let (one, two) = (&self.one, &self.two);
        for list in ["samples", "runs", "jobs", "plans", "events?limit=500", "audit?limit=500"] {
            let (status, shown) = self.get(token, &format!("/api/v1/{list}")).await;
            assert_eq!(status, StatusCode::OK, "{list}: {shown}");
            let text = shown.to_string();
            assert!(one.is_in(&text), "{list} has nothing of one: {text}");
            assert!(!two.is_in(&text), "{list} shows two: {text}");
        }
        for address in self.addresses(one).await {
            let (status, told) = self.get(token, &address).await;
            // The engine of these tests keeps no results here.
            assert!(status == StatusCode::OK || told["code"] == "no_results", "{address}: {status} {told}");
        }
        let stream = self.with(token, Method::GET, "/api/v1/stream?after=0");
        let mut stream = Reader::new(stream.send().await.unwrap());
        let mut told = String::new();
        while !(told.contains("resource.created") && told.contains(&one.run)) {
            told.push_str(&stream.next().await.unwrap().data.to_string());
        }
        assert!(!two.is_in(&told), "{told}");
        let logs = self.get(token, &format!("/api/v1/stream?logs={}", two.run)).await;
        assert!(logs.0.is_client_error(), "{logs:?}");
    }

    /// What there is and may not be seen is answered like what there is not.
    async fn hides_two(&self, token: &str, status: StatusCode) {
        let none = Things {
            name: "not-there",
            id: "0198c5d8-0000-7000-8000-000000000001".into(),
            run: "0198c5d8-0000-7000-8000-000000000002".into(),
            job: "0198c5d8-0000-7000-8000-000000000003".into(),
            plan: "0198c5d8-0000-7000-8000-000000000004".into(),
        };
        let (hidden, missing) = (self.addresses(&self.two).await, self.addresses(&none).await);
        let mut asked: Vec<(Method, String, String)> = vec![];
        for (hidden, missing) in hidden.into_iter().zip(missing) {
            asked.push((Method::GET, hidden, missing));
        }
        for (method, path) in [
            (Method::PATCH, "/api/v1/samples/{name}"),
            (Method::PUT, "/api/v1/samples/{name}/working-copy"),
            (Method::POST, "/api/v1/samples/{name}/validate"),
            (Method::POST, "/api/v1/samples/{name}/publish"),
            (Method::POST, "/api/v1/samples/{name}/runs"),
            (Method::POST, "/api/v1/samples/{name}/plan"),
            (Method::POST, "/api/v1/samples/{name}/revisions"),
            (Method::DELETE, "/api/v1/samples/{name}/sharing/eve"),
            (Method::POST, "/api/v1/runs/{id}/stop"),
            (Method::POST, "/api/v1/runs/{id}/retry"),
            (Method::POST, "/api/v1/jobs/{id}/cancel"),
            (Method::POST, "/api/v1/plans/{id}/apply"),
            (Method::POST, "/api/v1/plans/{id}/reject"),
        ] {
            let (hidden, missing) = (self.two.fill(path), none.fill(path));
            asked.push((method, hidden[0].clone(), missing[0].clone()));
        }
        for (method, hidden, missing) in asked {
            let ask = async |path: &str, things: &Things| {
                let request = self.with(token, method.clone(), path);
                let request =
                    request.header("if-match", "\"1\"").header("idempotency-key", path.replace('/', "-"));
                // What each address takes, so that nothing but the caller's rights stands against it.
                let body = match path.rsplit('/').next() {
                    Some("working-copy" | "validate") => json!({ "spec": {} }),
                    Some("stop" | "retry" | "cancel" | "reject" | "publish") => json!({ "reason": "why" }),
                    _ => json!({}),
                };
                let (status, mut told) = answer(request.json(&body)).await;
                told.as_object_mut().map(|told| told.remove("correlation_id"));
                let mut text = told.to_string();
                for (word, stands) in [
                    (&things.id, "ID"),
                    (&things.run, "RUN"),
                    (&things.job, "JOB"),
                    (&things.plan, "PLAN"),
                    (&things.name.to_owned(), "NAME"),
                ] {
                    text = text.replace(word.as_str(), stands);
                }
                (status, text)
            };
            let (told, expected) = (ask(&hidden, &self.two).await, ask(&missing, &none).await);
            assert_eq!(told, expected, "{method} {hidden}");
            if method == Method::GET {
                assert_eq!(told.0, status, "{method} {hidden}: {}", told.1);
            }
        }
    }
}

impl Things {
    async fn make(server: &TestServer, name: &'static str) -> Self {
        server.published(name, json!({})).await;
        let (_, resource) = server.get(&format!("/api/v1/samples/{name}")).await;
        let (_, started) = server
            .start_job(&format!("/api/v1/samples/{name}/runs"), &format!("run-{name}"), json!({}))
            .await;
        let run = started["run"]["id"].as_str().unwrap().to_owned();
        server.run_is(&run, "running").await;
        let (_, plan) = server.post(&format!("/api/v1/samples/{name}/plan"), json!({})).await;
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            name,
            id: word(&resource["id"]),
            run,
            job: word(&started["job"]["id"]),
            plan: word(&plan["id"]),
        }
    }

    /// The address of each object that a path can stand for.
    fn fill(&self, path: &str) -> Vec<String> {
        let path = path.replace("{number}", "1").replace("{path}", "out.jsonl");
        let path = if path.ends_with("/diff") { format!("{path}?from=1") } else { path };
        match path.split('/').nth(3).unwrap_or_default() {
            "samples" => vec![path.replace("{name}", self.name), path.replace("{name}", &self.id)],
            "runs" => {
                vec![path.replace("{id}", &self.run), path.replace("{id}", &format!("{}%231", self.name))]
            }
            "jobs" => vec![path.replace("{id}", &self.job)],
            "plans" => vec![path.replace("{id}", &self.plan)],
            _ => [
                format!("samples/{}", self.name),
                format!("runs/{}", self.run),
                format!("jobs/{}", self.job),
                format!("plans/{}", self.plan),
            ]
            .iter()
            .map(|object| path.replace("{object}", object))
            .collect(),
        }
    }

    fn is_in(&self, text: &str) -> bool {
        [&self.id, &self.run, &self.job].into_iter().any(|id| text.contains(id.as_str()))
            || text.contains(&format!("\"{}\"", self.name))
            || text.contains(&format!("/{}\"", self.name))
            || text.contains(&format!("{}#", self.name))
    }
}

#[tokio::test]
async fn somebody_without_a_role_sees_what_is_shared_with_him_and_that_alone() {
    let two = Two::new().await;
    let eve = robot(&two.server, "eve").await;
    assert_eq!(two.get(&eve, "/api/v1/me").await.1["code"], "no_role");
    share(&two.server, "samples/one", "eve", "viewer").await;
    let (status, me) = two.get(&eve, "/api/v1/me").await;
    assert_eq!(status, StatusCode::OK, "{me}");
    let may = |of: &str, action: &str| me[of].as_array().unwrap().contains(&json!(action));
    assert!(may("some_permissions", "samples.read") && !may("permissions", "samples.read"), "{me}");
    assert!(may("permissions", "kinds.list") && !may("some_permissions", "samples.run"), "{me}");
    two.shows_one_alone(&eve).await;
    two.hides_two(&eve, StatusCode::FORBIDDEN).await;
    let (_, one) = two.get(&eve, "/api/v1/samples/one").await;
    let allowed = one["allowed"].as_array().unwrap();
    assert!(allowed.contains(&json!("samples.read")) && !allowed.contains(&json!("samples.run")), "{one}");

    let gone = two.server.request(Method::DELETE, "/api/v1/samples/one/sharing/eve");
    assert_eq!(answer(gone).await.0, StatusCode::NO_CONTENT);
    assert_eq!(two.get(&eve, "/api/v1/samples/one").await.1["code"], "no_role", "at once in this process");
}

#[tokio::test]
async fn what_a_policy_hides_is_not_there_for_who_may_read_the_rest() {
    let two = Two::new().await;
    let eve = robot(&two.server, "eve").await;
    answer(two.server.request(Method::PUT, "/api/v1/members/eve/PIPELINE_DEV")).await;
    let seen = two.get(&eve, "/api/v1/samples/two").await;
    assert_eq!(seen.0, StatusCode::OK);
    let text = "forbid (principal == User::\"eve\", action, resource is Resource) when { resource.name == \"two\" };";
    in_force(&two.server, "hidden", text).await;
    eventually("the policy is in force", async || {
        let (status, _) = two.get(&eve, "/api/v1/samples/two").await;
        (status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    two.shows_one_alone(&eve).await;
    two.hides_two(&eve, StatusCode::NOT_FOUND).await;
    let documents = json!({ "documents": [document("two", json!({ "count": 1 }))] });
    let dry = two.with(&eve, Method::POST, "/api/v1/apply?dry_run=true").json(&documents);
    assert_eq!(answer(dry).await.0, StatusCode::NOT_FOUND, "no difference to what is hidden is shown");
    // Whom it is not about sees it all the same.
    assert_eq!(two.server.get("/api/v1/samples/two").await.0, StatusCode::OK);
}

#[tokio::test]
async fn each_way_to_share_allows_what_it_says() {
    let two = Two::new().await;
    let server = &two.server;
    for (name, level) in [("vic", "viewer"), ("opal", "operator"), ("edda", "editor")] {
        let token = robot(server, name).await;
        share(server, "samples/one", name, level).await;
        let ask = async |method: Method, path: &str, body: Value| {
            let request =
                two.with(&token, method, path).header("idempotency-key", format!("{name}{}", path.len()));
            answer(request.header("if-match", "\"1\"").json(&body)).await.0 != StatusCode::FORBIDDEN
        };
        let runs = ask(Method::POST, "/api/v1/samples/one/runs", json!({})).await;
        let edits = ask(Method::PUT, "/api/v1/samples/one/working-copy", json!({ "spec": {} })).await;
        // Of the version that it has: another one is stale before anybody asks who may.
        let (_, one) = server.get("/api/v1/samples/one").await;
        let gives = two.with(&token, Method::PATCH, "/api/v1/samples/one").json(&json!({ "owners": [name] }));
        let gives = answer(gives.header("if-match", format!("\"{}\"", one["version"]))).await.0;
        let gives = gives != StatusCode::FORBIDDEN;
        let publishes = ask(Method::POST, "/api/v1/samples/one/publish", json!({})).await;
        let shares = ask(Method::PUT, "/api/v1/samples/one/sharing/vic", json!({ "as": "editor" })).await;
        let archives = ask(Method::DELETE, "/api/v1/samples/one", json!({})).await;
        let expected = match level {
            "viewer" => (false, false, false),
            "operator" => (true, false, false),
            _ => (true, true, true),
        };
        assert_eq!((runs, edits, publishes), expected, "{level}");
        assert!(!shares && !archives && !gives, "{level}: {shares} {archives} {gives}");
    }
    let (_, list) = server.get("/api/v1/samples/one/sharing").await;
    let holders: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|h| h["holder"].as_str()).collect();
    assert_eq!(holders, ["edda", "opal", "vic"]);
    let (_, audit) = server.get("/api/v1/audit?action=samples.share").await;
    assert_eq!(audit["items"][0]["changes"][0]["after"], json!({ "edda": "editor" }), "{audit}");
}

#[tokio::test]
async fn an_owner_does_everything_to_what_is_his_and_a_team_owns_too() {
    let two = Two::new().await;
    let server = &two.server;
    let (ann, tom) = (robot(server, "ann").await, robot(server, "tom").await);
    for (team, person) in [("core", "tom"), ("guests", "ann")] {
        server.post("/api/v1/teams", json!({ "name": team })).await;
        answer(server.request(Method::PUT, &format!("/api/v1/teams/{team}/members/{person}"))).await;
    }
    let (_, one) = server.get("/api/v1/samples/one").await;
    let patch = server.request(Method::PATCH, "/api/v1/samples/one");
    let patch = patch.header("if-match", format!("\"{}\"", one["version"]));
    let (status, now) = answer(patch.json(&json!({ "owners": ["ann"], "teams": ["core"] }))).await;
    assert_eq!(status, StatusCode::OK, "{now}");
    for token in [&ann, &tom] {
        let (status, detail) = two.get(token, "/api/v1/samples/one").await;
        assert_eq!(status, StatusCode::OK, "{detail}");
        let allowed = detail["allowed"].as_array().unwrap();
        for action in ["archive", "edit", "publish", "run", "share"] {
            assert!(allowed.contains(&json!(format!("samples.{action}"))), "{action}: {detail}");
        }
        let shared =
            two.with(token, Method::PUT, "/api/v1/samples/one/sharing/eve").json(&json!({ "as": "viewer" }));
        let (status, told) = answer(shared).await;
        assert_eq!((status, &told["code"]), (StatusCode::NOT_FOUND, &json!("user_not_found")));
    }
    let own = two.with(&ann, Method::PUT, "/api/v1/samples/one/sharing/tom").json(&json!({ "as": "owner" }));
    assert_eq!(answer(own).await.1["code"], "owner_by_metadata");
    let own = two.with(&ann, Method::PUT, "/api/v1/samples/one/sharing/ann").json(&json!({ "as": "viewer" }));
    assert_eq!(answer(own).await.1["code"], "own_access");
    let none = two.with(&ann, Method::DELETE, "/api/v1/samples/one/sharing/tom");
    assert_eq!(answer(none).await.1["code"], "not_shared");
    two.hides_two(&ann, StatusCode::FORBIDDEN).await;
    answer(server.request(Method::DELETE, "/api/v1/teams/core/members/tom")).await;
    assert_eq!(
        two.get(&tom, "/api/v1/samples/one").await.1["code"],
        "no_role",
        "with the team goes what it owned"
    );
}

#[tokio::test]
async fn a_log_ends_with_the_right_to_its_run_and_the_events_go_on() {
    let two = Two::new().await;
    let server = &two.server;
    let eve = robot(server, "eve").await;
    for sample in ["samples/one", "samples/two"] {
        share(server, sample, "eve", "viewer").await;
    }
    let name = server.engine.names().into_iter().find(|name| name.contains(&two.one.run)).unwrap();
    let open =
        two.with(&eve, Method::GET, &format!("/api/v1/stream?logs={}", two.one.run)).send().await.unwrap();
    let mut stream = Reader::new(open);
    server.engine.log(&name, [line("seen")]);
    while stream.next().await.unwrap().event != "log" {}
    let gone = server.request(Method::DELETE, "/api/v1/samples/one/sharing/eve");
    assert_eq!(answer(gone).await.0, StatusCode::NO_CONTENT);
    server.engine.log(&name, [line("hidden")]);
    let end = loop {
        let frame = stream.next().await.unwrap();
        assert_ne!(frame.event, "log", "{frame:?}");
        if frame.event == "end" {
            break frame;
        }
    };
    assert_eq!((&end.data["run_id"], &end.data["reason"]), (&json!(two.one.run), &json!("action_denied")));
    // The other one is still shared, and what happens to it is told.
    let (_, sample) = server.get("/api/v1/samples/two").await;
    let patch = server.request(Method::PATCH, "/api/v1/samples/two");
    let patch =
        patch.header("if-match", format!("\"{}\"", sample["version"])).json(&json!({ "description": "new" }));
    assert_eq!(answer(patch).await.0, StatusCode::OK);
    loop {
        let frame = stream.next().await.unwrap();
        assert_ne!(frame.event, "log", "{frame:?}");
        if frame.data["type"] == "resource.updated" {
            break;
        }
    }
}
