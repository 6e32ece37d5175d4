//! What an engine tells is stored once, whoever looked and however often.

use std::sync::Arc;
use std::time::Duration;

use qd_core::state::{JobState, RunState};
use qd_core::time::Timestamp;
use qd_kernel::engine::{LogLine, Observation, RunEnd};
use qd_kernel::events::EventFilter;
use qd_kernel::runs::Run;
use qd_kernel::store::{Backend, StoreResult};
use qd_testkit::engine::{OnSubmit, line};
use qd_testkit::{FakeEngine, TestDatabase, TestKernel, both_stores, eventually};
use serde_json::{Value, json};

async fn leases_lost(t: &TestKernel) {
    let lost: StoreResult<u64> = t.kernel.store.write(|tx| tx.exec("DELETE FROM run_observer", &[])).await;
    lost.unwrap();
}

/// A second kernel with the same engine. On SQLite the two share the store: another process could not hold its file.
async fn another(first: &TestKernel, db: &TestDatabase) -> TestKernel {
    let second = TestKernel::build().engine(&first.engine);
    match first.kernel.store.backend() {
        Backend::Sqlite => second.store(&first.kernel.store).on(db).await,
        Backend::Postgres => second.on(db).await,
    }
}

async fn both_watch(first: &TestKernel) {
    eventually("both watch", async || {
        if first.kernel.store.backend() == Backend::Postgres {
            // Whose lease is lost watches on until it notices.
            leases_lost(first).await;
        }
        (first.engine.watching() == 2).then_some(())
    })
    .await;
}

