//! Streams: dropped at any point and resumed, each line and event once and in order.

use std::time::Duration;

use futures::StreamExt as _;
use qd_core::state::RunState;
use qd_testkit::engine::line;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::support::TestServer;

/// Reads frames until `enough` says so or the stream ends.
pub(super) struct Reader {
    reply: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: String,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Frame {
    pub id: Option<String>,
    pub event: String,
    pub data: Value,
}

impl Reader {
    pub fn new(reply: Response) -> Self {
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        Self { reply: Box::pin(reply.bytes_stream()), buffer: String::new() }
    }

    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let text: String = self.buffer.drain(..end + 2).collect();
                let mut frame = Frame::default();
                for line in text.lines() {
                    match line.split_once(':').map(|(key, value)| (key, value.trim_start())) {
                        Some(("id", id)) => frame.id = Some(id.into()),
                        Some(("event", event)) => frame.event = event.into(),
                        Some(("data", data)) => frame.data = serde_json::from_str(data).expect("JSON data"),
                        _ => {}
                    }
                }
                if !frame.event.is_empty() {
                    return Some(frame);
                }
                continue;
            }
            let bytes = tokio::time::timeout(Duration::from_secs(30), self.reply.next())
                .await
                .expect("a frame in time")?;
            self.buffer.push_str(std::str::from_utf8(&bytes.expect("bytes")).expect("UTF-8"));
        }
    }
}

pub(super) async fn open(server: &TestServer, path: &str, last: Option<&str>) -> Reader {
    let mut request = server.request(Method::GET, path).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    Reader::new(request.send().await.expect("open the stream"))
}

/// A cheap sequence of lengths that looks random and is the same each time.
fn lengths() -> impl Iterator<Item = usize> {
    let mut state: u64 = 42;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from((state >> 33) % 90).unwrap() + 1
    })
}

#[tokio::test]
async fn a_job_that_comes_to_its_next_step_is_told_without_an_event() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let mut stream = open(&server, "/api/v1/stream", None).await;
    let mut started = vec![];
    // At most once: what moved before the stream listened is not told, so another job is asked for then.
    for n in 0..20 {
        let key = format!("again-{n}");
        let (_, reply) = server.start_job("/api/v1/samples/one/publish", &key, json!({})).await;
        let job = reply["job"]["id"].clone();
        started.push(job.clone());
        loop {
            let frame = stream.next().await.expect("the stream goes on");
            if frame.event == "job" {
                assert!(started.contains(&frame.data["job_id"]), "{frame:?}");
                assert_eq!(
                    (frame.data.as_object().unwrap().len(), frame.id),
                    (1, None),
                    "nothing resumes from it"
                );
                return;
            }
            if frame.data["type"] == "job.succeeded" && frame.data["job_id"] == job {
                break;
            }
        }
    }
    panic!("no step was told");
}

#[tokio::test]
async fn a_log_stream_dropped_a_hundred_times_has_each_line_once() {
    const LINES: i64 = 10_000;
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let (_, reply) = server.start_job("/api/v1/samples/one/runs", "k", json!({})).await;
    let path = format!("/api/v1/runs/{}/logs", reply["run"]["id"].as_str().unwrap());
    let name =
        qd_testkit::eventually("the engine has it", async || server.engine.names().first().cloned()).await;
    let engine = server.engine.clone();
    let writer = tokio::spawn(async move {
        for start in (0..LINES).step_by(50) {
            engine.log(&name, (start..start + 50).map(|n| line(format!("line {n}"))));
            tokio::task::yield_now().await;
        }
        engine.end(&name, RunState::Succeeded);
    });
    let (mut seen, mut last, mut drops, mut ended) = (vec![], None::<String>, 0, false);
    let mut lengths = lengths();
    while !ended {
        let mut reader = open(&server, &path, last.as_deref()).await;
        let read = if drops < 100 { lengths.next().unwrap() } else { usize::MAX };
        for _ in 0..read {
            let Some(frame) = reader.next().await else { break };
            match frame.event.as_str() {
                "log" => {
                    seen.push((
                        frame.data["n"].as_i64().unwrap(),
                        frame.data["text"].as_str().unwrap().to_owned(),
                    ));
                    last = frame.id;
                }
                "end" => ended = true,
                other => panic!("an unexpected frame: {other} {}", frame.data),
            }
        }
        drops += 1;
    }
    writer.await.unwrap();
    assert!(drops >= 100, "only {drops} connections");
    assert_eq!(seen.len(), usize::try_from(LINES).unwrap());
    for (index, (n, text)) in (0..).zip(&seen) {
        assert_eq!((*n, text.as_str()), (index + 1, format!("line {index}").as_str()));
    }
}

