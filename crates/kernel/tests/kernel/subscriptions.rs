//! Events that are sent outside: signed, again after failures and crashes with the same id, and kept when they are not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use qd_core::state::ResourceState;
use qd_kernel::access::objects::On;
use qd_kernel::access::{PLATFORM_ADMIN, VIEWER};
use qd_kernel::connections::CONNECTION;
use qd_kernel::connections::webhook::{ID_HEADER, SIGNATURE_HEADER, TIME_HEADER, sign};
use qd_kernel::context::{Context, Scope};
use qd_kernel::events::{DeadLetter, DeadLetterFilter, Event, EventFilter, Patience};
use qd_kernel::outbound::OutboundOptions;
use qd_kernel::page::PageRequest;
use qd_kernel::params;
use qd_kernel::secrets::Secret;
use qd_kernel::store::StoreResult;
use qd_kernel::subscriptions::SUBSCRIPTION;
use qd_kernel::tenants::admin::{Patch, TenantState};
use qd_kernel::tenants::delete::Deletion;
use qd_testkit::http::Heard;
use qd_testkit::kernel::key;
use qd_testkit::sample::document_of;
use qd_testkit::{HttpServer, Reply, TestDatabase, TestKernel, both_stores, eventually};
use serde_json::{Value, json};

use super::secrets::{KEY, put};

const SIGNING: &str = "canary-of-a-subscription";

async fn kernel(db: &TestDatabase, attempts: u32, private: bool) -> TestKernel {
    let mut build = TestKernel::build().master_keys(&[KEY]);
    build.options.webhook_patience =
        Patience { attempts, first: Duration::from_millis(1), most: Duration::from_millis(2) };
    build.options.outbound = OutboundOptions { private: Some(private), networks: vec![] };
    let t = build.on(db).await;
    put(&t, "hooks/signing", SIGNING).await;
    // What a subscription sends is what its publisher may see.
    t.enrol("tester", PLATFORM_ADMIN).await;
    t
}

async fn publish(t: &TestKernel, kind: &str, name: &str, spec: Value) {
    let documents = vec![document_of(kind, name, spec)];
    let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
    let job = t.job_ended(job.unwrap().id).await;
    assert!(job.error.is_none(), "{:?}", job.error);
}

/// Where the events have that it was published.
async fn published_at(t: &TestKernel, name: &str) -> Option<i64> {
    let events = t.kernel.events_after(t.scope, EventFilter::default(), 0, 500).await.unwrap();
    let of_it =
        |one: &&Event| one.event_type == "revision.published" && one.resource_name.as_deref() == Some(name);
    events.iter().find(of_it).map(|one| one.pos)
}

/// A subscription to what is published, sent to the server.
async fn subscribed(t: &TestKernel, server: &HttpServer) {
    subscribed_to(t, server, "revision.published").await;
}

async fn subscribed_to(t: &TestKernel, server: &HttpServer, events: &str) {
    let connection =
        json!({ "type": "webhook", "address": server.url.clone(), "secret": "secret://hooks/signing" });
    publish(t, CONNECTION, "chat", connection).await;
    let spec = json!({ "connection": "chat", "events": [events] });
    publish(t, SUBSCRIPTION, "told", spec).await;
}

/// The name of what a message tells was published, once its signature was checked as a receiver does.
fn checked(heard: &Heard) -> String {
    let header = |name: &str| heard.headers[name].clone();
    let seconds: i64 = header(TIME_HEADER).parse().unwrap();
    let now = qd_kernel::clock::system().now().micros() / 1_000_000;
    assert!((now - seconds).abs() < 300, "sent at {seconds}, now {now}");
    let signed = sign(&Secret::new(SIGNING), &header(ID_HEADER), seconds, &heard.body);
    assert_eq!(header(SIGNATURE_HEADER), signed);
    assert_ne!(sign(&Secret::new(SIGNING), &header(ID_HEADER), seconds - 1, &heard.body), signed);
    assert!(!heard.body.contains(SIGNING));
    let body: Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!(body["type"], "revision.published");
    body["data"]["resource_name"].as_str().unwrap().to_owned()
}

/// What the subscription tells of itself.
async fn status(t: &TestKernel) -> Value {
    let kind = t.kernel.registry.find_kind(SUBSCRIPTION).unwrap().clone();
    let resource = t.kernel.resource_get(t.scope, SUBSCRIPTION, "told").await.unwrap();
    kind.status(&t.kernel, t.scope, &resource).await.unwrap().unwrap()
}

