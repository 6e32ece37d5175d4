//! The canary: a secret is planted through every place that takes one, in a real server that logs all it can, and everything that
//! leaves the server or stays on its disk is searched for it, in every form in which it could be written. It is found nowhere but
//! sealed.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

mod canary {
    pub mod ears;
    pub mod forms;
}
#[path = "support/api.rs"]
mod api;
#[path = "support/process.rs"]
mod process;

use std::collections::{BTreeMap, BTreeSet};

use api::{Api, client};
use canary::ears::{NatsEar, StreamEar};
use canary::forms::Searched;
use process::Server;
use qd_kernel::store::Backend;
use qd_testkit::{HttpServer, Nats, Reply, TestDatabase, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// As a person might choose it: with what a URL, JSON and a shell write in another way.
const CANARY: &str = "Canary!7/+\"quoted\"&4711-zwölf";
/// As a token is: one word, which goes into headers.
const TOKEN: &str = "canary-token-80f2c1d96b7e4a35";
/// What a person signs in with, what he changes it to, and what somebody tries as his.
const PASSWORDS: [&str; 3] =
    ["Canary-Password-1 ßquoted\"", "Canary-Password-2 %2F&changed", "Canary-Password-3 tried'"];
const MASTER: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const NEXT_MASTER: &str = "decade00decade00decade00decade00decade00decade00decade00decade00";

/// Repeats what it was sent, in several forms, and fails: what a badly made service does.
fn echo() -> HttpServer {
    HttpServer::start(|heard| {
        let sent = heard.headers.get("authorization").cloned().unwrap_or_default();
        let token = sent.strip_prefix("Bearer ").unwrap_or(&sent).to_owned();
        let said = format!("refused {token} {} {}", hex(token.as_bytes()), json!(heard.headers));
        Reply::new(500, said).header("x-you-sent", &token)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Bench {
    server: Server,
    api: Api,
    /// Every answer that the server gave.
    answers: String,
}

impl Bench {
    /// Any request; what is answered is kept for the search.
    async fn ask(&mut self, method: Method, path: &str, body: &[u8]) -> (StatusCode, String) {
        let request = self.api.http.request(method.clone(), format!("{}{path}", self.api.url));
        let key = format!("key-{}", self.answers.len());
        let request =
            request.bearer_auth(&self.api.token).header("if-match", "\"1\"").header("idempotency-key", key);
        let request = request.header("content-type", "application/json").body(body.to_vec());
        let reply = request.send().await.expect("an answer");
        let (status, headers) = (reply.status(), format!("{:?}", reply.headers()));
        let text = reply.text().await.expect("a body");
        self.answers.push_str(&format!("{method} {path}: {status}\n{headers}\n{text}\n"));
        (status, text)
    }

    async fn json(&mut self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let (status, text) = self.ask(method, path, body.to_string().as_bytes()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn job(&mut self, path: &str, body: &Value) -> Value {
        let (status, reply) = self.json(Method::POST, path, body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{path}: {reply}");
        self.api.ended(reply["job"]["id"].as_str().expect("a job"), path).await
    }
}

fn connection(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "quarterdeck/v1", "kind": "Connection", "metadata": { "name": name }, "spec": spec })
}

/// A spec of each type with this where it names a secret. No database answers.
fn specs(address: &str, secret: &Value) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        (
            "http",
            json!({ "type": "http", "address": address, "token": secret, "headers": { "x-api-key": secret } }),
        ),
        ("ray", json!({ "type": "ray", "address": address, "token": secret })),
        ("webhook", json!({ "type": "webhook", "address": address, "secret": secret })),
        (
            "postgres",
            json!({ "type": "postgres", "host": "127.0.0.1", "port": 1, "database": "d", "user": "u", "password": secret, "sslmode": "disable" }),
        ),
        (
            "s3",
            json!({ "type": "s3", "bucket": "models", "address": address, "access_key_id": "k", "secret_access_key": secret }),
        ),
    ])
}

/// In every way in which a person or a program could hand a secret over, also the wrong ones.
async fn plant(bench: &mut Bench, address: &str) {
    for (path, value) in
        [("conn/word", TOKEN), ("conn/text", CANARY), ("conn/text", CANARY), ("conn/gone", CANARY)]
    {
        let body = json!({ "value": value });
        let (status, _) = bench.json(Method::PUT, &format!("/api/v1/secrets/{path}"), &body).await;
        assert!(status.is_success(), "{path}: {status}");
    }
    // Bodies that are none.
    let quoted = json!(CANARY).to_string();
    for body in [
        CANARY.to_owned(),
        quoted.clone(),
        format!("{{\"valeu\": {quoted}}}"),
        format!("{{\"value\": [{quoted}]}}"),
        format!("{{\"value\": {{{quoted}: 1}}}}"),
        format!("{{\"value\": {quoted}, {quoted}: 1}}"),
        format!("{{\"value\": {quoted}"),
        json!({ "value": CANARY.repeat(4000) }).to_string(),
        json!({ "value": format!("{CANARY}\0") }).to_string(),
    ] {
        let (status, _) = bench.ask(Method::PUT, "/api/v1/secrets/conn/bad", body.as_bytes()).await;
        assert!(status.is_client_error(), "{body}: {status}");
    }
    // Specs in which it stands itself, to be applied, planned, drafted.
    for secret in [json!(CANARY), json!(TOKEN), json!({ "env": CANARY }), json!({ "value": TOKEN })] {
        for (name, spec) in specs(address, &secret) {
            let document = connection(&format!("bad-{name}"), spec.clone());
            let documents = json!({ "documents": [document.clone()] });
            for (path, body) in [
                ("/api/v1/apply?publish=true", documents.clone()),
                ("/api/v1/apply?dry_run=true", documents.clone()),
                ("/api/v1/plans", json!({ "operation": "apply", "documents": [document.clone()] })),
                ("/api/v1/connections", document.clone()),
            ] {
                let (status, reply) = bench.json(Method::POST, path, &body).await;
                assert!(status.is_client_error(), "{path} {name}: {status} {reply}");
            }
        }
    }
    // As it should be: by reference, published and tested against a server that repeats what it hears.
    for (secret, suffix) in [("secret://conn/word", "word"), ("secret://conn/text#1", "text")] {
        for (name, spec) in specs(address, &json!(secret)) {
            let name = format!("{name}-{suffix}");
            let documents = json!({ "documents": [connection(&name, spec)] });
            let job = bench.job("/api/v1/apply?publish=true", &documents).await;
            assert_eq!(job["state"], "succeeded", "{job}");
            let (status, reading) =
                bench.json(Method::POST, &format!("/api/v1/connections/{name}/test"), &json!({})).await;
            assert_eq!((status, &reading["ok"]), (StatusCode::OK, &json!(false)), "{name}: {reading}");
        }
    }
    // A draft that is changed, a plan that is kept, a removal that is refused and one that is not.
    let draft = json!({ "spec": { "type": "http", "address": address, "token": CANARY } });
    let (status, _) = bench.json(Method::PUT, "/api/v1/connections/http-word/working-copy", &draft).await;
    assert!(status.is_client_error(), "a working copy: {status}");
    let plan = json!({ "operation": "publish", "kind": "Connection", "name": "http-word" });
    bench.json(Method::POST, "/api/v1/plans", &plan).await;
    let (status, _) = bench.ask(Method::DELETE, "/api/v1/secrets/conn/word", b"").await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, _) = bench.ask(Method::DELETE, "/api/v1/secrets/conn/gone", b"").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    for key in ["data", "master"] {
        let job = bench.job("/api/v1/secret-keys/rotate", &json!({ "key": key })).await;
        assert_eq!(job["state"], "succeeded", "{job}");
    }
}

/// Somebody is invited, chooses a password, changes it, and others try: all that takes a password, also wrongly.
async fn plant_passwords(bench: &mut Bench) {
    let [chosen, changed, tried] = PASSWORDS;
    let (status, made) = bench.json(Method::POST, "/api/v1/users", &json!({ "name": "ann" })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let code = made["invitation"]["code"].as_str().expect("an invitation").to_owned();
    for (code, password) in [("qdi_none", tried), (&code, "short"), (&code, chosen)] {
        bench.json(Method::POST, "/api/v1/auth/accept", &json!({ "code": code, "password": password })).await;
    }
    let (status, _) =
        bench.json(Method::POST, "/api/v1/auth/sign-in", &json!({ "name": "ann", "password": chosen })).await;
    assert_eq!(status, StatusCode::OK);
    // The last one is who wrote his password where his name belongs.
    for (name, password) in [("ann", tried), ("nobody", tried), (tried, chosen)] {
        let (status, _) = bench
            .json(Method::POST, "/api/v1/auth/sign-in", &json!({ "name": name, "password": password }))
            .await;
        assert!(status.is_client_error(), "{name}: {status}");
    }
    let change = json!({ "present": chosen, "chosen": changed });
    bench.json(Method::PUT, "/api/v1/auth/password", &change).await;
    for body in
        [json!({ "name": "bea", "password": tried }), json!({ "name": "bea", "password_hash": tried })]
    {
        let (status, _) = bench.json(Method::POST, "/api/v1/users", &body).await;
        assert!(status.is_client_error(), "{body}: {status}");
    }
}

/// Everything that can be read, each route with all that it could be asked for.
async fn read_everything(bench: &mut Bench) {
    let (_, description) = bench.json(Method::GET, "/openapi.json", &json!({})).await;
    let ids = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().into_iter().flatten();
        items.filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
    };
    let (_, jobs) = bench.json(Method::GET, "/api/v1/jobs?limit=500", &json!({})).await;
    let (_, plans) = bench.json(Method::GET, "/api/v1/plans?limit=500", &json!({})).await;
    let (_, connections) = bench.json(Method::GET, "/api/v1/connections?limit=500", &json!({})).await;
    let (jobs, plans, connections) = (ids(&jobs), ids(&plans), ids(&connections));
    assert!(jobs.len() > 10 && connections.len() == 10, "{} {}", jobs.len(), connections.len());
    let paths: Vec<String> = description["paths"].as_object().expect("paths").keys().cloned().collect();
    let mut answered = BTreeSet::new();
    for path in &paths {
        if description["paths"][path]["get"].is_null() || path == "/api/v1/stream" {
            continue;
        }
        let query = query(path, &description["paths"][path]["get"]);
        let of = |parts: &[String], name: &str| -> Vec<String> {
            parts.iter().map(|part| path.replace(name, part).replace("{number}", "1")).collect()
        };
        let filled = match path.split('/').nth(3) {
            Some("jobs") if path.contains("{id}") => of(&jobs, "{id}"),
            Some("plans") if path.contains("{id}") => of(&plans, "{id}"),
            Some("connections") if path.contains("{name}") => of(&connections, "{name}"),
            Some("secrets") if path.contains("{path}") => {
                of(&["conn/word", "conn/text", "conn/gone", "conn/bad"].map(str::to_owned), "{path}")
            }
            Some("explain") => of(&["connections/http-word".to_owned()], "{object}"),
            _ => vec![path.replace("{id}", "none").replace("{name}", "none").replace("{number}", "1")],
        };
        for one in filled {
            for asked in [&one, &format!("{one}?{query}")] {
                if bench.ask(Method::GET, asked, b"").await.0 == StatusCode::OK {
                    answered.insert(path.as_str());
                }
            }
        }
    }
    for told in [
        "/api/v1/audit",
        "/api/v1/audit/export",
        "/api/v1/auth/can-i",
        "/api/v1/connections/{name}",
        "/api/v1/connections/{name}/audit",
        "/api/v1/connections/{name}/revisions/{number}",
        "/api/v1/connections/{name}/revisions/{number}/diff",
        "/api/v1/events",
        "/api/v1/explain/{object}",
        "/api/v1/jobs/{id}",
        "/api/v1/plans/{id}",
        "/api/v1/secrets/{path}",
    ] {
        assert!(answered.contains(told), "{told} was never read: {answered:?}");
    }
}

/// What makes a route tell most, of the parameters that its description has.
fn query(path: &str, route: &Value) -> String {
    let worth = |name: &str| match name {
        "limit" => Some("500"),
        "from" => Some("1"),
        "action" if path.starts_with("/api/v1/auth/") => Some("connections.read"),
        _ => None,
    };
    let parameters = route["parameters"].as_array().into_iter().flatten();
    let named = parameters.filter_map(|one| one["name"].as_str());
    let pairs = named.filter_map(|name| Some(format!("{name}={}", worth(name)?)));
    pairs.collect::<Vec<_>>().join("&")
}

async fn searched(backend: Backend) {
    let db = TestDatabase::on(backend).await;
    let nats = Nats::start().await;
    let ear = NatsEar::listen(nats.port);
    let mut words = vec!["--database-url", db.url.as_str(), "--log-format", "json"];
    let url = nats.url();
    if backend == Backend::Postgres {
        words.extend(["--nats-url", url.as_str()]);
    }
    let server = Server::new(&words)
        .env("QD_LOG", "trace")
        .env("RUST_LOG", "trace")
        .env("SECRET_ENCRYPTION_KEY", NEXT_MASTER)
        .env("SECRET_ENCRYPTION_KEY_PREVIOUS", MASTER);
    let mut bench = {
        let mut server = server;
        assert!(server.start(), "{}", server.log());
        let api = Api { http: client(), url: server.url(), token: server.token.clone() };
        Bench { server, api, answers: String::new() }
    };
    let streams = StreamEar::listen(&bench.api, &["/api/v1/stream", "/api/v1/events"]);
    let echo = echo();
    plant(&mut bench, &echo.url).await;
    plant_passwords(&mut bench).await;
    read_everything(&mut bench).await;
    for path in ["/metrics", "/ready", "/version"] {
        bench.ask(Method::GET, path, b"").await;
    }
    eventually("the streams tell of the last exchange", async || {
        streams.heard().contains("secrets.rotate_master_key").then_some(())
    })
    .await;
    assert!(bench.server.stop().await.success(), "{}", bench.server.log());

    let planted = [&[CANARY, TOKEN][..], &PASSWORDS].concat();
    let forms = Searched::of(&planted, &[MASTER, NEXT_MASTER]);
    let log = bench.server.log();
    assert!(
        log.lines().count() > 300 && log.contains("TRACE"),
        "the log tells all: {} lines",
        log.lines().count()
    );
    forms.not_in("answers", bench.answers.as_bytes());
    forms.not_in("streams", streams.heard().as_bytes());
    forms.not_in("log", log.as_bytes());
    forms.not_in("NATS", &ear.heard());
    if backend == Backend::Postgres {
        assert!(ear.heard().len() > 1000, "NATS was told of things");
        forms.not_in("Postgres", postgres_dump(&db.url).await.as_bytes());
    }
    forms.not_in_files(bench.server.home());
    if let Some(folder) = db.folder() {
        assert!(folder.join("qd.db").exists());
        forms.not_in_files(&folder);
    }
    // It was used: what it leads to has heard it.
    let heard = echo.heard();
    assert!(
        heard.iter().any(|heard| heard.headers.get("authorization").is_some_and(|text| text.contains(TOKEN)))
    );
}

/// Every row of every table, as text: bytes are in hex.
async fn postgres_dump(url: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connect");
    tokio::spawn(connection);
    let tables = client
        .query("SELECT format('%I', table_name) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'", &[])
        .await
        .expect("list the tables");
    assert!(tables.len() > 20, "{} tables", tables.len());
    let mut dump = String::new();
    for table in tables {
        let table: String = table.get(0);
        for row in client.query(&format!("SELECT t::text FROM {table} t"), &[]).await.expect("read a table") {
            dump.push_str(&format!("{table} {}\n", row.get::<_, String>(0)));
        }
    }
    assert!(dump.contains("secret_version"), "values are there, sealed");
    dump
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_secret_is_found_nowhere_but_sealed_on_sqlite() {
    searched(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_secret_is_found_nowhere_but_sealed_on_postgres_with_nats() {
    searched(Backend::Postgres).await;
}

#[test]
fn the_search_finds_what_is_there() {
    let forms = Searched::of(&[CANARY, TOKEN], &[]);
    for form in forms.all() {
        let hay = format!("before {form} after");
        assert!(
            std::panic::catch_unwind(|| forms.not_in("hay", hay.as_bytes())).is_err(),
            "{form} is overlooked"
        );
    }
    forms.not_in("hay", b"nothing of it");
    assert!(forms.all().len() > 12);
}
