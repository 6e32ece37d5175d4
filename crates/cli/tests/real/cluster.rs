//! Runs as jobs of a real Ray cluster: the example here and there, a server that is killed, a stop, a retry, a failure, a head
//! that forgets, and a submission whose answer is lost.

mod forgotten;
mod once;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use qd_testkit::{RayHead, eventually::within};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Qd, RUN_LIMIT, STAGES, three_stages};

const CONNECTION: &str = "cluster";

/// A server whose Python environment is ready, with a pipeline that a parameter sends here or there.
async fn server_with(name: &str, spec: &Value) -> Qd {
    let qd = Qd::start().await;
    qd.publish(name, &movable(spec), &[("stages.py", STAGES)]);
    qd
}

/// The spec, with a parameter for its target.
fn movable(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["params"]["type"] = json!("object");
    spec["params"]["properties"]["target"] = json!({ "type": "string", "default": "local" });
    spec["runtime"]["target"] = json!("${params.target}");
    spec
}

/// Publishes the connection to what answers at `address`.
fn connect(qd: &Qd, address: &str, token: &Path) {
    let document = json!({
        "apiVersion": "quarterdeck/v1", "kind": "Connection", "metadata": { "name": CONNECTION },
        "spec": { "type": "ray", "address": address, "token": { "file": token }, "output": qd.home.path().join("results") },
    });
    let file = qd.home.path().join("connection.json");
    fs::write(&file, document.to_string()).unwrap();
    let (code, out, err) = qd.run(&["apply", "-f", file.to_str().unwrap(), "--publish"]);
    assert_eq!(code, 0, "{out}{err}\n{}", qd.server_log());
}

async fn ask(qd: &Qd, path: &str, key: &str) {
    let request =
        qd.request(Method::POST, path).header("idempotency-key", key).json(&json!({ "reason": "a test" }));
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::ACCEPTED, "{}", reply.text().await.unwrap());
}

/// What the head says itself.
async fn head_get(qd: &Qd, head: &RayHead, path: &str) -> Option<Value> {
    let request = qd.client.get(format!("{}{path}", head.url())).bearer_auth(head.token());
    let reply = request.send().await.ok().filter(|reply| reply.status().is_success())?;
    reply.json().await.ok()
}

async fn head_answers(qd: &Qd, head: &RayHead) {
    within(RUN_LIMIT, "the Ray head answers", async || head_get(qd, head, "/api/jobs/").await).await;
}

/// The ids of all jobs on the head.
async fn jobs(qd: &Qd, head: &RayHead) -> Vec<String> {
    let list = head_get(qd, head, "/api/jobs/").await.expect("the list of jobs");
    let ids = list.as_array().unwrap().iter().filter_map(|job| job["submission_id"].as_str());
    ids.map(str::to_owned).collect()
}

/// How often each line of a stage was said, by our log.
fn said(log: &[Value]) -> BTreeMap<(String, String), usize> {
    let mut said = BTreeMap::new();
    for line in log.iter().filter(|line| line["stage"].is_string()) {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        *said.entry((text("stage"), text("text"))).or_default() += 1;
    }
    said
}

/// The same, by the job's own log on the head.
async fn said_there(qd: &Qd, head: &RayHead, job: &str) -> BTreeMap<(String, String), usize> {
    let logs = head_get(qd, head, &format!("/api/jobs/{job}/logs")).await.expect("the job's log");
    let mut said = BTreeMap::new();
    let mark = format!("@qd1 {job} ");
    for record in logs["logs"].as_str().unwrap().lines().filter_map(|line| line.strip_prefix(&mark)) {
        let record: Value = serde_json::from_str(record).unwrap();
        if record["k"] == "log" && record["st"].is_string() {
            let text = |name: &str| record[name].as_str().unwrap().to_owned();
            *said.entry((text("st"), text("m"))).or_default() += 1;
        }
    }
    said
}

fn job_of(run: &Value) -> String {
    run["engine_detail"]["job"].as_str().unwrap_or_else(|| panic!("no job: {run:#}")).to_owned()
}

