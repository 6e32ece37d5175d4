//! The engine with a real Xenna on a real Ray: what a mock would be polite about.
//!
//! `QD_TEST_ENV` names a folder in which the Python environment is kept between runs of the tests; the first one
//! fills it, which takes a minute and the package index.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "real/bench.rs"]
mod bench;

use std::time::{Duration, Instant};

use bench::{Bench, codes, killed};
use nix::sys::signal::Signal;
use qd_core::error::ErrorKind;
use qd_core::state::RunState;
use qd_kernel::engine::EngineState;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_is_validated_against_its_code_runs_and_is_read_twice_the_same() {
    let bench = Bench::new().await;
    let spec = bench.spec(json!({
        "params": { "type": "object", "properties": { "factor": { "type": "integer", "default": 3 } } },
        "stages": [
            { "id": "double", "uses": "work:Multiply", "params": { "factor": 2 }, "workers": 1 },
            { "id": "multiply", "uses": "work:Multiply", "params": { "factor": "${params.factor}" }, "workers": 1 }
        ],
        "io": { "input": { "items": (0..40).collect::<Vec<_>>() }, "output": { "jsonl": { "path": "out.jsonl" } } }
    }));
    let wrong = bench.changed(&spec, |spec| {
        spec["stages"][0]["uses"] = json!("work:Multipy");
        spec["stages"][1]["params"] = json!({ "factor": "three", "colour": 1 });
        spec["runtime"]["config"] = json!({ "slot_per_actor": 1 });
    });
    let violations = bench.violations(&wrong).await;
    assert_eq!(
        codes(&violations),
        [
            ("/stages/0/uses", "class_not_found"),
            ("/stages/1/params/factor", "wrong_type"),
            ("/stages/1/params/colour", "unknown_field"),
            ("/runtime/config/slot_per_actor", "unknown_field"),
        ]
    );
    let greedy = bench.changed(&spec, |spec| spec["stages"][0]["workers"] = json!(1000));
    assert_eq!(codes(&bench.violations(&greedy).await), [("/stages", "not_enough_cpus")]);
    assert_eq!(bench.violations(&spec).await, []);
    assert_eq!(bench.engine.health().await.state, EngineState::Healthy);

    let ticket = bench.ticket(spec, json!({ "factor": 5 }));
    bench.submit(&ticket).await;
    bench.submit(&ticket).await;
    let first = bench.observe_to_end(&ticket).await;
    assert_eq!(first.end.state, RunState::Succeeded, "{:?}", first.end);
    assert_eq!(first.results["outputs"], 40);
    assert!(first.detail["xenna"].is_string() && first.detail["python"].is_string(), "{}", first.detail);
    let last = first.progress.last().unwrap();
    assert_eq!((&last["inputs_done"], &last["stages"][1]["id"]), (&json!(40), &json!("multiply")));
    assert!(first.points.contains_key("double"));
    let said = first.logs.iter().filter(|line| line.text.starts_with("item ")).count();
    assert_eq!(said, 80, "each stage says each item once");
    assert!(first.logs.iter().any(|line| line.stage.as_deref() == Some("multiply")));

    let output = bench.engine.output_dir(ticket.run_id).unwrap().join("out.jsonl");
    let mut numbers: Vec<i64> = std::fs::read_to_string(output)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).map(|n| n * 10).collect::<Vec<i64>>());

    // Another server on the same data folder, from the start.
    let other = bench.another();
    let second = bench.observe_with(&other, &ticket).await;
    assert_eq!(second.logs, first.logs);
    assert_eq!((second.end.state, second.results), (RunState::Succeeded, first.results));
    assert_eq!(bench.left(&ticket), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requirements_are_layered_on_the_base_and_cannot_replace_it() {
    let bench = Bench::new().await;
    let base = bench.environment(&[]).await.unwrap();
    let layered = bench.environment(&["inflection==0.5.1"]).await.unwrap();
    assert_ne!(layered.dir, base.dir);
    assert_eq!(layered.versions, base.versions);
    let ask = |python: &std::path::Path| {
        let script = "import inflection, ray, tqdm; print(inflection.titleize('two_words'), ray.__file__)";
        std::process::Command::new(python).args(["-I", "-c", script]).output().unwrap()
    };
    let said = String::from_utf8(ask(&layered.python).stdout).unwrap();
    let (words, ray) = said.trim().split_at(9);
    assert_eq!(words, "Two Words");
    assert!(std::path::Path::new(ray.trim()).starts_with(&base.dir), "Ray is not installed again: {ray}");
    assert!(!ask(&base.python).status.success(), "the base is as it was");

    let refused = bench.environment(&["tqdm==4.60.0"]).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (ErrorKind::Unavailable, "environment_failed"));
    assert!(refused.detail.contains("tqdm"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_names_stage_batch_and_item_and_a_killed_runner_is_told() {
    let bench = Bench::new().await;
    let spec = bench.spec(json!({
        "stages": [
            { "id": "first", "uses": "work:Multiply", "workers": 1 },
            { "id": "picky", "uses": "work:Picky", "workers": 1 }
        ],
        "io": { "input": { "items": (0..40).collect::<Vec<_>>() } }
    }));
    let ticket = bench.ticket(spec, json!({}));
    bench.submit(&ticket).await;
    let seen = bench.observe_to_end(&ticket).await;
    assert_eq!((seen.end.state, seen.end.code.as_deref()), (RunState::Failed, Some("stage_failed")));
    let message = seen.end.message.unwrap();
    assert!(message.contains("stage picky") && message.contains("13 is unlucky"), "{message}");
    let failure = seen.failure;
    assert_eq!((&failure["stage"], &failure["exception"]), (&json!("picky"), &json!("ValueError")));
    assert!(failure["traceback"].as_str().unwrap().contains("work.py"), "{failure}");
    assert_eq!(bench.left(&ticket), [""; 0]);

    let spec = bench.spec(json!({
        "stages": [{ "id": "slow", "uses": "work:Slow", "workers": 1 }],
        "io": { "input": { "items": [1] } }
    }));
    let ticket = bench.ticket(spec, json!({}));
    bench.submit(&ticket).await;
    bench.until_said(&ticket, "slow begins").await;
    let runner = bench.runner_pid(&ticket);
    killed(runner, Signal::SIGKILL);
    let at = Instant::now();
    let seen = bench.observe_to_end(&ticket).await;
    assert!(at.elapsed() < Duration::from_secs(5), "told after {:?}", at.elapsed());
    assert_eq!((seen.end.state, seen.end.code.as_deref()), (RunState::Failed, Some("runner_killed")));
    assert_eq!(bench.left(&ticket), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_a_dead_supervisor_leave_nothing() {
    let bench = Bench::new().await;
    let spec = bench.spec(json!({
        "stages": [{ "id": "slow", "uses": "work:Slow", "workers": 1 }],
        "io": { "input": { "items": [1] } }
    }));
    let ticket = bench.ticket(spec.clone(), json!({}));
    bench.submit(&ticket).await;
    bench.until_said(&ticket, "slow begins").await;
    let at = Instant::now();
    bench.engine.stop(&ticket).await.unwrap();
    bench.engine.stop(&ticket).await.unwrap();
    let seen = bench.observe_to_end(&ticket).await;
    assert_eq!(seen.end.state, RunState::Stopped, "{:?}", seen.end);
    assert!(at.elapsed() < Duration::from_secs(10), "stopped after {:?}", at.elapsed());
    assert_eq!(bench.left(&ticket), [""; 0]);
    bench.engine.stop(&ticket).await.unwrap();

    let ticket = bench.ticket(spec, json!({}));
    bench.submit(&ticket).await;
    bench.until_said(&ticket, "slow begins").await;
    killed(bench.supervisor_pid(&ticket), Signal::SIGKILL);
    let seen = bench.observe_to_end(&ticket).await;
    assert_eq!((seen.end.state, seen.end.code.as_deref()), (RunState::Failed, Some("lost")));
    assert_eq!(bench.left(&ticket), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serving_run_answers_until_it_is_stopped() {
    let bench = Bench::new().await;
    let spec = bench.spec(json!({
        "execution_mode": "serving",
        "stages": [{ "id": "picky", "uses": "work:Picky", "workers": 1, "ignore_failures": true }]
    }));
    assert_eq!(bench.violations(&spec).await, []);
    let ticket = bench.ticket(spec, json!({}));
    let wait = Duration::from_secs(60);
    assert_eq!(bench.engine.request(&ticket, json!(1), wait).await.unwrap_err().kind, ErrorKind::Conflict);
    bench.submit(&ticket).await;
    bench.until_serving(&ticket).await;
    let many = (100..120).map(|item| bench.engine.request(&ticket, json!(item), wait));
    let answers: Vec<Value> =
        futures::future::join_all(many).await.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(answers, (100..120).map(Value::from).collect::<Vec<_>>());
    let error = bench.engine.request(&ticket, json!(13), wait).await.unwrap_err();
    assert_eq!((error.kind, error.code), (ErrorKind::Invalid, "item_failed"), "{error}");

    bench.engine.stop(&ticket).await.unwrap();
    let seen = bench.observe_to_end(&ticket).await;
    assert_eq!(seen.end.state, RunState::Stopped, "{:?}", seen.end);
    assert_eq!(seen.serving.last().unwrap()["answered"], 20);
    assert_eq!(bench.left(&ticket), [""; 0]);
}
