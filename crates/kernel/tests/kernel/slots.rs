//! Limits on active runs: nobody over them, nobody overtaken, and a slot that comes back whatever way its run ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use qd_core::error::Error;
use qd_core::state::{JobState, RunState};
use qd_core::time::Timestamp;
use qd_kernel::connections::{CONNECTION, Call, ConnectionType, Probe};
use qd_kernel::params;
use qd_kernel::registry::Registry;
use qd_kernel::runs::Run;
use qd_kernel::store::StoreResult;
use qd_testkit::engine::{FAKE, OnSubmit};
use qd_testkit::kernel::key;
use qd_testkit::sample::document_of;
use qd_testkit::{TestDatabase, TestKernel, both_stores, eventually};
use serde_json::{Value, json};

/// Leads nowhere, and is never tested.
struct Nobody;

#[async_trait]
impl Probe for Nobody {
    async fn probe(&self, _: &Call<'_>) -> qd_core::error::Result<String> {
        Err(Error::unavailable("unreachable", "it leads nowhere"))
    }
}

/// Waits until the run's start says that it waits for a slot; answers its words.
async fn waits(t: &TestKernel, run: &Run) -> String {
    eventually(&format!("{} waits for a slot", run.run_ref), async || {
        let job = t.job_now(run.job_id).await;
        job.waiting_for.filter(|text| job.state == JobState::Waiting && text.starts_with("a slot of"))
    })
    .await
}

async fn start(t: &TestKernel, name: &str) -> Run {
    t.run(name).await.1
}