#[tokio::test]
async fn real_example_runs_on_a_cluster_and_here_and_survives_its_server() {
    let mut qd = Qd::start().await;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/curate");
    let spec = fs::read_to_string(example.join("pipeline.yaml")).unwrap();
    // One published revision for both places: only the parameter of the run differs.
    let spec = spec.replace("    target: local\n", "    target: \"${params.target}\"\n").replace(
        "    properties:\n      threshold:",
        "    properties:\n      target: {type: string, default: local}\n      threshold:",
    );
    assert!(spec.contains("params.target"), "the example has changed");
    let folder = qd.home.path().join("curate");
    fs::create_dir_all(folder.join("code")).unwrap();
    fs::write(folder.join("pipeline.yaml"), spec).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r".as_ref(), example.join("code/curate").as_os_str(), folder.join("code").as_os_str()])
        .status();
    assert!(copied.unwrap().success());
    let (code, out, err) = qd.run(&["apply", "-f", folder.to_str().unwrap(), "--publish"]);
    assert_eq!(code, 0, "{out}{err}\n{}", qd.server_log());

    let head = RayHead::start(&qd.data().join("env"));
    head_answers(&qd, &head).await;
    connect(&qd, &head.url(), &head.token_file());

    let id = qd.start_run("curate", json!({ "limit": 200, "target": CONNECTION })).await;
    for moment in ["queued", "running"] {
        qd.run_until(&id, RUN_LIMIT, |run| run["state"] == moment || run["progress"].is_object()).await;
        qd.kill();
        qd.restart().await;
    }
    qd.run_until(&id, RUN_LIMIT, |run| run["progress"]["outputs"].as_i64() > Some(0)).await;
    qd.kill();
    qd.restart().await;
    let there = qd.run_ended(&id).await;
    assert_eq!((&there["state"], &there["engine"]), (&json!("succeeded"), &json!("ray")), "{there:#}");
    let outputs = there["results"]["outputs"].as_u64().unwrap();
    assert!(outputs > 0, "{there:#}");
    let file = qd.home.path().join("results").join(&id).join("corpus.jsonl");
    assert_eq!(fs::read_to_string(file).unwrap().lines().count() as u64, outputs);
    assert_eq!(there["progress"]["stages"][0]["id"], "load", "{there:#}");
    assert!(there["engine_detail"]["ray"].is_string() && there["started_at"].is_string(), "{there:#}");

    let log = qd.log(&id).await;
    for (index, line) in (1..).zip(&log) {
        assert_eq!(line["n"], index, "the log has a gap");
    }
    let said_here = said(&log);
    assert!(said_here.len() > 20, "{said_here:?}");
    assert_eq!(said_here, said_there(&qd, &head, &job_of(&there)).await);
    assert_eq!(jobs(&qd, &head).await, [job_of(&there)]);

    let here = qd.start_run("curate", json!({ "limit": 200 })).await;
    let here = qd.run_ended(&here).await;
    assert_eq!((&here["state"], &here["engine"]), (&json!("succeeded"), &json!("xenna")), "{here:#}");
    assert_eq!((&here["revision"], &here["results"]["outputs"]), (&there["revision"], &json!(outputs)));
}

#[tokio::test]
async fn real_job_is_stopped_retried_and_its_failure_named() {
    let mut spec = three_stages(200, 25);
    spec["params"] = json!({ "properties": { "fail_at": { "type": "integer", "default": -1 } } });
    spec["stages"][2]["params"]["fail_at"] = json!("${params.fail_at}");
    let qd = server_with("pass", &movable(&spec)).await;
    let head = RayHead::start(&qd.data().join("env"));
    head_answers(&qd, &head).await;

    // A token that the head does not take, which nothing may repeat.
    let canary = "canary-4711-0815";
    let wrong = qd.home.path().join("wrong-token");
    fs::write(&wrong, canary).unwrap();
    connect(&qd, &head.url(), &wrong);
    let id = qd.start_run("pass", json!({ "target": CONNECTION })).await;
    let refused = qd.run_ended(&id).await;
    assert_eq!(
        (&refused["state"], &refused["code"]),
        (&json!("failed"), &json!("ray_token_refused")),
        "{refused:#}"
    );
    let mut leaks = vec![qd.server_log(), refused.to_string()];
    for path in [
        "/api/v1/jobs",
        "/api/v1/events",
        "/api/v1/audit",
        "/api/v1/engines",
        "/api/v1/connections/cluster/revisions/1",
    ] {
        leaks.push(qd.get(path).await.to_string());
    }
    assert!(leaks.iter().all(|text| !text.contains(canary)), "{leaks:#?}");
    assert!(leaks.iter().any(|text| text.contains("wrong-token")), "where the token lies is shown");

    connect(&qd, &head.url(), &head.token_file());
    let id = qd.start_run("pass", json!({ "target": CONNECTION })).await;
    let running = qd.run_until(&id, RUN_LIMIT, |run| run["progress"]["outputs"].as_i64() > Some(0)).await;
    ask(&qd, &format!("/api/v1/runs/{id}/stop"), "stop-1").await;
    let stopped = qd.run_until(&id, Duration::from_secs(20), |run| run["ended_at"].is_string()).await;
    assert_eq!(stopped["state"], "stopped", "{stopped:#}");
    let job = head_get(&qd, &head, &format!("/api/jobs/{}", job_of(&running))).await.unwrap();
    assert_eq!(job["status"], "STOPPED", "{job:#}");

    ask(&qd, &format!("/api/v1/runs/{id}/retry"), "retry-1").await;
    let again = qd.run_until(&id, RUN_LIMIT, |run| run["attempt"] == 2 && run["ended_at"].is_string()).await;
    assert_eq!(
        (&again["state"], &again["results"]["outputs"]),
        (&json!("succeeded"), &json!(200)),
        "{again:#}"
    );
    assert_ne!(job_of(&again), job_of(&running), "an attempt has a job of its own");

    let id = qd.start_run("pass", json!({ "target": CONNECTION, "fail_at": 21 })).await;
    let failed = qd.run_ended(&id).await;
    assert_eq!((&failed["state"], &failed["code"]), (&json!("failed"), &json!("stage_failed")), "{failed:#}");
    let failure = &failed["failure"];
    assert_eq!((&failure["stage"], &failure["item_preview"]), (&json!("third"), &json!("21")), "{failure:#}");
    assert!(failure["traceback"].as_str().unwrap().contains("cannot take item 21"), "{failure:#}");

    let engines = qd.get("/api/v1/engines").await;
    let ray = engines["items"].as_array().unwrap().iter().find(|engine| engine["name"] == "ray").unwrap();
    assert_eq!((&ray["state"], &ray["detail"]), (&json!("healthy"), &json!("1 cluster answers")), "{ray:#}");
}
