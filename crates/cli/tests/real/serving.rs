//! A serving run answers requests one by one, and ends in order when it is stopped.

use std::time::Duration;

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Qd, RUN_LIMIT, STAGES};

const CODE: &str = r#"
from stages import Pass


class Double(Pass):
    def process_data(self, items):
        return [{"value": item["value"] * 2} for item in items]
"#;

#[tokio::test]
async fn real_serving_answers_each_request_with_its_own_result() {
    let qd = Qd::start().await;
    let spec = json!({
        "execution_mode": "serving",
        "stages": [{ "id": "double", "uses": "serve:Double", "params": { "word": "double" }, "resources": { "cpus": 0.25 }, "workers": 1 }],
        "runtime": { "code": "./code" },
    });
    qd.publish("serve", &spec, &[("stages.py", STAGES), ("serve.py", CODE)]);
    let id = qd.start_run("serve", json!({})).await;
    qd.run_until(&id, RUN_LIMIT, |run| run["serving"]["ready"] == true).await;
    let ask = |value: i64| {
        let request = qd
            .request(Method::POST, &format!("/api/v1/runs/{id}/requests"))
            .json(&json!({ "item": { "value": value } }));
        async move {
            let reply = request.send().await.unwrap();
            (reply.status(), reply.json::<Value>().await.unwrap())
        }
    };
    let answers = join_all((0..20).map(ask)).await;
    for (value, (status, answer)) in (0..).zip(answers) {
        assert_eq!((status, &answer["result"]["value"]), (StatusCode::OK, &json!(value * 2)), "{answer}");
    }
    let stop = qd
        .request(Method::POST, &format!("/api/v1/runs/{id}/stop"))
        .header("idempotency-key", "stop-1")
        .json(&json!({}));
    assert_eq!(stop.send().await.unwrap().status(), 202);
    let run = qd.run_until(&id, Duration::from_secs(15), |run| run["ended_at"].is_string()).await;
    assert_eq!(run["state"], "stopped", "{run:#}");
    let (status, problem) = ask(1).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("run_not_running")));
    qd.no_process_left(Duration::from_secs(10)).await;
}
