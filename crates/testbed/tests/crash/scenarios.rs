//! For each operation, how to ask for one of its jobs and what must be true when it has ended.
//!
//! A new operation finds no scenario here, and `every_operation_has_its_scenario` fails with its name.

use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use super::{ledger::Ledger, stage::Stage};
use crate::api::Ask;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Succeeded,
    /// Cancelled while its step at this index was about to act.
    CancelledAt(usize),
    /// Cancelled while its step at this index, which had acted, waited for the world.
    CancelledWaiting(usize),
    /// Its step at this index acted, and failed for good.
    FailedAt(usize),
}

impl End {
    /// How many of its steps took effect before the end.
    pub fn acted(self, steps: usize) -> usize {
        match self {
            Self::Succeeded => steps,
            Self::CancelledAt(at) => at,
            Self::CancelledWaiting(at) | Self::FailedAt(at) => at + 1,
        }
    }
}

/// A job that was asked for, and how it ended.
pub struct Asked {
    /// Where its server died.
    pub place: String,
    /// Of what its scenario made for it.
    pub name: String,
    pub job: Value,
    pub end: End,
}

impl Asked {
    pub fn id(&self) -> &str {
        self.job["id"].as_str().expect("a job's id")
    }

    fn run(&self) -> &str {
        self.job["run_id"].as_str().expect("a run's id")
    }
}

/// What to ask for a job of this name that needs nothing else made before it.
type AskAtOnce = for<'a> fn(&'a Stage, &'a str) -> Ask;

