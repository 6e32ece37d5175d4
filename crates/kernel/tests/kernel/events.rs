//! Readers by position see each event once and in order, whoever wrote it and whoever gave it its position.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use qd_core::diff::Change;
use qd_core::state::RunState;
use qd_kernel::Kernel;
use qd_kernel::context::Context;
use qd_kernel::events::{Event, EventFilter};
use qd_kernel::mutation::{Act, Object, Subject};
use qd_testkit::{TestDatabase, TestKernel, both_stores, eventually};
use serde_json::json;
use tokio_postgres::NoTls;
use uuid::Uuid;

const WRITERS: u64 = 20;
const EACH: u64 = 50;

/// One event that says who wrote it and the how manieth of theirs it is.
async fn say(kernel: &Kernel, context: &Context, writer: u64, n: u64) {
    kernel
        .mutate(context, Act::new("tests", "say"), move |m| {
            m.audit(
                &Object { kind: "Test", id: Uuid::from_u128(1), name: "x" },
                &[Change::add("", json!(n))],
                None,
            )?;
            m.event("test.said", Subject::default(), &json!({ "writer": writer, "n": n }))
        })
        .await
        .unwrap();
}

async fn after(t: &TestKernel, pos: i64, limit: u32) -> Vec<Event> {
    t.kernel.events_after(t.scope, EventFilter::default(), pos, limit).await.unwrap()
}

/// Follows by position until everything was seen, and checks the order on the way.
async fn follow(t: &TestKernel, total: usize) -> Vec<Event> {
    let mut seen: Vec<Event> = vec![];
    eventually(&format!("a reader has seen {total} events"), async || {
        let pos = seen.last().map_or(0, |event| event.pos);
        seen.extend(after(t, pos, 7).await);
        (seen.len() >= total).then_some(())
    })
    .await;
    seen
}

fn check(seen: &[Event]) {
    let positions: Vec<i64> = seen.iter().map(|event| event.pos).collect();
    assert_eq!(positions, (1..=seen.len() as i64).collect::<Vec<_>>(), "dense and in order");
    let mut by_writer: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for event in seen {
        let (writer, n) = (event.data["writer"].as_u64().unwrap(), event.data["n"].as_u64().unwrap());
        by_writer.entry(writer).or_default().push(n);
    }
    assert_eq!(by_writer.len() as u64, WRITERS);
    for (writer, ns) in by_writer {
        assert_eq!(ns, (0..EACH).collect::<Vec<_>>(), "each of writer {writer}, in its order");
    }
}

