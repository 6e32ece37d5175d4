//! Readers of two servers' streams beside twenty writers with transactions of any length, and a foreign transaction that is
//! held open: none is missed, none comes twice.

use std::collections::BTreeMap;

use futures::future::join_all;
use qd_core::diff::Change;
use qd_kernel::{
    access::PLATFORM_ADMIN,
    context::Context,
    mutation::{Act, Object, Subject},
    store::{Store, StoreError, StoreOptions, StoreResult},
};
use qd_testkit::{TestDatabase, kernel::context_in};
use serde_json::json;
use uuid::Uuid;

use super::{streams::open, support::TestServer};

const WRITERS: u64 = 20;

/// 100,000 in a storm.
fn each() -> u64 {
    if std::env::var_os("QD_STORM").is_some() { 5000 } else { 500 }
}

/// A cheap sequence that looks random and is the same each time.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *state >> 33
}

/// Writes events in transactions of one to eight, some of which take their time between two of them.
async fn write(server: &TestServer, context: Context, writer: u64) {
    let (mut n, mut state) = (0, writer + 1);
    while n < each() {
        let to = (n + 1 + next(&mut state) % 8).min(each());
        let pause_s =
            if next(&mut state).is_multiple_of(8) { (next(&mut state) % 20) as f64 / 1000.0 } else { 0.0 };
        let said = server.kernel.mutate(&context, Act::new("tests", "say"), move |m| {
            let object = Object { kind: "Test", id: Uuid::from_u128(1), name: "x" };
            m.audit(&object, &[Change::add("", json!(n))], None)?;
            for n in n..to {
                m.event("test.said", Subject::default(), &json!({ "writer": writer, "n": n }))?;
                if pause_s > 0.0 {
                    m.tx.one(&format!("SELECT CAST(pg_sleep({pause_s}) AS text)"), &[], |_| Ok(()))?;
                }
            }
            Ok(())
        });
        said.await.unwrap();
        n = to;
    }
}

/// Draws its places in the outbox before others and commits after them, again and again.
async fn foreign(url: &str, context: &Context, times: u32) -> u32 {
    let store = Store::open(url, StoreOptions::default()).await.unwrap();
    let (tenant, project) = (context.scope.tenant_id, context.scope.project_id);
    for _ in 0..times {
        let held: StoreResult<()> = store
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO event_outbox (tenant_id, project_id, type, at, actor, correlation_id, data)
                     VALUES ($1, $2, 'test.late', now(), 'foreign', '', '{}')",
                    &[&tenant, &project],
                )?;
                tx.one("SELECT CAST(pg_sleep(0.5) AS text)", &[], |_| Ok::<_, StoreError>(()))
            })
            .await;
        held.unwrap();
    }
    times
}

/// Reads one server's stream from the beginning until it has seen so many; each writer's numbers, and the foreign ones.
async fn read(server: &TestServer, total: u64) -> (BTreeMap<u64, Vec<u64>>, u32) {
    let mut reader = open(server, "/api/v1/events?after=0", None).await;
    let (mut last, mut seen, mut late, mut by_writer) = (0, 0, 0, BTreeMap::<u64, Vec<u64>>::new());
    while seen < total {
        let frame = reader.next().await.expect("the stream goes on");
        let pos: u64 = frame.id.expect("an id").parse().unwrap();
        assert!(pos > last, "{pos} after {last}");
        last = pos;
        match &*frame.event {
            "test.said" => {
                let number = |name: &str| frame.data["data"][name].as_u64().unwrap();
                by_writer.entry(number("writer")).or_default().push(number("n"));
                seen += 1;
            }
            "test.late" => {
                late += 1;
                seen += 1;
            }
            _ => {}
        }
    }
    (by_writer, late)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_two_servers_beside_twenty_writers_miss_nothing_and_repeat_nothing() {
    let db = TestDatabase::postgres().await;
    let servers = [TestServer::on_database(&db.url).await, TestServer::on_database(&db.url).await];
    let scope = servers[0].kernel.scope_find(None, None).await.unwrap().scope;
    let context = context_in(scope, "tester", PLATFORM_ADMIN);
    let held = u32::try_from(each() / 100).unwrap();
    let total = WRITERS * each() + u64::from(held);
    let writers = join_all(
        (0..WRITERS)
            .map(|writer| write(&servers[usize::try_from(writer % 2).unwrap()], context.clone(), writer)),
    );
    let (_, held, first, second) = tokio::join!(
        writers,
        foreign(&db.url, &context, held),
        read(&servers[0], total),
        read(&servers[1], total)
    );
    for (by_writer, late) in [first, second] {
        assert_eq!((by_writer.len() as u64, late), (WRITERS, held));
        for (writer, ns) in by_writer {
            assert_eq!(ns, (0..each()).collect::<Vec<_>>(), "each of writer {writer}, in its order");
        }
    }
}