pub struct Scenario {
    pub operation: &'static str,
    /// The actions of the audit records of one such job, sorted.
    pub audit: &'static [&'static str],
    /// Makes what one job needs, under this name, and answers with what to ask.
    pub ask: for<'a> fn(&'a Stage, &'a str) -> LocalBoxFuture<'a, Ask>,
    /// The same of one whose last step acts and then fails for good, where that can be had.
    pub fails: Option<AskAtOnce>,
    /// The same of one whose step of this name waits for the world longer than anybody looks.
    pub waits: Option<(&'static str, AskAtOnce)>,
    /// What is wrong with what the job left; nothing where all is right.
    pub faults: fn(&Ledger, &Asked) -> Vec<String>,
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        operation: "documents.apply",
        audit: &["documents.apply", "documents.apply"],
        fails: None,
        waits: None,
        ask: |_, name| {
            let (one, two) = (toy(&format!("{name}-one"), 1), toy(&format!("{name}-two"), 2));
            let body = json!({ "documents": [one, two] });
            Box::pin(async move { ask("/apply?publish=true", body, name) })
        },
        faults: |ledger, asked| {
            let done = i64::from(asked.end == End::Succeeded);
            let mut faults = vec![];
            for (index, part) in ["one", "two"].into_iter().enumerate() {
                let name = format!("{}-{part}", asked.name);
                let published = ledger.published(&name);
                expect(&mut faults, &format!("{name} is published"), i64::from(published.is_some()), done);
                // Undone, it was published and is no more.
                let was = i64::from(index < asked.end.acted(2));
                expect(
                    &mut faults,
                    &format!("{name} became published"),
                    ledger.events(&name, "revision.published"),
                    was,
                );
                let taken_back = ledger.events(&name, "revision.unpublished");
                expect(&mut faults, &format!("{name} became unpublished"), taken_back, was - done);
            }
            faults
        },
    },
    Scenario {
        operation: "projects.delete",
        audit: &["projects.delete"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                stage.api().post("/projects", &json!({ "name": name })).await;
                deletion("projects", name)
            })
        },
        faults: |ledger, asked| {
            let mut faults = vec![];
            let stays = (asked.end != End::Succeeded).then_some(true);
            expect(&mut faults, "the project stays", ledger.stays(&asked.name), stays);
            faults
        },
    },
    Scenario {
        operation: "revision.publish",
        audit: &["toys.publish"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                stage.api().post("/apply", &json!({ "documents": [toy(name, 1)] })).await;
                ask(&format!("/toys/{name}/publish"), json!({}), name)
            })
        },
        faults: |ledger, asked| published_once(ledger, asked, 1, None),
    },
    Scenario {
        operation: "revision.rollback",
        audit: &["toys.rollback"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                for size in 1..=2 {
                    let body = json!({ "documents": [toy(name, size)] });
                    stage.done(&ask("/apply?publish=true", body, &format!("{name}-{size}"))).await;
                }
                ask(&format!("/toys/{name}/rollback"), json!({ "to": 1, "reason": "a test" }), name)
            })
        },
        faults: |ledger, asked| {
            let mut faults = published_once(ledger, asked, 3, Some(2));
            expect(&mut faults, "revisions", ledger.revisions(&asked.name), 3);
            faults
        },
    },
    Scenario {
        operation: "run.start",
        audit: &["toys.run"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                stage.published("runner").await;
                ask("/toys/runner/runs", json!({ "params": { "lines": 3 } }), name)
            })
        },
        faults: |ledger, asked| {
            let (run, done) = (asked.run(), asked.end == End::Succeeded);
            let mut faults = vec![];
            expect(&mut faults, "starts of the run", ledger.made(&format!("start/{run}/1")), i64::from(done));
            let state = if done { "succeeded" } else { "stopped" };
            expect(&mut faults, "the run's state", ledger.run(run), (state.to_owned(), 1));
            expect(&mut faults, "ends of the run", ledger.run_events(run, &format!("run.{state}")), 1);
            faults
        },
    },
    Scenario {
        operation: "run.retry",
        audit: &["toys.retry"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                stage.published("runner").await;
                let first =
                    ask("/toys/runner/runs", json!({ "params": { "fail": true } }), &format!("{name}-1"));
                let run = stage.done(&first).await["run_id"].as_str().expect("a run").to_owned();
                stage.run_in(&run, "failed").await;
                ask(&format!("/runs/{run}/retry"), json!({}), name)
            })
        },
        faults: |ledger, asked| {
            let (run, done) = (asked.run(), asked.end == End::Succeeded);
            let mut faults = vec![];
            expect(&mut faults, "first starts of the run", ledger.made(&format!("start/{run}/1")), 1);
            expect(
                &mut faults,
                "second starts of the run",
                ledger.made(&format!("start/{run}/2")),
                i64::from(done),
            );
            let state = if done { "failed" } else { "stopped" };
            expect(&mut faults, "the run's state", ledger.run(run), (state.to_owned(), 2));
            faults
        },
    },
    Scenario {
        operation: "run.stop",
        audit: &["toys.stop"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                stage.published("runner").await;
                let body = json!({ "params": { "take_ms": 3_600_000 } });
                let first = ask("/toys/runner/runs", body, &format!("{name}-1"));
                let run = stage.done(&first).await["run_id"].as_str().expect("a run").to_owned();
                stage.run_in(&run, "running").await;
                ask(&format!("/runs/{run}/stop"), json!({}), name)
            })
        },
        faults: |ledger, asked| {
            let run = asked.run();
            // Called off before it asked, or when it had asked already.
            let stopped = asked.end != End::CancelledAt(0);
            let mut faults = vec![];
            expect(&mut faults, "starts of the run", ledger.made(&format!("start/{run}/1")), 1);
            expect(
                &mut faults,
                "stops of the run",
                ledger.made(&format!("stop/{run}/1")),
                i64::from(stopped),
            );
            let state = if stopped { "stopped" } else { "running" };
            expect(&mut faults, "the run's state", ledger.run(run), (state.to_owned(), 1));
            faults
        },
    },
    Scenario {
        operation: "secrets.rotate_data_key",
        audit: &["secrets.rotate"],
        fails: None,
        waits: None,
        ask: |stage, name| rotation(stage, name, "data"),
        faults: |ledger, asked| keys(ledger, asked, 1),
    },
    Scenario {
        operation: "secrets.rotate_master_key",
        audit: &["secrets.rotate-master"],
        fails: None,
        waits: None,
        ask: |stage, name| rotation(stage, name, "master"),
        // It is made in the step that also seals and retires, and cancelled before that step it makes none.
        faults: |ledger, asked| keys(ledger, asked, 2),
    },
    Scenario {
        operation: "tenants.delete",
        audit: &["tenants.delete"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                let api = stage.api();
                api.post("/tenants", &json!({ "name": name })).await;
                api.within(name).post("/toys", &toy(&format!("of-{name}"), 1)).await;
                api.within(name).put("/secrets/a", &json!({ "value": name })).await;
                api.patch(&format!("/tenants/{name}"), &json!({ "state": "suspended" })).await;
                deletion("tenants", name)
            })
        },
        faults: |ledger, asked| {
            let mut faults = vec![];
            let stays = (asked.end != End::Succeeded).then_some(true);
            expect(&mut faults, "the tenant stays", ledger.stays(&asked.name), stays);
            let there = asked.end.acted(3) < 2;
            expect(&mut faults, "its toy is there", ledger.exists(&format!("of-{}", asked.name)), there);
            faults
        },
    },
    Scenario {
        operation: "tenants.export",
        audit: &["tenants.export"],
        fails: None,
        waits: None,
        ask: |stage, name| {
            Box::pin(async move {
                let api = stage.api();
                api.post("/tenants", &json!({ "name": name })).await;
                api.within(name).post("/toys", &toy(&format!("of-{name}"), 1)).await;
                // So that the job lives where it is looked for.
                api.patch(&format!("/tenants/{name}"), &json!({ "state": "suspended" })).await;
                ask(&format!("/tenants/{name}/export"), json!({ "reason": "a test" }), name)
            })
        },
        faults: |ledger, asked| {
            let mut faults = vec![];
            let done = asked.end == End::Succeeded;
            expect(
                &mut faults,
                "its archive is there, and nothing without one",
                ledger.export(asked.id()),
                (done, done),
            );
            faults
        },
    },
    Scenario {
        operation: "toy.five",
        audit: &["jobs.ask"],
        fails: Some(|stage, name| five(stage, name, json!({ "wait_ms": 20, "fail": { "step": "leave" } }))),
        waits: Some(("ready", |stage, name| five(stage, name, json!({ "wait_ms": 3_600_000 })))),
        ask: |stage, name| {
            let asked = five(stage, name, json!({ "wait_ms": 20 }));
            Box::pin(async move { asked })
        },
        faults: |ledger, asked| {
            let mut faults = vec![];
            let steps = ["enter", "first", "ready", "second", "leave"];
            for (index, step) in steps.into_iter().enumerate() {
                let name = format!("{}/{step}", asked.name);
                let made = i64::from(index < asked.end.acted(steps.len()));
                expect(&mut faults, &format!("{name} took effect"), ledger.made(&name), made);
                let present = asked.end == End::Succeeded;
                expect(&mut faults, &format!("{name} stands"), ledger.stands(&name), present);
            }
            faults
        },
    },
];

