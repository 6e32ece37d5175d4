//! Consumers get each event at least once and in order, over failures and crashes; what they do not take is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream;
use async_trait::async_trait;
use qd_core::diff::Change;
use qd_core::error::{Error, Result};
use qd_kernel::context::{Context, Scope};
use qd_kernel::events::{Consumer, DeadLetter, DeadLetterFilter, Event, Patience};
use qd_kernel::mutation::{Act, Object, Subject};
use qd_kernel::page::PageRequest;
use qd_testkit::kernel::{Build, foreign_scope};
use qd_testkit::{Nats, TestDatabase, TestKernel, both_stores, eventually};
use serde_json::json;
use uuid::Uuid;

/// Remembers what it took, and fails as it is told.
#[derive(Default)]
struct Taker {
    taken: Mutex<Vec<u64>>,
    tries: Mutex<BTreeMap<u64, u32>>,
    /// Events with these numbers fail so many times.
    fails: Mutex<BTreeMap<u64, u32>>,
    /// Whose events alone it is for.
    only: Mutex<Option<Scope>>,
}

struct Handle(Arc<Taker>);

#[async_trait]
impl Consumer for Handle {
    fn name(&self) -> &str {
        "taker"
    }

    fn scope(&self) -> Option<Scope> {
        *self.0.only.lock().unwrap()
    }

    fn wants(&self, event_type: &str) -> bool {
        event_type == "test.said"
    }

    fn patience(&self) -> Patience {
        Patience { attempts: 3, first: Duration::from_millis(1), most: Duration::from_millis(2) }
    }

    async fn deliver(&self, _scope: Scope, event: &Event) -> Result<()> {
        let n = event.data["n"].as_u64().unwrap();
        let tries = {
            let mut tries = self.0.tries.lock().unwrap();
            let tries = tries.entry(n).or_default();
            *tries += 1;
            *tries
        };
        if tries <= self.0.fails.lock().unwrap().get(&n).copied().unwrap_or(0) {
            return Err(Error::unavailable("taker_busy", format!("not now: {n}")));
        }
        self.0.taken.lock().unwrap().push(n);
        Ok(())
    }
}

impl Taker {
    fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }

    fn fail(&self, n: u64, times: u32) {
        self.fails.lock().unwrap().insert(n, times);
    }
}

fn build(taker: &Arc<Taker>) -> Build {
    let handle = Handle(taker.clone());
    TestKernel::build().register(move |registry| {
        registry.consumer(handle);
    })
}

async fn say(t: &TestKernel, n: u64) {
    let context = t.context();
    let said = t.kernel.mutate(&context, Act::new("tests", "say"), move |m| {
        let object = Object { kind: "Test", id: Uuid::from_u128(1), name: "x" };
        m.audit(&object, &[Change::add("", json!(n))], None)?;
        m.event("test.said", Subject::default(), &json!({ "n": n }))
    });
    said.await.unwrap();
}

/// Waits until the consumer is known: it gets what comes after that.
async fn known(t: &TestKernel) {
    eventually("the consumer is known", async || {
        (t.number("SELECT count(*) FROM consumer").await == 1).then_some(())
    })
    .await;
}

async fn dead(t: &TestKernel, n: usize) -> Vec<DeadLetter> {
    eventually(&format!("{n} dead letters"), async || {
        let page =
            t.kernel.dead_letter_list(t.scope, DeadLetterFilter::default(), PageRequest::first(50)).await;
        let items = page.unwrap().items;
        (items.len() == n).then_some(items)
    })
    .await
}

