//! A failing stage is named with its batch and item, and dropped items are counted.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{Qd, STAGES, three_stages};

#[tokio::test]
async fn real_failure_names_stage_batch_and_item_soon() {
    let qd = Qd::start().await;
    let mut spec = three_stages(40, 10);
    spec["stages"][2]["params"]["fail_at"] = json!(21);
    qd.publish("broken", &spec, &[("stages.py", STAGES)]);
    let id = qd.start_run("broken", json!({})).await;
    let run = qd.run_ended(&id).await;
    assert_eq!((&run["state"], &run["code"]), (&json!("failed"), &json!("stage_failed")), "{run:#}");
    let failure = &run["failure"];
    assert_eq!(failure["stage"], "third", "{failure:#}");
    assert!(failure["batch"].as_i64() >= Some(1), "{failure:#}");
    assert!(failure["item"].is_i64() && failure["item_preview"] == "21", "{failure:#}");
    assert!(failure["traceback"].as_str().unwrap().contains("cannot take item 21"), "{failure:#}");
    qd.no_process_left(Duration::from_secs(10)).await;

    // What a person sees in the terminal.
    let (code, out, err) = qd.run(&["run", "pipelines/broken", "--wait"]);
    assert_eq!(code, 1, "{out}{err}");
    let said = format!("{out}{err}");
    assert!(said.contains("third") && said.contains("cannot take item 21"), "{said}");
}

#[tokio::test]
async fn real_ignored_failures_are_counted_on_a_succeeded_run() {
    let qd = Qd::start().await;
    let mut spec = three_stages(40, 0);
    spec["stages"][1]["params"]["fail_at"] = json!(21);
    spec["stages"][1]["ignore_failures"] = json!(true);
    qd.publish("tolerant", &spec, &[("stages.py", STAGES)]);
    let began = Instant::now();
    let id = qd.start_run("tolerant", json!({})).await;
    let run = qd.run_ended(&id).await;
    assert_eq!(run["state"], "succeeded", "{run:#} after {:?}", began.elapsed());
    assert_eq!(
        (&run["results"]["outputs"], &run["results"]["dropped"], &run["progress"]["dropped"]),
        (&json!(39), &json!(1), &json!(1)),
        "{run:#}"
    );
}