/// A tenant or a project of this name that is to go.
fn deletion(plural: &str, name: &str) -> Ask {
    ask(&format!("/{plural}/{name}/delete"), json!({ "confirm": name, "reason": "a test" }), name)
}

/// Two secrets of this name, and the exchange of a key.
fn rotation<'a>(stage: &'a Stage, name: &'a str, key: &'static str) -> LocalBoxFuture<'a, Ask> {
    Box::pin(async move {
        for part in ["one", "two"] {
            stage
                .api()
                .put(&format!("/secrets/{name}/{part}"), &json!({ "value": format!("{name}-{part}") }))
                .await;
        }
        ask("/secret-keys/rotate", json!({ "key": key }), name)
    })
}

/// The job made one data key at most, and none where it was cancelled before the step at `made_by`; whatever it left, each value
/// is under a key that is there.
fn keys(ledger: &Ledger, asked: &Asked, made_by: usize) -> Vec<String> {
    let mut faults = vec![];
    let made = i64::from(asked.end.acted(3) >= made_by);
    // A later job may have removed it already.
    if ledger.keys_made(asked.id()) > made {
        faults.push(format!("{} data keys made, {made} wanted", ledger.keys_made(asked.id())));
    }
    expect(&mut faults, "secrets without a readable version", ledger.orphaned_values, 0);
    if asked.end == End::Succeeded {
        let sealed_before = ledger.values_older_than(asked.id());
        expect(&mut faults, "values under a key older than the job's", sealed_before, 0);
    }
    faults
}

/// A `toy.five` of this name, with more to its input.
fn five(stage: &Stage, name: &str, more: Value) -> Ask {
    let mut input = json!({ "name": name, "world": stage.world.url, "locks": ["b", "a"] });
    input.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    ask("/jobs", json!({ "operation": "toy.five", "input": input }), name)
}

fn ask(path: &str, body: Value, key: &str) -> Ask {
    Ask { path: path.to_owned(), body, key: key.to_owned() }
}

pub fn toy(name: &str, size: u32) -> Value {
    json!({ "apiVersion": "quarterdeck/v1", "kind": "Toy", "metadata": { "name": name }, "spec": { "size": size } })
}

fn expect<T: PartialEq + std::fmt::Debug>(faults: &mut Vec<String>, what: &str, found: T, wanted: T) {
    if found != wanted {
        faults.push(format!("{what}: {found:?}, not {wanted:?}"));
    }
}

/// The revision is the published one and became so once; or the one before it still is.
fn published_once(ledger: &Ledger, asked: &Asked, revision: i64, before: Option<i64>) -> Vec<String> {
    let (done, mut faults) = (asked.end == End::Succeeded, vec![]);
    expect(
        &mut faults,
        "the published revision",
        ledger.published(&asked.name),
        if done { Some(revision) } else { before },
    );
    let times = before.unwrap_or(0) + i64::from(done);
    expect(&mut faults, "publishes", ledger.events(&asked.name, "revision.published"), times);
    faults
}
