//! The server killed at random moments, and the runner killed: runs end in their right state, exactly, with nothing left.

use std::{collections::BTreeMap, fs, time::Duration};

use serde_json::json;

use super::support::{Qd, STAGES, three_stages};

const ITEMS: usize = 400;
const RUNS: usize = 3;
const KILLS: usize = 21;

/// Numbers that look random; the seed is printed so that a failure can be replayed with QD_TEST_SEED.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed = std::env::var("QD_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| u64::from(std::process::id()));
        println!("QD_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(from_ms + (self.0 >> 33) % (to_ms - from_ms))
    }
}

#[tokio::test]
async fn real_runs_survive_a_server_that_is_killed_again_and_again() {
    let mut qd = Qd::start().await;
    qd.publish("crash", &three_stages(ITEMS, 25), &[("stages.py", STAGES)]);
    let mut moments = Moments::new();
    let mut kills = 0;
    for number in 1..=RUNS {
        let id = qd.start_run("crash", json!({})).await;
        for _ in 0..KILLS / RUNS {
            // The moment is the random part of the test: nothing is waited for here.
            tokio::time::sleep(moments.next(0, 2500)).await;
            qd.kill();
            kills += 1;
            qd.restart().await;
        }
        let run = qd.run_ended(&id).await;
        assert_eq!(
            (&run["state"], &run["number"]),
            (&json!("succeeded"), &json!(number)),
            "{run:#}\n{}",
            qd.server_log()
        );
        assert_eq!(run["results"]["outputs"], ITEMS, "{run:#}");
        let out = qd.data().join("runs").join(&id).join("output/out.jsonl");
        let mut results: Vec<usize> =
            fs::read_to_string(out).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        results.sort_unstable();
        assert_eq!(results, (0..ITEMS).collect::<Vec<_>>());

        let log = qd.log(&id).await;
        for (index, line) in (1..).zip(&log) {
            assert_eq!(line["n"], index, "the log has a gap");
        }
        let mut said: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in &log {
            if let Some(stage) = line["stage"].as_str() {
                *said.entry((stage, line["text"].as_str().unwrap())).or_default() += 1;
            }
        }
        for stage in ["first", "second", "third"] {
            for item in 0..ITEMS {
                let text = format!("{stage} {item}");
                assert_eq!(said.get(&(stage, text.as_str())), Some(&1), "{text}: lost or doubled");
            }
        }
        qd.no_process_left(Duration::from_secs(10)).await;
    }
    assert!(kills >= 20);
}

#[tokio::test]
async fn real_run_whose_runner_is_killed_fails_at_once_with_the_reason() {
    let qd = Qd::start().await;
    qd.publish("killed", &three_stages(4000, 25), &[("stages.py", STAGES)]);
    let id = qd.start_run("killed", json!({})).await;
    qd.run_until(&id, super::support::RUN_LIMIT, |run| run["progress"]["outputs"].as_i64() > Some(0)).await;
    let runner =
        qd.processes().into_iter().find(|process| process.contains("qd_runner run")).expect("the runner");
    let pid: i32 = runner.split(' ').next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let run = qd.run_until(&id, Duration::from_secs(5), |run| run["ended_at"].is_string()).await;
    assert_eq!((&run["state"], &run["code"]), (&json!("failed"), &json!("runner_killed")), "{run:#}");
    qd.no_process_left(Duration::from_secs(10)).await;
}
