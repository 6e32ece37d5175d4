//! The places, and the tests: one for each operation and database.

use std::collections::BTreeSet;

use qd_kernel::store::Backend;
use serde_json::{Value, json};

use super::{
    scenarios::{SCENARIOS, Scenario},
    stage::{NAME, Stage},
};
use crate::process::operations;

/// On Postgres a job whose server died waits for the lease: so many stages wait side by side.
const STAGES: usize = 3;

/// What is done to one job.
#[derive(Debug, Clone)]
enum Deed {
    DiesAt(String),
    Cancelled {
        at: usize,
        dies_at: Option<String>,
    },
    OvertakenAt(String),
    /// Its last step acts and fails for good.
    Fails {
        dies_at: Option<String>,
    },
    /// It is cancelled while its step at this index waits for the world.
    CancelledWaiting {
        at: usize,
        dies_at: Option<String>,
    },
}

fn scenario(operation: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.operation == operation).expect("a scenario")
}

/// The names of the steps in the state, by their place in the plan; where one holds the name of what it is about, that is left
/// out.
fn steps(job: &Value, name: &str, state: &str) -> Vec<String> {
    let steps = job["steps"].as_array().expect("steps").iter().filter(|step| step["state"] == state);
    steps.map(|step| step["name"].as_str().expect("a name").replace(name, NAME)).collect()
}

/// Everything that is done to jobs of an operation with these steps, those in `undone` being undone when the last is cancelled.
fn deeds(operation: &str, steps: &[String], undone: &[String], backend: Backend) -> Vec<Deed> {
    let dies = |place: String| Deed::DiesAt(place);
    let mut deeds: Vec<Deed> = ["job.asked:OP>commit.before", "job.asked:OP>commit.after", "job.claimed:OP"]
        .map(|place| dies(place.replace("OP", operation)))
        .to_vec();
    // Before the effect, after it and before it is written, on both sides of the commit, and with the next step taken.
    let around = |what: &str, step: &String| {
        let at = |moment: &str| format!("{what}.{moment}:{operation}/{step}");
        vec![
            at("before"),
            at("acted"),
            at("acted") + ">commit.before",
            at("acted") + ">commit.after",
            at("committed"),
        ]
    };
    for (index, step) in steps.iter().enumerate() {
        deeds.extend(around("step", step).into_iter().map(dies));
        deeds.push(Deed::Cancelled { at: index, dies_at: None });
    }
    let last = steps.len() - 1;
    // Called off from this step on, those before it that can be taken back.
    let taken_back = |at: usize| {
        let mut places = around("call_off", &steps[at]);
        places.pop();
        let before = undone.iter().filter(|step| steps[..at].contains(step)).rev();
        places.extend(before.flat_map(|step| around("undo", step)));
        places
    };
    let then = |places: Vec<String>| std::iter::once(None).chain(places.into_iter().map(Some));
    deeds
        .extend(taken_back(last).into_iter().map(|place| Deed::Cancelled { at: last, dies_at: Some(place) }));
    let scenario = scenario(operation);
    if scenario.fails.is_some() {
        // Also where it is written why, before it is called off.
        let keep = ["commit.before", "commit.after"]
            .map(|side| format!("step.before:{operation}/{}>{side}", steps[last]));
        deeds.extend(then([keep.to_vec(), taken_back(last)].concat()).map(|dies_at| Deed::Fails { dies_at }));
    }
    if let Some((waits, _)) = scenario.waits {
        let at = steps.iter().position(|step| step == waits).expect("the step that waits");
        // Also where it is written that it is to be cancelled, and when it is taken up for that.
        let asked = ["commit.before", "commit.after"].map(str::to_owned).to_vec();
        let places = [asked, vec![format!("job.claimed:{operation}")], taken_back(at)].concat();
        deeds.extend(then(places).map(|dies_at| Deed::CancelledWaiting { at, dies_at }));
    }
    if backend == Backend::Postgres {
        let overtaken = |step| around("step", step).into_iter().take(2).map(Deed::OvertakenAt);
        deeds.extend(steps.iter().flat_map(overtaken));
    }
    deeds
}