both_stores! {
    /// Two processes, seven runs, two slots.
    async fn no_more_runs_are_active_than_the_limit_and_nobody_overtakes(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let second = TestKernel::build().store(&t.kernel.store).engine(&t.engine).on(&db).await;
        t.published("one", json!({ "max_active_runs": 2 })).await;
        let (first, other) = (start(&t, "one").await, start(&t, "one").await);
        for run in [&first, &other] {
            t.run_in(run.id, RunState::Running).await;
        }
        let mut waiting = vec![];
        for before in 0..5 {
            let run = start(&t, "one").await;
            // Asked for one after the other, so that their order is known.
            let said = waits(&t, &run).await;
            assert!(said.starts_with("a slot of samples/one, which allows 2 active runs: one#1, one#2"), "{said}");
            assert_eq!(said.ends_with(&format!("; {before} before it")), before > 0, "{said}");
            waiting.push(run);
        }
        let explained = t.kernel.explain(&t.context(), "one#3").await.unwrap();
        assert!(explained.sentence.contains("for a slot of samples/one, which allows 2 active runs"), "{}", explained.sentence);
        let mut active = vec![first, other];
        for next in waiting {
            let ended = active.remove(0);
            t.engine.end(&t.external(&ended), RunState::Succeeded);
            t.run_in(next.id, RunState::Running).await;
            active.push(next);
            assert_eq!(t.number("SELECT count(*) FROM run WHERE state = 'running'").await, 2, "and no other has overtaken it");
        }
        for run in &active {
            t.engine.end(&t.external(run), RunState::Succeeded);
            t.run_in(run.id, RunState::Succeeded).await;
        }
        assert_eq!(t.number("SELECT count(*) FROM run_slot").await, 0);
        assert_eq!(t.engine.names().len(), 7);
        drop(second);
    }

    async fn a_burst_of_starts_in_two_processes_keeps_the_limit(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let second = TestKernel::build().store(&t.kernel.store).engine(&t.engine).on(&db).await;
        t.published("one", json!({ "max_active_runs": 3 })).await;
        let runs = join_all((0..20).map(|n| start(if n % 2 == 0 { &t } else { &second }, "one"))).await;
        let mut ended = 0;
        while ended < runs.len() {
            let (active, next) = eventually("a run is active", async || {
                let active: Vec<String> =
                    t.engine.names().into_iter().filter(|name| t.engine.is_started(name) && !t.engine.is_ended(name)).collect();
                Some((active.len(), active.first()?.clone()))
            })
            .await;
            assert!(active <= 3, "{active} are active");
            t.engine.end(&next, RunState::Succeeded);
            ended += 1;
        }
        for run in &runs {
            t.run_in(run.id, RunState::Succeeded).await;
        }
    }

    async fn a_slot_outlives_its_worker_and_is_freed_by_every_end(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "max_active_runs": 1 })).await;
        let first = start(&t, "one").await;
        t.run_in(first.id, RunState::Running).await;
        let second = start(&t, "one").await;
        waits(&t, &second).await;
        let engine = t.engine.clone();
        t.crash().await;
        let t = TestKernel::build().engine(&engine).on(&db).await;
        assert_eq!(t.job_now(second.job_id).await.state, JobState::Waiting, "the dead worker's run has its slot");

        let run_stop = async |run: &Run| {
            t.kernel.run_stop(&t.context(), &run.id.to_string(), "enough".into(), key()).await.unwrap();
            t.run_in(run.id, RunState::Stopped).await;
        };
        run_stop(&first).await;
        t.run_in(second.id, RunState::Running).await;
        let (third, fourth, fifth) = (start(&t, "one").await, start(&t, "one").await, start(&t, "one").await);
        for run in [&third, &fourth, &fifth] {
            waits(&t, run).await;
        }
        // One that waits and is stopped never had a slot, and holds up nobody.
        run_stop(&third).await;
        // What the engine refuses gives its slot back at once.
        t.engine.on_submit([OnSubmit::Fail(Error::invalid("refused", "the engine does not want it"))]);
        t.engine.end(&t.external(&second), RunState::Failed);
        // In the order in which they came to wait, which was up to the worker.
        let refused = eventually("one of them is refused", async || {
            for run in [&fourth, &fifth] {
                if t.run_now(run.id).await.state == RunState::Failed {
                    return Some(run.id);
                }
            }
            None
        })
        .await;
        let left = if refused == fourth.id { &fifth } else { &fourth };
        t.run_in(left.id, RunState::Running).await;

        // A retry takes a slot anew, and waits like any other.
        t.kernel.run_retry(&t.context(), &refused.to_string(), "again".into(), key()).await.unwrap();
        waits(&t, &t.run_now(refused).await).await;
        t.engine.end(&t.external(left), RunState::Succeeded);
        let again = t.run_in(refused, RunState::Running).await;
        t.engine.end(&t.external(&again), RunState::Succeeded);
        t.run_in(refused, RunState::Succeeded).await;
        assert_eq!(t.number("SELECT count(*) FROM run_slot").await, 0);
    }

    async fn an_engines_limit_is_shared_and_a_waiting_run_holds_no_slot_of_it(db: TestDatabase) {
        let mut build = TestKernel::build();
        build.options.engine_limits.insert(FAKE.into(), 2);
        let t = build.on(&db).await;
        t.published("one", json!({ "max_active_runs": 1 })).await;
        t.published("two", json!({})).await;
        let first = start(&t, "one").await;
        t.run_in(first.id, RunState::Running).await;
        let behind = start(&t, "one").await;
        waits(&t, &behind).await;
        let free = start(&t, "two").await;
        t.run_in(free.id, RunState::Running).await;
        let full = start(&t, "two").await;
        assert_eq!(waits(&t, &full).await, "a slot of engines/fake, which allows 2 active runs: 2 active");
        t.engine.end(&t.external(&free), RunState::Succeeded);
        t.run_in(full.id, RunState::Running).await;
        assert_eq!(t.job_now(behind.job_id).await.state, JobState::Waiting);
        t.engine.end(&t.external(&first), RunState::Succeeded);
        t.run_in(behind.id, RunState::Running).await;
    }

    async fn an_engine_that_is_to_be_emptied_starts_nothing(db: TestDatabase) {
        let mut build = TestKernel::build();
        build.options.engine_limits.insert(FAKE.into(), 0);
        let t = build.on(&db).await;
        t.published("one", json!({})).await;
        let run = start(&t, "one").await;
        assert_eq!(waits(&t, &run).await, "a slot of engines/fake, which allows 0 active runs: 0 active");
    }

    async fn a_connections_limit_is_shared_by_all_that_use_it(db: TestDatabase) {
        let post = |registry: &mut Registry| {
            let (schema, example) = (json!({ "type": "object" }), json!({ "type": "post" }));
            let parse = |spec: &Value| Ok(spec.clone());
            let (secret_fields, probe) = (&[], Arc::new(Nobody));
            registry.connection_type(ConnectionType { name: "post", schema, example, parse, secret_fields, probe });
        };
        let t = TestKernel::build().register(post).on(&db).await;
        let connection = async |most: i64| {
            let spec = json!({ "type": "post", "max_active_runs": most });
            let documents = vec![document_of(CONNECTION, "far", spec)];
            let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
            assert_eq!(t.job_ended(job.unwrap().id).await.state, JobState::Succeeded);
        };
        connection(1).await;
        for name in ["one", "two"] {
            t.published(name, json!({ "over": "far" })).await;
        }
        t.published("near", json!({})).await;
        let first = start(&t, "one").await;
        t.run_in(first.id, RunState::Running).await;
        let second = start(&t, "two").await;
        assert_eq!(waits(&t, &second).await, "a slot of connections/far, which allows 1 active run: one#1");
        let near = start(&t, "near").await;
        t.run_in(near.id, RunState::Running).await;
        t.engine.end(&t.external(&first), RunState::Succeeded);
        t.run_in(second.id, RunState::Running).await;
        let third = start(&t, "one").await;
        waits(&t, &third).await;
        connection(2).await;
        t.run_in(third.id, RunState::Running).await;
    }

    async fn who_comes_while_a_slot_is_free_does_not_overtake_who_waits_for_it(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "max_active_runs": 1 })).await;
        let first = start(&t, "one").await;
        t.run_in(first.id, RunState::Running).await;
        let waiting = start(&t, "one").await;
        waits(&t, &waiting).await;
        // It does not look while the slot becomes free.
        let (id, now) = (waiting.job_id, t.kernel.source.now());
        let look_at = async |at: Timestamp| {
            let moved = t.kernel.store.write(move |tx| -> StoreResult<u64> {
                tx.exec(
                    "UPDATE job_queue SET due_at = $2
                     WHERE job_id = $1 AND EXISTS (SELECT 1 FROM job WHERE job.id = $1 AND job.state = 'waiting')",
                    params![id, at],
                )
            });
            moved.await.unwrap()
        };
        eventually("it is not looking right now", async || {
            (look_at(now.checked_add(Duration::from_hours(1)).unwrap()).await == 1).then_some(())
        })
        .await;
        t.published("one", json!({ "max_active_runs": 2 })).await;
        let later = start(&t, "one").await;
        let said = waits(&t, &later).await;
        assert_eq!(said, "a slot of samples/one, which allows 2 active runs: one#1; 1 before it");
        assert_eq!(look_at(now).await, 1);
        t.run_in(waiting.id, RunState::Running).await;
        assert_eq!(t.run_now(later.id).await.state, RunState::Queued);
    }

    async fn a_limit_that_is_set_later_counts_what_is_active(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        let (first, second) = (start(&t, "one").await, start(&t, "one").await);
        for run in [&first, &second] {
            t.run_in(run.id, RunState::Running).await;
        }
        t.published("one", json!({ "max_active_runs": 1 })).await;
        let third = start(&t, "one").await;
        waits(&t, &third).await;
        t.engine.end(&t.external(&first), RunState::Succeeded);
        t.run_in(first.id, RunState::Succeeded).await;
        eventually("it says for whom it waits now", async || {
            waits(&t, &third).await.ends_with(": one#2").then_some(())
        })
        .await;
        // Raised by the next revision: no run has to end.
        t.published("one", json!({ "max_active_runs": 2 })).await;
        t.run_in(third.id, RunState::Running).await;
    }
}

#[tokio::test]
async fn a_limit_of_no_engine_is_refused() {
    let db = TestDatabase::sqlite().await;
    let options = qd_kernel::KernelOptions {
        engine_limits: [("fakir".to_owned(), 2)].into(),
        ..qd_kernel::KernelOptions::default()
    };
    let mut registry = Registry::default();
    registry.engine(std::sync::Arc::<qd_testkit::FakeEngine>::default());
    let made =
        qd_kernel::Kernel::new(db.migrated().await, registry, qd_kernel::clock::system(), options).await;
    let error = made.err().unwrap();
    assert_eq!(
        (error.code, error.detail.as_str()),
        ("unknown_engine", "there is no engine \"fakir\" to limit; there is fake")
    );
}