both_stores! {
    async fn each_event_comes_in_order_over_failures_and_crashes(db: TestDatabase) {
        let taker = Arc::new(Taker::default());
        let mut t = build(&taker).on(&db).await;
        known(&t).await;
        for n in [7, 20, 33] {
            taker.fail(n, 2);
        }
        for n in 0..50 {
            say(&t, n).await;
            if n % 10 == 5 {
                t.crash_tasks();
                t.start_tasks().await;
            }
        }
        let taken = eventually("all are taken", async || {
            let taken = taker.taken();
            (taken.last() == Some(&49)).then_some(taken)
        })
        .await;
        let mut once = taken.clone();
        once.dedup();
        // A crash repeats what was not noted yet; what is new comes in order.
        let mut highest = None;
        let news: Vec<u64> = taken.iter().copied().filter(|n| highest < Some(*n) && { highest = Some(*n); true }).collect();
        assert_eq!(news, (0..50).collect::<Vec<_>>());
        // A crash may come between a try that fails and its note.
        assert!((3..8).contains(&taker.tries.lock().unwrap()[&7]));
        let reading = eventually("it has no more to see", async || {
            let all = t.kernel.consumer_list().await.unwrap();
            all.into_iter().next().filter(|reading| reading.behind == 0)
        })
        .await;
        assert_eq!((reading.name.as_str(), reading.failures, reading.dead), ("taker", 0, 0));
    }

    async fn one_of_a_project_gets_its_events_alone_and_its_place_follows_the_others(db: TestDatabase) {
        let taker = Arc::new(Taker::default());
        let mut t = build(&taker).on(&db).await;
        known(&t).await;
        let own = t.scope;
        *taker.only.lock().unwrap() = Some(own);
        t.kernel.project_create(&Context { scope: own.of_tenant(), ..t.context() }, "lab", "").await.unwrap();
        let lab = t.kernel.scope_find(None, Some("lab")).await.unwrap().scope;
        say(&t, 0).await;
        t.scope = lab;
        // More than are read at once.
        for n in 1..70 {
            say(&t, n).await;
        }
        t.scope = own;
        say(&t, 70).await;
        eventually("its own are taken", async || (taker.taken() == [0, 70]).then_some(())).await;
        t.scope = lab;
        for n in 71..80 {
            say(&t, n).await;
        }
        eventually("it has no more to see", async || {
            let all = t.kernel.consumer_list().await.unwrap();
            all.into_iter().next().filter(|reading| reading.behind == 0)
        })
        .await;
        assert_eq!(taker.taken(), [0, 70]);
    }

    async fn what_is_not_taken_is_kept_and_can_be_sent_again(db: TestDatabase) {
        let taker = Arc::new(Taker::default());
        let t = build(&taker).on(&db).await;
        known(&t).await;
        taker.fail(1, 4);
        taker.fail(3, 3);
        for n in 0..5 {
            say(&t, n).await;
        }
        let letters = dead(&t, 2).await;
        eventually("the others go on", async || (taker.taken() == [0, 2, 4]).then_some(())).await;
        let first = &letters[1];
        assert_eq!((first.event.data["n"].as_u64(), first.attempts, first.error.code.as_str()), (Some(1), 3, "taker_busy"));
        let foreign = t.kernel.dead_letter_list(foreign_scope(), DeadLetterFilter::default(), PageRequest::first(5)).await;
        assert!(foreign.unwrap().items.is_empty());
        let ask = async |id| t.kernel.dead_letter_redeliver_ask(&t.context(), id, "tests".into()).await;
        assert_eq!(ask(Uuid::from_u128(5)).await.unwrap_err().code, "dead_letter_not_found");
        // Once more in vain, then it is taken.
        assert_eq!(ask(first.id).await.unwrap().state, "due");
        eventually("it is dead again", async || {
            dead(&t, 2).await.into_iter().find(|letter| letter.id == first.id && letter.state == "dead" && letter.attempts == 4)
        })
        .await;
        ask(first.id).await.unwrap();
        dead(&t, 1).await;
        assert_eq!(taker.taken(), [0, 2, 4, 1]);
        assert_eq!(ask(first.id).await.unwrap_err().code, "dead_letter_delivered");
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'dead-letters.redeliver'").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_published_and_a_wiped_nats_skips_no_event() {
    let (db, mut nats) = (TestDatabase::postgres().await, Nats::start().await);
    let taker = Arc::new(Taker::default());
    let t = build(&taker).nats(&nats).on(&db).await;
    known(&t).await;
    taker.fail(1, 3);
    for n in 0..3 {
        say(&t, n).await;
    }
    let letter = dead(&t, 1).await.remove(0);
    let name = format!("QD_{}_DEAD", t.kernel.installation().await.unwrap().simple());
    let message = eventually("it is published", async || {
        let client = async_nats::connect(nats.url()).await.ok()?;
        jetstream::new(client).get_stream(&name).await.ok()?.get_raw_message(1).await.ok()
    })
    .await;
    assert!(message.subject.ends_with(".dead.taker"), "{}", message.subject);
    let published: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(
        (published["id"].clone(), published["event"]["data"]["n"].clone()),
        (json!(letter.id), json!(1))
    );
    nats.kill();
    nats.wipe();
    for n in 3..6 {
        say(&t, n).await;
    }
    eventually("without NATS all the same", async || (taker.taken() == [0, 2, 3, 4, 5]).then_some(())).await;
}