async fn texts(t: &TestKernel, run: &Run) -> Vec<String> {
    let page = t.kernel.log_after(t.scope, run.id, Default::default(), 0, 1000).await.unwrap();
    page.items.into_iter().map(|line| line.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_observers_one_follows_a_run_and_another_when_it_is_gone() {
    let db = TestDatabase::postgres().await;
    let lease = Duration::from_secs(1);
    let mut first = TestKernel::build().lease(lease).on(&db).await;
    first.published("one", json!({})).await;
    let (_, run) = first.run("one").await;
    first.run_in(run.id, RunState::Running).await;
    let second = TestKernel::build().lease(lease).engine(&first.engine).on(&db).await;
    let name = first.external(&run);
    for n in 0..20 {
        first.engine.log(&name, [line(format!("line {n}"))]);
        eventually("the line is stored", async || (texts(&second, &run).await.len() > n).then_some(())).await;
        // None between two looks.
        assert!(first.engine.watching() <= 1, "one alone follows it");
    }
    first.crash_tasks();
    first.engine.log(&name, [line("after the crash")]);
    second.engine.end(&name, RunState::Succeeded);
    second.run_in(run.id, RunState::Succeeded).await;
    let expected = (0..20).map(|n| format!("line {n}")).chain(["after the crash".into()]);
    assert_eq!(texts(&second, &run).await, expected.collect::<Vec<_>>());
    eventually("its lease is given back", async || {
        (second.number("SELECT count(*) FROM run_observer").await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_one_observer_alone_can_reach_is_left_to_it() {
    let db = TestDatabase::postgres().await;
    let far = Arc::new(FakeEngine::default());
    far.set_out_of_reach(true);
    let near = TestKernel::build().on(&db).await;
    near.published("one", json!({})).await;
    let mut elsewhere = TestKernel::build().engine(&far).idle().on(&db).await;
    near.engine.on_submit([OnSubmit::AdoptUnstarted]);
    let (job, run) = near.run("one").await;
    near.job_ended(job.id).await;
    // Nobody holds the run when the other one looks.
    elsewhere.start_tasks().await;
    eventually("the other one has looked", async || {
        leases_lost(&near).await;
        (far.asked() > 0).then_some(())
    })
    .await;
    near.engine.end(&near.external(&run), RunState::Succeeded);
    near.run_in(run.id, RunState::Succeeded).await;
    assert_eq!(far.observations(), 0);
}

both_stores! {
    async fn two_observers_of_one_run_store_each_thing_once(db: TestDatabase) {
        let first = TestKernel::start(&db).await;
        first.published("one", json!({})).await;
        let second = another(&first, &db).await;
        let (_, run) = first.run("one").await;
        first.run_in(run.id, RunState::Running).await;
        let name = first.external(&run);
        both_watch(&first).await;
        for burst in 0..200 {
            first.engine.log(&name, (0..10).map(|n| line(format!("line {}", burst * 10 + n + 1))));
            first.engine.fact(&name, "run.noted", json!({ "burst": burst }));
            let seen = first.engine.observations();
            eventually("somebody looks", async || (first.engine.observations() > seen).then_some(())).await;
        }
        first.engine.end(&name, RunState::Succeeded);
        second.run_in(run.id, RunState::Succeeded).await;
        let mut lines = vec![];
        while lines.len() < 2000 {
            let page = first.kernel.log_after(first.scope, run.id, Default::default(), lines.len() as i64, 500).await.unwrap();
            assert!(!page.items.is_empty(), "only {} lines", lines.len());
            lines.extend(page.items);
        }
        assert!(lines.iter().zip(1..).all(|(line, n)| line.n == n && line.text == format!("line {n}")));
        assert_eq!(lines.len(), 2000);
        let filter = EventFilter { run_id: Some(run.id), ..EventFilter::default() };
        let events = eventually("the end has its position", async || {
            let events = first.kernel.events_after(first.scope, filter, 0, 500).await.unwrap();
            events.iter().any(|event| event.event_type == "run.succeeded").then_some(events)
        })
        .await;
        let bursts: Vec<&Value> =
            events.iter().filter(|event| event.event_type == "run.noted").map(|event| &event.data["burst"]).collect();
        assert_eq!(bursts, (0..200).map(Value::from).collect::<Vec<_>>().iter().collect::<Vec<_>>());
        for once in ["run.running", "run.succeeded"] {
            assert_eq!(events.iter().filter(|event| event.event_type == once).count(), 1, "{once}");
        }
    }

    async fn a_doubt_that_two_observers_have_is_told_once(db: TestDatabase) {
        let first = TestKernel::start(&db).await;
        first.published("one", json!({})).await;
        let _second = another(&first, &db).await;
        let (_, run) = first.run("one").await;
        let run = first.run_in(run.id, RunState::Running).await;
        for round in 0..20 {
            both_watch(&first).await;
            let why = format!("silence {round}");
            for doubt in [Some(why.as_str()), None] {
                first.engine.set_doubt(doubt);
                eventually("it is stored", async || {
                    let stored = first.run_now(run.id).await.engine_detail;
                    let stored = stored.is_some_and(|detail| detail.0.get().contains(&format!(r#""reason":"{why}""#)));
                    (stored == doubt.is_some()).then_some(())
                })
                .await;
            }
        }
        first.engine.end(&first.external(&run), RunState::Succeeded);
        first.run_in(run.id, RunState::Succeeded).await;
        let filter = EventFilter { run_id: Some(run.id), ..EventFilter::default() };
        let events = eventually("the end has its position", async || {
            let events = first.kernel.events_after(first.scope, filter, 0, 500).await.unwrap();
            events.iter().any(|event| event.event_type == "run.succeeded").then_some(events)
        })
        .await;
        for once in ["run.unknown", "run.known"] {
            assert_eq!(events.iter().filter(|event| event.event_type == once).count(), 20, "{once}");
        }
    }

    async fn the_newest_numbers_stay_and_what_says_nothing_new_does_not_erase(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let name = t.external(&run);
        let mut live = t.kernel.bus.follow_progress();
        t.engine.see(&name, Observation {
            engine_detail: Some(json!({ "version": "1" })),
            progress: Some(json!({ "done": 1 })),
            points: (0..3).map(|n| ("load".to_owned(), json!({ "at": n }))).collect(),
            ..Observation::default()
        });
        t.engine.see(&name, Observation { progress: Some(json!({ "done": 2 })), ..Observation::default() });
        let seen = eventually("the newest progress is there", async || {
            let run = t.run_now(run.id).await;
            run.progress.as_ref().is_some_and(|progress| progress.0.get() == r#"{"done":2}"#).then_some(run)
        })
        .await;
        assert_eq!(seen.engine_detail.unwrap().0.get(), r#"{"version":"1"}"#);
        let charts = t.kernel.run_charts(t.scope, "one#1", None).await.unwrap();
        assert_eq!(charts["stages"], json!([{ "id": "load", "points": [{ "at": 0 }, { "at": 1 }, { "at": 2 }] }]));
        assert_eq!(live.recv().await.unwrap().run_id, run.id);
        t.engine.see(&name, Observation { results: Some(json!({ "outputs": 7 })), ..Observation::default() });
        t.engine.see(&name, Observation { failure: Some(json!({ "stage": "load" })), ..Observation::default() });
        t.engine.end(&name, RunState::Failed);
        let ended = t.run_in(run.id, RunState::Failed).await;
        assert_eq!(ended.results.unwrap().0.get(), r#"{"outputs":7}"#);
        assert_eq!(ended.failure.unwrap().0.get(), r#"{"stage":"load"}"#);
    }

    async fn a_chart_is_thinned_and_keeps_its_newest_point(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        for round in 0..30 {
            let points = (0..100).map(|n| ("load".to_owned(), json!({ "at": round * 100 + n }))).collect();
            t.engine.see(&t.external(&run), Observation { points, ..Observation::default() });
        }
        let points = eventually("the newest point is there", async || {
            let charts = t.kernel.run_charts(t.scope, "one#1", None).await.unwrap();
            let points = charts["stages"][0]["points"].as_array().cloned().unwrap_or_default();
            (points.last() == Some(&json!({ "at": 2999 }))).then_some(points)
        })
        .await;
        assert!(points.len() <= 500 && points.len() > 100, "{} points", points.len());
        let at: Vec<i64> = points.iter().map(|point| point["at"].as_i64().unwrap()).collect();
        assert!(at.windows(2).all(|pair| pair[0] < pair[1]));
    }

    async fn an_engine_that_does_not_answer_ends_no_run(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        t.engine.set_unreachable(true);
        let asked = t.engine.observations();
        t.engine.log(&t.external(&run), [line("said while nobody could hear")]);
        eventually("it is asked in vain", async || (t.engine.observations() > asked + 2).then_some(())).await;
        assert_eq!(t.run_now(run.id).await.state, RunState::Running);
        t.engine.set_unreachable(false);
        eventually("what was said meanwhile is heard", async || {
            (t.kernel.log_after(t.scope, run.id, Default::default(), 0, 5).await.unwrap().last == 1).then_some(())
        })
        .await;
    }

    async fn a_run_that_outlives_its_job_is_followed_to_its_end(db: TestDatabase) {
        let first = TestKernel::start(&db).await;
        first.published("one", json!({})).await;
        let (job, run) = first.run("one").await;
        first.job_ended(job.id).await;
        first.run_in(run.id, RunState::Running).await;
        let engine = first.engine.clone();
        first.stop().await;
        let t = TestKernel::build().engine(&engine).idle().on(&db).await;
        t.kernel.store.write(|tx| tx.exec("DELETE FROM job_step", &[])).await.unwrap();
        t.kernel.store.write(|tx| tx.exec("DELETE FROM job", &[])).await.unwrap();
        t.stop().await;
        let t = TestKernel::build().engine(&engine).on(&db).await;
        let at = Timestamp::EPOCH;
        engine.end_with(&t.external(&run), RunEnd { state: RunState::Succeeded, code: None, message: None, exit_code: Some(0), at });
        t.run_in(run.id, RunState::Succeeded).await;
    }

    async fn a_stop_waits_for_the_server_that_has_the_run(db: TestDatabase) {
        let clock = qd_testkit::ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        t.engine.set_out_of_reach(true);
        let (job, _) =
            t.kernel.run_stop(&t.context(), &run.run_ref, String::new(), qd_testkit::kernel::key()).await.unwrap();
        let looks = "SELECT MAX(token) FROM job_queue";
        // More of them than a step has attempts.
        eventually("it looks again and again", async || {
            clock.advance(Duration::from_secs(3));
            t.kernel.bus.call_workers();
            (t.number(looks).await > 20).then_some(())
        })
        .await;
        let waits = t.job_in(job.id, JobState::Waiting).await.waiting_for.unwrap();
        assert!(waits.contains("the server that has it"), "{waits}");
        t.engine.set_out_of_reach(false);
        eventually("the run is stopped", async || {
            clock.advance(Duration::from_secs(3));
            t.kernel.bus.call_workers();
            (t.run_now(run.id).await.state == RunState::Stopped).then_some(())
        })
        .await;
    }

    async fn a_nul_in_an_engines_words_does_not_keep_its_run_from_ending(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let name = t.external(&run);
        t.engine.log(&name, [LogLine { stage: Some("lo\0ad".into()), ..line("bo\0om") }]);
        t.engine.fact(&name, "run.no\0ted", json!({ "k\0": ["v\0"] }));
        t.engine.see(&name, Observation {
            points: vec![("lo\0ad".to_owned(), json!({ "at": 1 }))],
            failure: Some(json!({ "message": "bo\0om" })),
            ..Observation::default()
        });
        t.engine.end_with(&name, RunEnd {
            state: RunState::Failed,
            code: Some("stage\0failed".into()),
            message: Some("bo\0om".into()),
            exit_code: Some(1),
            at: Timestamp::EPOCH,
        });
        let failed = t.run_in(run.id, RunState::Failed).await;
        assert_eq!((failed.code.as_deref(), failed.message.as_deref()), (Some("stage\u{FFFD}failed"), Some("bo\u{FFFD}om")));
        assert_eq!(failed.failure.unwrap().0.get(), "{\"message\":\"bo\u{FFFD}om\"}");
        let log = t.kernel.log_after(t.scope, run.id, Default::default(), 0, 5).await.unwrap().items;
        assert_eq!((log[0].stage.as_deref(), log[0].text.as_str()), (Some("lo\u{FFFD}ad"), "bo\0om"));
    }

    async fn one_item_through_a_run_and_its_answer(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let context = t.context();
        let request = || t.kernel.run_request(&context, "one#1", json!(7), Duration::from_secs(1));
        assert_eq!(request().await.unwrap(), json!({ "echo": 7 }));
        t.engine.end(&t.external(&run), RunState::Stopped);
        t.run_in(run.id, RunState::Stopped).await;
        assert_eq!(request().await.unwrap_err().code, "run_not_running");
    }
}