#[tokio::test]
async fn events_resume_where_the_reader_left() {
    let server = TestServer::start().await;
    let mut reader = open(&server, "/api/v1/events?after=0", None).await;
    for n in 0..5 {
        server.published(&format!("r{n}"), json!({})).await;
    }
    let mut first = vec![];
    while first.len() < 7 {
        first.push(reader.next().await.unwrap());
    }
    drop(reader);
    let last = first.last().and_then(|frame| frame.id.clone());
    let mut reader = open(&server, "/api/v1/events?after=0", last.as_deref()).await;
    let (_, all) = server.get("/api/v1/events?limit=500").await;
    let all: Vec<i64> = all["items"].as_array().unwrap().iter().map(|e| e["pos"].as_i64().unwrap()).collect();
    while first.len() < all.len() {
        first.push(reader.next().await.unwrap());
    }
    let seen: Vec<i64> = first.iter().map(|frame| frame.data["pos"].as_i64().unwrap()).collect();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn one_stream_carries_events_progress_and_a_log() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    let (_, reply) = server.start_job("/api/v1/samples/one/runs", "k", json!({})).await;
    let id = reply["run"]["id"].as_str().unwrap();
    let name =
        qd_testkit::eventually("the engine has it", async || server.engine.names().first().cloned()).await;
    let mut reader = open(&server, &format!("/t/default/api/v1/stream?after=0&logs={id}"), None).await;
    server.engine.log(&name, [line("hello")]);
    let (mut events, mut logs, mut progress) = (0, 0, 0);
    while logs == 0 || events == 0 {
        match reader.next().await.unwrap().event.as_str() {
            "event" => events += 1,
            "log" => logs += 1,
            other => panic!("unexpected {other}"),
        }
    }
    server.engine.see(
        &name,
        qd_kernel::engine::Observation { progress: Some(json!({ "outputs": 3 })), ..Default::default() },
    );
    server.engine.end(&name, RunState::Succeeded);
    let mut ended = false;
    while !ended || progress == 0 {
        let frame = reader.next().await.unwrap();
        match frame.event.as_str() {
            "progress" => {
                assert_eq!((frame.id, &frame.data["progress"]["outputs"]), (None, &json!(3)));
                progress += 1;
            }
            "end" => ended = true,
            _ => {}
        }
    }
}

/// The log of a run is for who may read runs, on whichever stream it comes.
#[tokio::test]
async fn a_log_on_the_one_stream_wants_the_right_to_read_runs() {
    let server = TestServer::start().await;
    server.published("one", json!({})).await;
    server.start_job("/api/v1/samples/one/runs", "run", json!({})).await;
    let body = json!({ "label": "a reader of events", "allows": ["events.list"] });
    let (status, made) = server.post("/api/v1/auth/tokens", body).await;
    assert!(status.is_success(), "{made}");
    let token = made["token"].as_str().unwrap();
    let asked = async |path: &str| {
        let reply = server.client.get(server.url(path)).bearer_auth(token).send().await.unwrap();
        reply.status().as_u16()
    };
    assert_eq!((asked("/api/v1/stream").await, asked("/api/v1/stream?logs=one%231").await), (200, 403));
}