async fn stand(operation: &str, backend: Backend) {
    let scenario = scenario(operation);
    let mut first = Stage::set(backend).await;
    let (name, job) = first.undisturbed(scenario).await;
    let steps_of = steps(&job, &name, "succeeded");
    let last = steps_of.len() - 1;
    let (name, cancelled) = first.cancelled_at(scenario, (last, &steps_of[last]), None).await;
    let undone = steps(&cancelled, &name, "undone");
    let deeds = deeds(operation, &steps_of, &undone, backend);
    println!(
        "{operation}: {} jobs, {} steps, of which {} are undone",
        deeds.len(),
        steps_of.len(),
        undone.len()
    );
    let mut stages = vec![first];
    if backend == Backend::Postgres && deeds.len() > STAGES * 4 {
        for _ in 1..STAGES {
            stages.push(Stage::set(backend).await);
        }
    }
    let share = stages.len();
    let acts = stages.into_iter().enumerate().map(|(turn, mut stage)| {
        let mine: Vec<Deed> = deeds.iter().skip(turn).step_by(share).cloned().collect();
        let steps_of = steps_of.clone();
        async move {
            for deed in mine {
                match deed {
                    Deed::DiesAt(place) => stage.dies_at(scenario, &place).await,
                    Deed::OvertakenAt(place) => stage.overtaken_at(scenario, &place).await,
                    Deed::Fails { dies_at } => stage.fails(scenario, last, dies_at.as_deref()).await,
                    Deed::CancelledWaiting { at, dies_at } => {
                        stage.cancelled_waiting(scenario, at, dies_at.as_deref()).await;
                    }
                    Deed::Cancelled { at, dies_at } => {
                        stage.cancelled_at(scenario, (at, &steps_of[at]), dies_at.as_deref()).await;
                    }
                }
            }
            stage.close(scenario).await
        }
    });
    for (ledger, asked) in futures::future::join_all(acts).await {
        if backend == Backend::Sqlite {
            attempted_no_more_than_needed(&ledger, &asked);
        }
        if asked.iter().any(|asked| asked.place.contains("overtaken at step.before:toy.five")) {
            assert!(ledger.world["refused"].as_u64() > Some(0), "the world refused the late ones");
        }
    }
}

/// A crash makes one attempt more, and nothing else does.
fn attempted_no_more_than_needed(ledger: &super::ledger::Ledger, asked: &[super::scenarios::Asked]) {
    let tries = |name: &str| ledger.tries(&format!("{name}/"));
    let undisturbed = tries(&asked[0].name);
    for asked in asked {
        let more = tries(&asked.name) - undisturbed;
        assert!(more <= 1, "{}: {more} attempts more than undisturbed", asked.place);
    }
}

#[test]
fn every_operation_has_its_scenario() {
    let there: BTreeSet<String> = operations().into_iter().collect();
    let told: BTreeSet<String> = SCENARIOS.iter().map(|scenario| scenario.operation.to_owned()).collect();
    assert!(there.len() >= 7, "{there:?}");
    let without: Vec<&String> = there.difference(&told).collect();
    assert!(
        without.is_empty(),
        "operations without a scenario in crates/testbed/tests/crash/scenarios.rs: {without:?}"
    );
    let gone: Vec<&String> = told.difference(&there).collect();
    assert!(gone.is_empty(), "scenarios of operations that are not there: {gone:?}");
}

macro_rules! matrix {
    ($($name:ident: $operation:literal,)*) => {
        /// Of the tests below.
        const TESTED: &[&str] = &[$($operation),*];

        $(mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                stand($operation, Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                stand($operation, Backend::Postgres).await;
            }
        })*
    };
}

matrix! {
    documents_apply_takes_effect_once: "documents.apply",
    projects_are_deleted_once: "projects.delete",
    revision_publish_takes_effect_once: "revision.publish",
    revision_rollback_takes_effect_once: "revision.rollback",
    run_start_takes_effect_once: "run.start",
    run_retry_takes_effect_once: "run.retry",
    run_stop_takes_effect_once: "run.stop",
    secrets_data_key_is_exchanged_once: "secrets.rotate_data_key",
    secrets_master_key_is_exchanged_once: "secrets.rotate_master_key",
    tenants_are_deleted_once: "tenants.delete",
    tenants_are_exported_once: "tenants.export",
    toy_five_takes_effect_once: "toy.five",
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_plane_lets_is_asked_for_by_name() {
    let stage = Stage::set(Backend::Sqlite).await;
    let api = stage.api();
    let body = json!({ "operation": "run.stop", "input": {} });
    let request = api.http.post(format!("{}/api/v1/jobs", api.url)).bearer_auth(&api.token);
    let reply = request.header("idempotency-key", "key").json(&body).send().await.expect("an answer");
    let said: Value = reply.json().await.expect("a problem");
    assert_eq!((&said["status"], &said["code"]), (&json!(404), &json!("operation_not_askable")), "{said}");
}

#[test]
fn every_scenario_has_its_test() {
    let told: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.operation).collect();
    assert_eq!(TESTED, told);
}
