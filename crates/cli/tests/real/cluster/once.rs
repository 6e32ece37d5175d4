//! A submission is never doubled: the server is killed when the head has taken the job and has said so, and before the server
//! hears it. What it starts as next adopts the job.
//!
//! The head is real; its jobs' `python` is `true`, so that a job is nothing but a job. Between server and head stands a proxy
//! that holds the head's answer back. 10 tries; `QD_TEST_TRIES` says otherwise.

use std::{
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use qd_testkit::RayHead;
use serde_json::json;
use tokio::sync::Notify;

use super::super::support::three_stages;
use super::{CONNECTION, connect, head_answers, jobs, server_with};

const BODY: usize = 64 << 20;

#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    to: String,
    /// Answers to submissions are held back.
    holds: Arc<AtomicBool>,
    /// The head has taken one.
    taken: Arc<Notify>,
}

async fn pass_on(State(proxy): State<Proxy>, request: Request) -> Response {
    if request.headers().contains_key("upgrade") {
        // It knows no WebSockets: logs are fetched.
        return StatusCode::NOT_IMPLEMENTED.into_response();
    }
    let (parts, body) = request.into_parts();
    let submits = parts.method == "POST" && parts.uri.path() == "/api/jobs/";
    let body = to_bytes(body, BODY).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let url = format!("{}{}", proxy.to, parts.uri);
    let sent = proxy.client.request(parts.method, url).headers(headers).body(body).send().await;
    let Ok(answer) = sent else { return StatusCode::BAD_GATEWAY.into_response() };
    let status = answer.status();
    if submits && status.is_success() && proxy.holds.load(Ordering::SeqCst) {
        proxy.taken.notify_one();
        std::future::pending::<()>().await;
    }
    (status, Body::from(answer.bytes().await.unwrap())).into_response()
}

#[tokio::test]
async fn real_submission_whose_answer_is_lost_with_the_server_is_never_doubled() {
    let tries = std::env::var("QD_TEST_TRIES").ok().and_then(|tries| tries.parse().ok()).unwrap_or(10_usize);
    let mut qd = server_with("once", &three_stages(1, 0)).await;
    let bin = qd.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink("/bin/true", bin.join("python")).unwrap();
    let head = RayHead::with_python(&qd.data().join("env"), Some(bin));
    head_answers(&qd, &head).await;
    let proxy = Proxy {
        client: reqwest::Client::new(),
        to: head.url(),
        holds: Arc::default(),
        taken: Arc::default(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(pass_on).with_state(proxy.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    connect(&qd, &address, &head.token_file());

    let mut runs = vec![];
    for _ in 0..tries {
        proxy.holds.store(true, Ordering::SeqCst);
        runs.push(qd.start_run("once", json!({ "target": CONNECTION })).await);
        proxy.taken.notified().await;
        qd.kill();
        proxy.holds.store(false, Ordering::SeqCst);
        qd.restart().await;
    }
    let mut wanted = vec![];
    for id in &runs {
        let run = qd.run_ended(id).await;
        assert_eq!(run["state"], "succeeded", "{run:#}\n{}", qd.server_log());
        let external = run["attempts"][0]["external_id"].as_str().unwrap().to_owned();
        wanted.push(external.rsplit('/').next().unwrap().to_owned());
    }
    let mut found = jobs(&qd, &head).await;
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "each run has one job, and there is no other");
}
