//! `--roles`: what a process does of what those on one database share.

use qd_testkit::{Nats, TestDatabase, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::support::{Process, client, document, refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_asked_for_at_one_process_is_done_by_those_with_the_role() {
    let db = TestDatabase::postgres().await;
    let nats = Nats::start().await;
    let api = Process::start(&db, &nats, "api");
    let (client, token) = (client().build().unwrap(), api.token());
    let apply = client.post(format!("{}/api/v1/apply?publish=true", api.url())).bearer_auth(&token);
    let apply = apply.header("idempotency-key", "k").json(&json!({ "documents": [document("one")] }));
    let reply: Value = apply.send().await.unwrap().json().await.unwrap();
    let job = reply["job"]["id"].as_str().unwrap_or_else(|| panic!("{reply}"));
    let look = async || -> Value {
        let job = client.get(format!("{}/api/v1/jobs/{job}", api.url())).bearer_auth(&token);
        job.send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(look().await["state"], "queued", "nobody here carries jobs out");

    let worker = Process::start(&db, &nats, "worker");
    eventually("a worker takes the job", async || (look().await["state"] != "queued").then_some(())).await;
    // Its own pages answer, the API does not.
    for path in ["/health", "/ready", "/version", "/metrics"] {
        assert_eq!(
            client.get(format!("{}{path}", worker.url())).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
    let reply = client.get(format!("{}/api/v1/jobs", worker.url())).bearer_auth(&token).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers().contains_key("retry-after"));
    assert_eq!(reply.json::<Value>().await.unwrap()["code"], "role_absent");
    // What the worker wrote has its position, and readers at the other process see it.
    eventually("the job's events are read elsewhere", async || {
        let events = client.get(format!("{}/api/v1/events?limit=100", api.url())).bearer_auth(&token);
        let events: Value = events.send().await.unwrap().json().await.unwrap();
        events["items"].as_array()?.iter().any(|event| event["type"] == "job.running").then_some(())
    })
    .await;
}

#[test]
fn what_is_no_role_is_refused_with_the_ones_that_there_are() {
    let (code, said) = refused(&["serve", "--roles", "api,scheduler"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("\"scheduler\" is no role: choose of api,worker,observer"), "{said}");
    let (code, said) = refused(&["serve", "--listen", "127.0.0.1:0", "--data", "data", "--roles", "api"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("with SQLite one process has all roles"), "{said}");
}
