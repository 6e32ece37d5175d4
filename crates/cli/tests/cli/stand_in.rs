//! A stand-in server on a free port, and the built binary pointed at it.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

/// One request as it arrived, without its body.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub key: Option<String>,
    pub correlation: Option<String>,
    pub authorization: Option<String>,
}

pub struct StandIn {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    home: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl StandIn {
    /// Serves `routes` and a list of kinds.
    pub fn start(routes: Router) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = seen.clone();
        let routes = routes.route("/api/v1/kinds", get(kinds)).layer(middleware::from_fn(
            move |request: Request, next: Next| {
                let word = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
                record.lock().unwrap().push(Seen {
                    method: request.method().to_string(),
                    path: request.uri().to_string(),
                    key: word("idempotency-key"),
                    correlation: word("x-correlation-id"),
                    authorization: word("authorization"),
                });
                next.run(request)
            },
        ));
        runtime.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, seen, home: tempfile::tempdir().unwrap(), _runtime: runtime }
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = qd(words);
        command
            .env("QD_SERVER", format!("http://{}", self.address))
            .env("QD_TOKEN", "qd_test")
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// The requests whose path begins with `path`.
    pub fn seen(&self, method: &str, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|one| one.method == method && one.path.starts_with(path)).cloned().collect()
    }
}

/// The binary with nothing of this machine's environment that changes what it does.
pub fn qd(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qd"));
    command.args(words).stdin(Stdio::null());
    for name in ["QD_SERVER", "QD_TOKEN", "QD_TENANT", "QD_PROJECT", "QD_CONFIG", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    command
}

async fn kinds() -> Json<Value> {
    Json(json!({"items": [{"kind": "Pipeline", "plural": "pipelines", "runnable": true}]}))
}

pub fn problem(status: u16, code: &str, detail: &str, errors: Value) -> Response {
    let body = json!({"title": "Not so", "status": status, "code": code, "detail": detail, "correlation_id": "c-1", "errors": errors});
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
