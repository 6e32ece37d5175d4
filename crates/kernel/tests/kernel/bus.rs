//! Processes that share a database and a real NATS call each other, and pass events on; without NATS they still work.

use std::time::Duration;

use async_nats::jetstream;
use futures::TryStreamExt as _;
use qd_core::diff::Change;
use qd_core::state::{JobState, RunState};
use qd_kernel::engine::Observation;
use qd_kernel::mutation::{Act, Object, Subject};
use qd_kernel::operation::Outcome;
use qd_kernel::store::{Store, StoreOptions};
use qd_testkit::kernel::key;
use qd_testkit::{Nats, Scripted, TestDatabase, TestKernel, both_stores, eventually};
use serde_json::json;
use uuid::Uuid;

async fn say(t: &TestKernel, n: u64) {
    let context = t.context();
    let said = t.kernel.mutate(&context, Act::new("tests", "say"), move |m| {
        m.audit(
            &Object { kind: "Test", id: Uuid::from_u128(1), name: "x" },
            &[Change::add("", json!(n))],
            None,
        )?;
        m.event("test.said", Subject::default(), &json!({ "n": n }))
    });
    said.await.unwrap();
}

async fn linked(t: &TestKernel, connected: bool) {
    eventually("the link is as expected", async || {
        t.kernel.bus.link().filter(|link| link.connected == connected).map(drop)
    })
    .await;
}

/// The positions that the stream holds, in its order; none where it is not there.
async fn passed_on(nats: &Nats, t: &TestKernel) -> Vec<i64> {
    let Ok(client) = async_nats::connect(nats.url()).await else { return vec![] };
    let name = format!("QD_{}", t.kernel.installation().await.unwrap().simple());
    let Ok(mut stream) = jetstream::new(client).get_stream(name).await else { return vec![] };
    let held = stream.info().await.unwrap().state.messages;
    let consumer = jetstream::consumer::pull::OrderedConfig::default();
    let messages = stream.create_consumer(consumer).await.unwrap().messages().await.unwrap();
    let taken = futures::StreamExt::take(messages, usize::try_from(held).unwrap());
    taken
        .map_ok(|message| {
            let id = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id")).unwrap();
            let event: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!(event["pos"].to_string(), id.as_str(), "the id is the position");
            event["pos"].as_i64().unwrap()
        })
        .try_collect()
        .await
        .unwrap()
}

async fn has_passed_on_all(nats: &Nats, t: &TestKernel, events: i64) {
    eventually(&format!("{events} events are passed on"), async || {
        let passed = passed_on(nats, t).await;
        assert!(passed.len() as i64 <= events, "none twice: {passed:?}");
        (passed.len() as i64 == events).then(|| assert_eq!(passed, (1..=events).collect::<Vec<_>>()))
    })
    .await;
}

#[tokio::test]
async fn one_process_calls_another() {
    let db = TestDatabase::postgres().await;
    let (nats, store) = (Nats::start().await, db.migrated().await);
    let one = TestKernel::build().nats(&nats).store(&store).on(&db).await;
    // Another process has a pool of its own.
    let other = Store::open(&db.url, StoreOptions::default()).await.unwrap();
    let two = TestKernel::build().nats(&nats).store(&other).engine(&one.engine).on(&db).await;
    linked(&one, true).await;
    linked(&two, true).await;

    let mut here = [one.kernel.bus.follow_progress(), two.kernel.bus.follow_progress()];
    one.published("one", json!({})).await;
    let (_, run) = one.run("one").await;
    let run = one.run_in(run.id, RunState::Running).await;
    // Nothing but a call carries progress to the process that did not observe it: no poll looks for it.
    for heard in &mut here {
        eventually("each process hears of progress", async || {
            let progress = Observation { progress: Some(json!({ "outputs": 1 })), ..Observation::default() };
            one.engine.see(&one.external(&run), progress);
            let newest = tokio::time::timeout(Duration::from_millis(50), heard.recv()).await.ok()?.ok()?;
            (newest.run_id == run.id && newest.scope == one.scope).then_some(())
        })
        .await;
    }

    // The same of a job that came to its next step.
    let mut here = [one.kernel.bus.follow_jobs(), two.kernel.bus.follow_jobs()];
    for heard in &mut here {
        eventually("each process hears of a step", async || {
            let (context, sample) = (one.context(), one.sample());
            let publish = one.kernel.revision_publish(&context, &*sample, "one", None, String::new(), key());
            let job = publish.await.unwrap();
            loop {
                let moved = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await.ok()?.ok()?;
                if moved.job_id == job.id && moved.scope == one.scope {
                    return Some(());
                }
            }
        })
        .await;
    }
}

both_stores! {
    async fn events_are_passed_on_once_and_in_order(db: TestDatabase) {
        let (nats, store) = (Nats::start().await, db.migrated().await);
        let one = TestKernel::build().nats(&nats).store(&store).on(&db).await;
        let two = TestKernel::build().nats(&nats).store(&store).on(&db).await;
        for n in 0..300 {
            say(if n % 2 == 0 { &one } else { &two }, n).await;
        }
        has_passed_on_all(&nats, &one, 300).await;
    }

    async fn a_server_that_comes_late_or_is_wiped_loses_nothing(db: TestDatabase) {
        let mut nats = Nats::absent();
        let t = TestKernel::build().nats(&nats).on(&db).await;
        for n in 0..20 {
            say(&t, n).await;
        }
        assert_eq!(t.kernel.bus.link().map(|link| link.connected), Some(false));

        nats.run().await;
        linked(&t, true).await;
        has_passed_on_all(&nats, &t, 20).await;

        nats.kill();
        linked(&t, false).await;
        nats.wipe();
        for n in 20..40 {
            say(&t, n).await;
        }
        nats.run().await;
        linked(&t, true).await;
        has_passed_on_all(&nats, &t, 40).await;
    }

    async fn jobs_are_carried_out_while_nats_is_away(db: TestDatabase) {
        let nats = Nats::absent();
        let t = TestKernel::build()
            .nats(&nats)
            .scripted(Scripted::new(async |_| Outcome::done(json!({}))))
            .on(&db)
            .await;
        let job = t.job(&["one", "two"]).await;
        assert_eq!(t.job_ended(job).await.state, JobState::Succeeded);
    }
}