async fn dead(t: &TestKernel) -> Vec<DeadLetter> {
    let page = t.kernel.dead_letter_list(t.scope, DeadLetterFilter::default(), PageRequest::first(50)).await;
    page.unwrap().items
}

both_stores! {
    async fn a_receiver_gets_each_event_signed_over_failures_and_a_crash(db: TestDatabase) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // Every third answer is an error, also of a message that the receiver has.
        let server = HttpServer::start(move |_| match count.fetch_add(1, Ordering::SeqCst) % 3 {
            1 => Reply::new(500, "not now"),
            _ => Reply::new(200, ""),
        });
        let mut t = kernel(&db, 50, true).await;
        subscribed(&t, &server).await;
        for n in 0..12 {
            publish(&t, "Sample", &format!("s{n}"), json!({ "count": n })).await;
            if n % 5 == 2 {
                t.crash_tasks();
                t.start_tasks().await;
            }
        }
        let wanted: BTreeSet<String> = (0..12).map(|n| format!("s{n}")).collect();
        let heard = eventually("all are told", async || {
            let heard = server.heard();
            let names: BTreeSet<String> = heard.iter().map(checked).filter(|name| name != "told").collect();
            (names == wanted).then_some(heard)
        })
        .await;
        let mut by_id: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for one in &heard {
            by_id.entry(one.headers[ID_HEADER].clone()).or_default().insert(one.body.clone());
        }
        assert!(by_id.values().all(|bodies| bodies.len() == 1), "an id has one content");
        assert!(by_id.len() <= 13 && by_id.len() < heard.len(), "a repeat has the id of the first: {by_id:?}");
        assert!(dead(&t).await.is_empty());
        let resolved = t.number("SELECT count(*) FROM audit WHERE action = 'secrets.resolve'").await;
        assert!(resolved >= 1, "the use of the secret is recorded");
    }

    async fn what_is_not_taken_is_a_dead_letter_that_is_sent_again(db: TestDatabase) {
        let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_open = open.clone();
        let server = HttpServer::start(move |_| {
            if is_open.load(Ordering::SeqCst) { Reply::new(204, "") } else { Reply::new(503, "no canary-of-a-subscription") }
        });
        let t = kernel(&db, 2, true).await;
        subscribed(&t, &server).await;
        publish(&t, "Sample", "one", json!({})).await;
        let letter = eventually("it is set aside", async || {
            dead(&t).await.into_iter().find(|letter| letter.event.resource_name.as_deref() == Some("one"))
        })
        .await;
        assert_eq!((letter.error.code.as_str(), letter.attempts), ("webhook_refused", 2));
        assert_eq!(letter.error.message, "the receiver answers 503 Service Unavailable");
        assert!(letter.consumer.starts_with("subscriptions/told/"), "{}", letter.consumer);
        let first = server.heard().into_iter().find(|heard| checked(heard) == "one").unwrap();
        open.store(true, Ordering::SeqCst);
        t.kernel.dead_letter_redeliver_ask(&t.context(), letter.id, "the receiver is back".into()).await.unwrap();
        eventually("it is taken", async || (!dead(&t).await.iter().any(|one| one.id == letter.id)).then_some(())).await;
        let last = server.heard().pop().unwrap();
        assert_eq!((&last.headers[ID_HEADER], &last.body), (&first.headers[ID_HEADER], &first.body));
    }

    async fn what_is_sent_again_is_told_with_its_age_and_why(db: TestDatabase) {
        let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_open = open.clone();
        let server = HttpServer::start(move |_| Reply::new(if is_open.load(Ordering::SeqCst) { 204 } else { 503 }, ""));
        let t = kernel(&db, 1_000_000, true).await;
        subscribed(&t, &server).await;
        publish(&t, "Sample", "one", json!({})).await;
        let in_state = async |state: &str| {
            eventually(state, async || {
                let now = status(&t).await;
                (now["state"] == state).then_some(now)
            })
            .await
        };
        let failing = in_state("retrying").await;
        assert_eq!((&failing["sending"], &failing["error"]["code"]), (&json!(false), &json!("webhook_refused")));
        assert!(failing["failures"].as_i64().unwrap() > 0 && failing["due_at"].is_string(), "{failing}");
        assert!(failing["since"].is_string(), "{failing}");
        let sentence = failing["sentence"].as_str().unwrap();
        assert!(sentence.contains(" ago failed ") && sentence.contains("the receiver answers 503"), "{sentence}");
        open.store(true, Ordering::SeqCst);
        let well = in_state("sending").await;
        assert_eq!((&well["sending"], &well["failures"]), (&json!(true), &json!(0)));
        assert!(well["error"].is_null() && well["due_at"].is_null(), "{well}");
    }

    async fn what_its_publisher_may_not_see_is_not_sent(db: TestDatabase) {
        let server = HttpServer::start(|_| Reply::new(200, ""));
        let t = kernel(&db, 1, true).await;
        subscribed(&t, &server).await;
        let sample = async |name: &str, count: i64| publish(&t, "Sample", name, json!({ "count": count })).await;
        let told = |name: &str| server.heard().iter().filter(|heard| checked(heard) == name).count();
        let heard = async |name: &str| eventually(name, async || (told(name) > 0).then_some(())).await;
        sample("hidden", 1).await;
        heard("hidden").await;
        let status_now = status(&t).await;
        assert_eq!((&status_now["sending"], &status_now["publisher"]), (&json!(true), &json!("tester")));

        let text = "forbid (principal == User::\"tester\", action in Action::\"read\", resource is Resource) when { resource.name == \"hidden\" };";
        publish(&t, "Policy", "secret", json!({ "cedar": text })).await;
        eventually("the policy is in force", async || {
            let context = Context { authority: t.kernel.authority_in(t.scope).await.unwrap(), ..t.context() };
            t.kernel.permit(&context, "samples.read", On::resource("Sample", "hidden")).await.err().map(drop)
        })
        .await;
        sample("hidden", 2).await;
        sample("shown", 1).await;
        heard("shown").await;
        assert_eq!(told("hidden"), 1, "what a policy hides from who published it");

        let state = async |to: &'static str| {
            let sql = format!("UPDATE principal SET state = '{to}' WHERE name = 'tester'");
            t.kernel.store.write(move |tx| -> StoreResult<u64> { tx.exec(&sql, &[]) }).await.unwrap();
        };
        state("suspended").await;
        sample("silent", 1).await;
        let status_now = status(&t).await;
        assert_eq!(status_now["sentence"], "Nothing is sent: tester, who published it, is suspended");
        assert_eq!((&status_now["sending"], &status_now["state"]), (&json!(false), &json!("silent")));
        let head = eventually("it has its place in the events", async || published_at(&t, "silent").await).await;
        eventually("it was passed over", async || {
            let readings = t.kernel.consumer_list().await.unwrap();
            readings.iter().any(|one| one.name.starts_with("subscriptions/told/") && one.pos >= head).then_some(())
        })
        .await;
        state("active").await;
        sample("again", 1).await;
        heard("again").await;
        assert_eq!(told("silent"), 0);
        assert!(dead(&t).await.is_empty());
    }

    /// Its job, its plan and what it is called: of a tenant and of a project.
    async fn of_a_deletion_is_sent_what_its_publisher_may_know(db: TestDatabase) {
        let server = HttpServer::start(|_| Reply::new(200, ""));
        let t = kernel(&db, 1, true).await;
        subscribed_to(&t, &server, "*").await;
        let (platform, in_tenant) =
            (Context { scope: Scope::PLATFORM, ..t.context() }, Context { scope: t.scope.of_tenant(), ..t.context() });
        let told = |words: &str| server.heard().iter().any(|heard| heard.body.contains(words));
        let published = |name: &str| {
            server.heard().iter().any(|heard| {
                let body: Value = serde_json::from_str(&heard.body).unwrap();
                body["type"] == "revision.published" && body["data"]["resource_name"] == name
            })
        };
        let publisher = t.context().principal.id;
        for (name, role, seen) in [("quiet", VIEWER, false), ("loud", PLATFORM_ADMIN, true)] {
            let held = t.kernel.store.write(move |tx| -> StoreResult<u64> {
                tx.exec("UPDATE role_binding SET role = $2 WHERE principal_id = $1", params![publisher, role])
            });
            assert_eq!(held.await.unwrap(), 1);
            t.kernel.tenant_create(&platform, name, "").await.unwrap();
            let suspend = Patch { state: Some(TenantState::Suspended), ..Patch::default() };
            t.kernel.tenant_update(&platform, name, 1, suspend).await.unwrap();
            t.kernel.project_create(&in_tenant, name, "").await.unwrap();
            let (home, request) = t.kernel.tenant_delete_request(&platform, name, "why").await.unwrap();
            let plan = t.kernel.plan_create(&home, request).await.unwrap().id;
            let gone = Deletion { name: name.into(), confirm: name.into(), reason: "it has ended".into() };
            let tenant = t.kernel.tenant_delete(&platform, gone.clone(), key()).await.unwrap().id;
            let project = t.kernel.project_delete(&in_tenant, gone, key()).await.unwrap().id;
            // What comes after all of it in the events is told after it.
            let after = format!("after-{name}");
            publish(&t, "Sample", &after, json!({})).await;
            eventually(&after, async || published(&after).then_some(())).await;
            for words in [plan.to_string(), tenant.to_string(), project.to_string(), format!("\"name\":\"{name}\"")] {
                assert_eq!(told(&words), seen, "{role}: {words}");
            }
        }
    }

    async fn an_address_that_must_not_be_called_is_not(db: TestDatabase) {
        let server = HttpServer::start(|_| Reply::new(200, ""));
        let t = kernel(&db, 1, false).await;
        subscribed(&t, &server).await;
        publish(&t, "Sample", "one", json!({})).await;
        let letter = eventually("it is set aside", async || dead(&t).await.into_iter().next()).await;
        assert_eq!(letter.error.code, "address_refused");
        assert!(server.heard().is_empty());
    }

    async fn one_that_is_archived_is_forgotten_and_begins_anew(db: TestDatabase) {
        let server = HttpServer::start(|_| Reply::new(200, ""));
        let t = kernel(&db, 1, true).await;
        subscribed(&t, &server).await;
        let told = |name: &str| server.heard().iter().filter(|heard| checked(heard) == name).count();
        let kind = t.kernel.registry.find_kind(SUBSCRIPTION).unwrap().clone();
        let context = t.context();
        let set = async |to| t.kernel.resource_set_state(&context, &*kind, "told", None, to).await.unwrap();
        set(ResourceState::Archived).await;
        eventually("its place is forgotten", async || {
            (t.number("SELECT count(*) FROM consumer WHERE name LIKE 'subscriptions/%'").await == 0).then_some(())
        })
        .await;
        publish(&t, "Sample", "meanwhile", json!({})).await;
        eventually("it has its place before the new beginning", async || published_at(&t, "meanwhile").await).await;
        set(ResourceState::Active).await;
        publish(&t, "Sample", "after", json!({})).await;
        eventually("it goes on", async || (told("after") > 0).then_some(())).await;
        assert_eq!(told("meanwhile"), 0);
    }

    async fn a_subscription_ends_when_it_is_put_away(db: TestDatabase) {
        let server = HttpServer::start(|_| Reply::new(200, ""));
        let t = kernel(&db, 1, true).await;
        subscribed(&t, &server).await;
        publish(&t, "Sample", "one", json!({})).await;
        eventually("it is told", async || server.heard().iter().any(|heard| checked(heard) == "one").then_some(())).await;
        let kind = t.kernel.registry.find_kind(SUBSCRIPTION).unwrap().clone();
        let archived = qd_core::state::ResourceState::Archived;
        t.kernel.resource_set_state(&t.context(), &*kind, "told", None, archived).await.unwrap();
        let there = async || {
            let all = t.kernel.consumer_list().await.unwrap();
            all.into_iter().any(|reading| reading.name.starts_with("subscriptions/told/"))
        };
        // Within a look of the tasks nobody sends any more, and then its place is forgotten.
        eventually("it is forgotten", async || (!there().await).then_some(())).await;
        publish(&t, "Sample", "two", json!({})).await;
        assert!(!there().await && !server.heard().iter().any(|heard| checked(heard) == "two"));
    }

    async fn a_subscription_says_what_is_wrong_with_it(db: TestDatabase) {
        let t = kernel(&db, 1, true).await;
        publish(&t, CONNECTION, "other", json!({ "type": "http", "address": "http://localhost:1" })).await;
        let wrong = async |spec: Value| {
            let documents = vec![document_of(SUBSCRIPTION, "told", spec)];
            let refused = t.kernel.apply(&t.context(), documents, String::new(), None).await.unwrap_err();
            refused.violations.iter().map(|found| (found.pointer.clone(), found.code.to_string())).collect::<Vec<_>>()
        };
        for connection in ["other", "none"] {
            let found = wrong(json!({ "connection": connection, "events": ["*"] })).await;
            assert_eq!(found, [("/spec/connection".to_owned(), "unknown_connection".to_owned())]);
        }
        let found = wrong(json!({ "connection": "other", "events": ["run", "run.*"] })).await;
        assert_eq!(found, [("/spec/events/0".to_owned(), "invalid_format".to_owned())]);
    }
}