both_stores! {
    async fn readers_beside_twenty_writers_see_each_once_and_in_order(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let context = t.context();
        let writers = join_all((0..WRITERS).map(|writer| {
            let (kernel, context) = (&t.kernel, &context);
            async move {
                for n in 0..EACH {
                    say(kernel, context, writer, n).await;
                }
            }
        }));
        let total = (WRITERS * EACH) as usize;
        let (_, first, second) = tokio::join!(writers, follow(&t, total), follow(&t, total));
        check(&first);
        check(&second);
        assert_eq!(t.kernel.events_head().await.unwrap(), total as i64);
        assert_eq!(t.kernel.events_tail().await.unwrap(), 1);
    }

    async fn head_and_tail_of_nothing_are_zero(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        assert_eq!((t.kernel.events_head().await.unwrap(), t.kernel.events_tail().await.unwrap()), (0, 0));
    }

    async fn who_follows_is_called_when_there_is_more(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let mut news = t.kernel.bus.follow_events();
        news.borrow_and_update();
        say(&t.kernel, &t.context(), 0, 0).await;
        // Called first, also where the event is there already.
        tokio::time::timeout(qd_testkit::eventually::DEADLINE, news.changed()).await.unwrap().unwrap();
        while after(&t, 0, 5).await.is_empty() {
            tokio::time::timeout(qd_testkit::eventually::DEADLINE, news.changed()).await.unwrap().unwrap();
        }
    }

    async fn the_events_of_one_run_and_of_one_resource(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.published("two", json!({})).await;
        let (_, run) = t.run("one").await;
        let (_, other) = t.run("two").await;
        for run in [&run, &other] {
            t.run_in(run.id, RunState::Running).await;
            t.engine.end(&t.external(run), RunState::Succeeded);
            t.run_in(run.id, RunState::Succeeded).await;
        }
        let types = async |filter: EventFilter, last: &str| {
            eventually("the last event has its position", async || {
                let events = t.kernel.events_after(t.scope, filter, 0, 500).await.unwrap();
                let types: Vec<String> = events.into_iter().map(|event| event.event_type).collect();
                types.iter().any(|found| found == last).then_some(types)
            })
            .await
        };
        let of_run = types(EventFilter { run_id: Some(run.id), ..EventFilter::default() }, "run.succeeded").await;
        let moves: Vec<&str> =
            of_run.iter().map(String::as_str).filter(|found| found.starts_with("run.")).collect();
        assert_eq!(moves, ["run.queued", "run.running", "run.succeeded"]);
        let of_resource = EventFilter { resource_id: Some(run.resource.id), ..EventFilter::default() };
        let of_resource = types(of_resource, "run.succeeded").await;
        let count = |what: &str| of_resource.iter().filter(|found| *found == what).count();
        assert_eq!((count("resource.created"), count("revision.published"), count("run.queued")), (1, 1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_on_one_postgres_give_each_event_one_position() {
    let db = TestDatabase::postgres().await;
    let kernels = Arc::new([TestKernel::start(&db).await, TestKernel::start(&db).await]);
    let context = kernels[0].context();
    let writers = join_all((0..WRITERS).map(|writer| {
        let (kernels, context) = (kernels.clone(), context.clone());
        async move {
            for n in 0..EACH {
                say(&kernels[(writer % 2) as usize].kernel, &context, writer, n).await;
            }
        }
    }));
    let total = (WRITERS * EACH) as usize;
    let (_, first, second) = tokio::join!(writers, follow(&kernels[0], total), follow(&kernels[1], total));
    check(&first);
    check(&second);
    assert_eq!(kernels[0].number("SELECT count(*) FROM event_outbox").await, 0);
    assert_eq!(kernels[0].number("SELECT pos FROM event_head").await, total as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_in_another_process_are_called_too() {
    let db = TestDatabase::postgres().await;
    let (writer, reader) = (TestKernel::start(&db).await, TestKernel::start(&db).await);
    for n in 0..5 {
        let mut news = reader.kernel.bus.follow_events();
        news.borrow_and_update();
        say(&writer.kernel, &writer.context(), 0, n).await;
        let seen = async {
            while after(&reader, 0, 50).await.len() <= n as usize {
                news.changed().await.unwrap();
            }
        };
        tokio::time::timeout(qd_testkit::eventually::DEADLINE, seen).await.expect("the reader is called");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_transaction_held_open_stalls_nobody_and_loses_nothing() {
    let db = TestDatabase::postgres().await;
    let t = TestKernel::start(&db).await;
    let (mut foreign, connection) = tokio_postgres::connect(&db.url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let held = foreign.transaction().await.unwrap();
    let (tenant, project) = (t.scope.tenant_id.uuid(), t.scope.project_id.uuid());
    // It draws its place in the outbox before the others and commits after them.
    held.execute(
        "INSERT INTO event_outbox (tenant_id, project_id, type, at, actor, correlation_id, data)
         VALUES ($1, $2, 'test.late', now(), 'foreign', '', '{}')",
        &[&tenant, &project],
    )
    .await
    .unwrap();
    for n in 0..EACH {
        say(&t.kernel, &t.context(), 0, n).await;
    }
    let seen = follow(&t, EACH as usize).await;
    assert!(seen.iter().all(|event| event.event_type == "test.said"));
    held.commit().await.unwrap();
    let late = eventually("the late one comes after all others", async || {
        after(&t, seen.last().unwrap().pos, 5).await.into_iter().next()
    })
    .await;
    assert_eq!((late.event_type.as_str(), late.pos), ("test.late", EACH as i64 + 1));
    drop(foreign);
    connection.await.unwrap().unwrap();
}

/// A relay that dies in the middle of a move leaves it undone as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_die_again_and_again_lose_and_double_nothing() {
    let db = TestDatabase::postgres().await;
    let t = TestKernel::build().idle().on(&db).await;
    let done = Arc::new(AtomicBool::new(false));
    let relays = {
        let done = done.clone();
        let mut relay = TestKernel::build().idle().on(&db).await;
        async move {
            let mut crashes = 0;
            while !done.load(Ordering::Relaxed) {
                relay.start_tasks().await;
                tokio::task::yield_now().await;
                after(&relay, 0, 1).await;
                relay.crash_tasks();
                crashes += 1;
            }
            relay.start_tasks().await;
            (relay, crashes)
        }
    };
    let writers = async {
        let context = t.context();
        join_all((0..WRITERS).map(|writer| {
            let (t, context) = (&t, &context);
            async move {
                for n in 0..EACH {
                    say(&t.kernel, context, writer, n).await;
                }
            }
        }))
        .await;
        done.store(true, Ordering::Relaxed);
    };
    let ((relay, crashes), ()) = tokio::join!(relays, writers);
    assert!(crashes > 1, "the relay died {crashes} times");
    let seen = follow(&relay, (WRITERS * EACH) as usize).await;
    check(&seen);
    let positions: BTreeSet<i64> = seen.iter().map(|event| event.pos).collect();
    assert_eq!(positions.len(), seen.len());
}
