//! What the code of a pipeline finds around it: nothing of what the server was given.

use std::fs;

use reqwest::Method;
use serde_json::json;

use super::support::{Qd, RUN_LIMIT, STAGES, three_stages};

const MASTER: &str = "c0ffee11c0ffee11c0ffee11c0ffee11c0ffee11c0ffee11c0ffee11c0ffee11";
const PRIVATE: &str = "canary-in-the-environment-5d1f";
const SECRET: &str = "canary-as-a-secret-90b7";

/// Tells all that its process has in its environment, and its parents in theirs.
const TELLING: &str = r#"
import os

from stages import Pass


class Telling(Pass):
    def process_data(self, items):
        told, pid = [dict(os.environ)], os.getpid()
        while pid > 1:
            with open(f"/proc/{pid}/environ", "rb") as f:
                told.append(f.read().decode(errors="replace"))
            with open(f"/proc/{pid}/stat") as f:
                pid = int(f.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "qd":
                    break
        print(told)
        return [{"told": str(told)} for _ in items]
"#;

#[tokio::test]
async fn real_runs_have_nothing_of_the_server_in_their_environment() {
    let qd = Qd::start_with(&[("SECRET_ENCRYPTION_KEY", MASTER), ("QD_SOMETHING_PRIVATE", PRIVATE)]).await;
    let put = qd.request(Method::PUT, "/api/v1/secrets/hooks/canary").json(&json!({ "value": SECRET }));
    assert!(put.send().await.unwrap().status().is_success());
    let mut spec = three_stages(200, 50);
    spec["stages"][0]["uses"] = json!("telling:Telling");
    qd.publish("telling", &spec, &[("stages.py", STAGES), ("telling.py", TELLING)]);
    let id = qd.start_run("telling", json!({})).await;
    qd.run_until(&id, RUN_LIMIT, |run| run["progress"]["outputs"].as_i64() > Some(0)).await;

    let mut seen = vec![];
    for process in qd.processes() {
        let pid = process.split(' ').next().unwrap_or_default();
        seen.push(fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
    }
    assert!(seen.len() >= 3, "the run has processes: {:?}", qd.processes());
    let run = qd.run_ended(&id).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    let log = json!(qd.log(&id).await).to_string();
    assert!(log.contains("PATH"), "the stage told its environment: {log}");
    seen.push(log.into_bytes());
    for text in [MASTER, PRIVATE, SECRET, &qd.token] {
        let told = seen.iter().filter(|seen| String::from_utf8_lossy(seen).contains(text)).count();
        assert_eq!(told, 0, "{text} is around the pipeline's code");
    }
}
