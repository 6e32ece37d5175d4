//! Schedules: an instant that is due starts one run, whoever looks and however the clock goes; what was missed is for the
//! policy; what cannot start says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use qd_core::audit::Outcome;
use qd_core::state::{JobState, ResourceState, RunState};
use qd_core::time::Timestamp;
use qd_kernel::access::{INFRA_ADMIN, PLATFORM_ADMIN};
use qd_kernel::audit::AuditFilter;
use qd_kernel::context::Context;
use qd_kernel::failpoint::Failpoints;
use qd_kernel::page::PageRequest;
use qd_kernel::params;
use qd_kernel::schedules::SCHEDULE;
use qd_kernel::store::StoreResult;
use qd_testkit::kernel::key;
use qd_testkit::sample::document_of;
use qd_testkit::{ManualClock, TestDatabase, TestKernel, both_stores, eventually};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Every full hour, of the sample `one`.
fn hourly(more: Value) -> Value {
    let mut spec = json!({ "cron": "0 * * * *", "target": { "kind": "Sample", "name": "one" } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

async fn publish(t: &TestKernel, name: &str, spec: Value) {
    let documents = vec![document_of(SCHEDULE, name, spec)];
    let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
    assert_eq!(t.job_ended(job.unwrap().id).await.state, JobState::Succeeded);
}

async fn status(t: &TestKernel, name: &str) -> Value {
    let kind = t.kernel.registry.find_kind(SCHEDULE).unwrap().clone();
    let resource = t.kernel.resource_get(t.scope, SCHEDULE, name).await.unwrap();
    kind.status(&t.kernel, t.scope, &resource).await.unwrap().unwrap()
}

/// `[due, outcome, missed]` of each firing, oldest first.
async fn firings(t: &TestKernel, name: &str) -> Vec<Value> {
    let status = status(t, name).await;
    let brief = |one: &Value| json!([one["due_at"].as_str().unwrap()[11..16], one["outcome"], one["missed"]]);
    status["firings"].as_array().unwrap().iter().rev().map(brief).collect()
}

async fn runs(t: &TestKernel) -> i64 {
    t.number("SELECT count(*) FROM run").await
}

/// Decides all that is due, also where the kernel's own duty is at some of it.
async fn fire(t: &TestKernel) {
    eventually("nothing is due", async || {
        t.kernel.schedules_fire().await.unwrap();
        let now = t.kernel.source.now();
        let due = t.kernel.store.read(move |tx| -> StoreResult<i64> {
            tx.one("SELECT count(*) FROM schedule WHERE due_at <= $1", params![now], |row| row.get(0))
        });
        (due.await.unwrap() == 0).then_some(())
    })
    .await;
}

/// A kernel whose clock stands at 00:00 of a day and whose sample `one` is published.
async fn at_midnight(db: &TestDatabase, clock: &ManualClock) -> TestKernel {
    let t = TestKernel::build().clock(clock).on(db).await;
    t.enrol("tester", PLATFORM_ADMIN).await;
    t.published("one", json!({})).await;
    t
}

/// The same database after a restart.
async fn restarted(t: TestKernel, db: &TestDatabase, clock: &ManualClock) -> TestKernel {
    let engine = t.engine.clone();
    t.crash().await;
    TestKernel::build().clock(clock).engine(&engine).on(db).await
}

both_stores! {
    async fn what_is_due_starts_a_run_in_the_schedules_name(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "each-hour", hourly(json!({}))).await;
        assert_eq!(t.kernel.schedules_fire().await.unwrap(), 0, "it counts from its publication");
        assert_eq!(status(&t, "each-hour").await["next"][0], "2026-01-01T01:00:00.000000Z");
        clock.advance(HOUR + Duration::from_millis(1));
        // By the duty itself.
        eventually("it fires", async || (runs(&t).await == 1).then_some(())).await;
        assert_eq!(firings(&t, "each-hour").await, [json!(["01:00", "started", 0])]);
        let run = t.kernel.run_get(t.scope, "one#1").await.unwrap();
        // Both sentences below tell its state.
        t.run_in(run.id, RunState::Running).await;
        let told = status(&t, "each-hour").await;
        assert_eq!(told["firings"][0]["run"]["ref"], "one#1");
        assert_eq!(told["next"].as_array().unwrap().len(), 5);
        assert_eq!(told["next"][0], "2026-01-01T02:00:00.000000Z");
        let sentence = told["sentence"].as_str().unwrap();
        assert!(sentence.starts_with("It fires next at 02:00:00 UTC; the last firing, due at 01:00:00 UTC, started one#1"), "{sentence}");
        let explained = t.kernel.explain(&t.context(), "schedules/each-hour").await.unwrap();
        assert!(explained.sentence.contains(sentence), "{}", explained.sentence);

        assert_eq!(run.created_by, "schedules/each-hour");
        let filter = AuditFilter { job_id: Some(run.job_id), ..AuditFilter::default() };
        let audit = t.kernel.audit_list(t.scope, filter, PageRequest::default()).await.unwrap().items;
        assert_eq!((audit.len(), audit[0].action.as_str(), audit[0].actor.as_str()), (1, "samples.run", "schedules/each-hour"));
        assert_eq!(audit[0].on_behalf_of.as_deref(), Some("tester"), "who published it");
        assert_eq!(audit[0].reason, "schedules/each-hour: \"0 * * * *\" in UTC, due at 2026-01-01T01:00:00.000000Z");
    }

    async fn of_several_processes_one_starts_each_instant(db: TestDatabase) {
        let (clock, other) = (ManualClock::new(1), ManualClock::new(2));
        let t = at_midnight(&db, &clock).await;
        for name in ["a", "b", "c"] {
            publish(&t, name, hourly(json!({ "misfire": { "policy": "run_all" } }))).await;
        }
        let second = TestKernel::build().clock(&other).store(&t.kernel.store).engine(&t.engine).idle().on(&db).await;
        for hour in 1..=3_u32 {
            clock.advance(HOUR);
            // A clock of its own, which is a little ahead.
            other.set(clock.source().now().checked_add(Duration::from_secs(2)).unwrap());
            let fire = (0..8).map(|n| if n % 2 == 0 { t.kernel.clone() } else { second.kernel.clone() });
            join_all(fire.map(|kernel| async move { kernel.schedules_fire().await.unwrap() })).await;
            assert_eq!(runs(&t).await, i64::from(3 * hour));
        }
        assert_eq!(t.number("SELECT count(*) FROM schedule_firing WHERE run_id IS NOT NULL").await, 9);
        assert_eq!(t.number("SELECT count(*) FROM job WHERE operation = 'run.start'").await, 9);
    }

    async fn what_was_missed_is_for_the_policy(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "skips", hourly(json!({ "misfire": { "policy": "skip" } }))).await;
        publish(&t, "once", hourly(json!({ "misfire": { "policy": "run_once" } }))).await;
        publish(&t, "all", hourly(json!({ "misfire": { "policy": "run_all", "limit": 3 } }))).await;
        let t = {
            let store_closed = restarted(t, &db, &clock);
            clock.advance(HOUR * 5 + MINUTE * 10);
            store_closed.await
        };
        fire(&t).await;
        assert_eq!(firings(&t, "skips").await, [json!(["05:00", "skipped", 4])]);
        assert_eq!(firings(&t, "once").await, [json!(["05:00", "started", 4])]);
        let all = [json!(["03:00", "started", 2]), json!(["04:00", "started", 0]), json!(["05:00", "started", 0])];
        assert_eq!(firings(&t, "all").await, all);
        assert_eq!(runs(&t).await, 4);
        let skipped = status(&t, "skips").await["firings"][0].clone();
        assert_eq!(skipped["code"], "misfire_skipped");

        let t = restarted(t, &db, &clock).await;
        assert_eq!(t.kernel.schedules_fire().await.unwrap(), 0, "a restart decides nothing again");
        clock.advance(MINUTE * 50 + Duration::from_secs(30));
        fire(&t).await;
        assert_eq!(firings(&t, "skips").await[1], json!(["06:00", "started", 0]), "it goes on");
        assert_eq!(runs(&t).await, 7);
    }

    async fn a_clock_that_goes_ahead_and_back_fires_no_instant_twice(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "each", hourly(json!({ "cron": "*/10 * * * *" }))).await;
        clock.advance(MINUTE * 10);
        fire(&t).await;
        let right = clock.source().now();
        clock.advance(HOUR);
        fire(&t).await;
        assert_eq!(firings(&t, "each").await, [json!(["00:10", "started", 0]), json!(["01:10", "started", 5])]);
        clock.set(right);
        fire(&t).await;
        assert_eq!(runs(&t).await, 2, "it is 00:10 again, and that was started");
        assert_eq!(status(&t, "each").await["next"][0], "2026-01-01T00:20:00.000000Z", "it does not wait for an hour");
        for _ in 0..7 {
            clock.advance(MINUTE * 10);
            fire(&t).await;
        }
        let due: Vec<String> = firings(&t, "each").await.iter().map(|one| one[0].as_str().unwrap().to_owned()).collect();
        assert_eq!(due, ["00:10", "00:20", "00:30", "00:40", "00:50", "01:00", "01:10", "01:20"]);
        assert_eq!(runs(&t).await, 8, "each of them once");
        // An hour back: those that were decided stay so.
        clock.set(right);
        for _ in 0..8 {
            fire(&t).await;
            clock.advance(MINUTE * 10);
        }
        fire(&t).await;
        assert_eq!(runs(&t).await, 9, "only 01:30 is new");
    }

    /// The process dies between the cursor's move and the job, twice.
    async fn a_firing_that_is_cut_short_leaves_the_instant_due(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "each", hourly(json!({}))).await;
        let left = Arc::new(AtomicU32::new(2));
        let mut build = TestKernel::build().clock(&clock).engine(&t.engine).idle();
        let deaths = left.clone();
        build.options.failpoints = Some(Failpoints::new(move |place| {
            let dies = place == "schedule.fired:run.start";
            let dies = dies && deaths.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            assert!(!dies, "a test's own panic");
        }));
        t.crash().await;
        let t = build.on(&db).await;
        clock.advance(HOUR);
        for _ in 0..2 {
            assert_eq!(t.kernel.schedules_fire().await.unwrap(), 0);
            assert_eq!((runs(&t).await, firings(&t, "each").await), (0, vec![]), "nothing of it is written");
        }
        assert_eq!(left.load(Ordering::SeqCst), 0);
        assert_eq!(t.kernel.schedules_fire().await.unwrap(), 1);
        assert_eq!(firings(&t, "each").await, [json!(["01:00", "started", 0])]);
    }

    async fn a_firing_that_cannot_start_says_why_and_the_next_one_can(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "each", hourly(json!({}))).await;
        let sample = t.sample();
        let set = async |to| t.kernel.resource_set_state(&t.context(), &*sample, "one", None, to).await.unwrap();
        set(ResourceState::Archived).await;
        clock.advance(HOUR);
        fire(&t).await;
        let told = status(&t, "each").await;
        assert_eq!((&told["firings"][0]["outcome"], &told["firings"][0]["code"]), (&json!("refused"), &json!("resource_archived")));
        clock.advance(MINUTE * 3);
        let sentence = status(&t, "each").await["sentence"].as_str().unwrap().to_owned();
        assert!(sentence.ends_with("due at 01:00:00 UTC, was refused 3 min ago: one is archived; restore it first"), "{sentence}");
        assert_eq!(t.number("SELECT count(*) FROM job WHERE operation = 'run.start'").await, 0);
        set(ResourceState::Active).await;
        clock.advance(HOUR);
        fire(&t).await;
        assert_eq!(firings(&t, "each").await[1], json!(["02:00", "started", 0]));
        // What it wants is asked for no more, so that its parameters do not fit.
        t.published("one", json!({ "wants": "size" })).await;
        clock.advance(HOUR);
        fire(&t).await;
        let refused = status(&t, "each").await["firings"][0].clone();
        assert_eq!(refused["code"], "params_invalid");
        assert!(refused["message"].as_str().unwrap().contains("/params/size"), "{refused}");
    }

    async fn a_schedule_may_forbid_a_second_run_beside_its_last(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "each", hourly(json!({ "concurrency": "forbid" }))).await;
        t.run("one").await;
        for _ in 0..2 {
            clock.advance(HOUR);
            fire(&t).await;
        }
        assert_eq!(firings(&t, "each").await, [json!(["01:00", "started", 0]), json!(["02:00", "skipped", 0])]);
        let skipped = status(&t, "each").await["firings"][0].clone();
        assert_eq!((&skipped["code"], &skipped["message"]), (&json!("still_active"), &json!("one#2, which it started before, is still active")));
        let run = t.kernel.run_get(t.scope, "one#2").await.unwrap();
        t.run_in(run.id, RunState::Running).await;
        t.engine.end(&t.external(&run), RunState::Succeeded);
        t.run_in(run.id, RunState::Succeeded).await;
        clock.advance(HOUR);
        fire(&t).await;
        assert_eq!(firings(&t, "each").await[2], json!(["03:00", "started", 0]));
    }

    async fn paused_archived_and_changed_schedules_do_what_is_published(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "each", hourly(json!({ "paused": true }))).await;
        clock.advance(HOUR * 3);
        assert_eq!(t.kernel.schedules_fire().await.unwrap(), 0);
        let told = status(&t, "each").await;
        assert_eq!((&told["paused"], &told["next"]), (&json!(true), &json!([])));
        publish(&t, "each", hourly(json!({}))).await;
        assert_eq!(t.kernel.schedules_fire().await.unwrap(), 0, "a pause is not made up for");
        clock.advance(HOUR);
        fire(&t).await;
        assert_eq!(runs(&t).await, 1);

        let kind = t.kernel.registry.find_kind(SCHEDULE).unwrap().clone();
        let set = async |to| t.kernel.resource_set_state(&t.context(), &*kind, "each", None, to).await.unwrap();
        set(ResourceState::Archived).await;
        clock.advance(HOUR * 2);
        fire(&t).await;
        assert_eq!(runs(&t).await, 1);
        set(ResourceState::Active).await;
        assert_eq!(t.kernel.schedules_fire().await.unwrap(), 0);
        publish(&t, "each", hourly(json!({ "cron": "30 2 * * *", "time_zone": "Europe/Berlin" }))).await;
        assert_eq!(status(&t, "each").await["next"][0], "2026-01-02T01:30:00.000000Z");
    }

    async fn what_is_wrong_with_a_schedule_is_said_when_it_is_published(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({ "wants": "size" })).await;
        let wrong = async |spec: Value| {
            let documents = vec![document_of(SCHEDULE, "each", spec)];
            let error = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap_err();
            let found = error.violations.into_iter().map(|one| (one.pointer, one.code)).collect::<Vec<_>>();
            assert_eq!(found.len(), 1, "{found:?}");
            found.into_iter().next().unwrap()
        };
        let at = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
        assert_eq!(wrong(hourly(json!({ "cron": "often" }))).await, at("/spec/cron", "bad_cron"));
        assert_eq!(wrong(hourly(json!({ "time_zone": "Europe/Atlantis" }))).await, at("/spec/time_zone", "unknown_time_zone"));
        assert_eq!(wrong(hourly(json!({ "target": { "kind": "Sample", "name": "two" } }))).await, at("/spec/target/name", "unknown_target"));
        assert_eq!(wrong(hourly(json!({ "target": { "kind": "Schedule", "name": "one" } }))).await, at("/spec/target/kind", "unknown_kind"));
        assert_eq!(wrong(hourly(json!({}))).await, at("/spec/params/size", "missing_param"));
        publish(&t, "each", hourly(json!({ "params": { "size": 3 } }))).await;
    }

    /// A change of the clocks in Berlin, lived through by a schedule of each sort.
    async fn a_schedule_starts_what_its_publisher_may_start_and_nothing_else(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        let infra = t.context_as("infra", INFRA_ADMIN);
        let documents = vec![document_of(SCHEDULE, "each-hour", hourly(json!({})))];
        let refused = t.kernel.apply(&infra, documents, String::new(), Some(key())).await.unwrap_err();
        assert_eq!(refused.code, "action_denied");
        assert!(refused.detail.contains("samples.run"), "{refused}");
        assert_eq!(t.number("SELECT count(*) FROM schedule").await, 0);

        publish(&t, "each-hour", hourly(json!({}))).await;
        let hour = async || {
            clock.advance(HOUR);
            fire(&t).await;
        };
        let changed = async |sql: &'static str| {
            t.kernel.store.write(move |tx| -> StoreResult<u64> { tx.exec(sql, &[]) }).await.unwrap()
        };
        hour().await;
        changed("UPDATE principal SET state = 'suspended' WHERE name = 'tester'").await;
        hour().await;
        changed("UPDATE principal SET state = 'active' WHERE name = 'tester'").await;
        changed("UPDATE role_binding SET role = 'INFRA_ADMIN' WHERE created_by = 'test'").await;
        hour().await;
        changed("UPDATE role_binding SET role = 'PLATFORM_ADMIN' WHERE created_by = 'test'").await;
        hour().await;
        let came: Vec<Value> = firings(&t, "each-hour").await.into_iter().map(|one| one[1].clone()).collect();
        assert_eq!(came, ["started", "refused", "refused", "started"]);
        assert_eq!(runs(&t).await, 2);
        let told = status(&t, "each-hour").await;
        assert_eq!(told["firings"][1]["code"], "action_denied");
        let why = told["firings"][1]["message"].as_str().unwrap();
        assert!(why.starts_with("tester, who published it, may not do that here now: "), "{why}");
        let audit = t.kernel.audit_list(t.scope, AuditFilter::default(), PageRequest::default()).await.unwrap().items;
        let denied: Vec<_> = audit.iter().filter(|record| record.outcome == Outcome::Denied).collect();
        assert_eq!(denied.len(), 2, "{denied:?}");
        assert!(denied.iter().all(|one| one.action == "samples.run" && one.actor == "schedules/each-hour"), "{denied:?}");
    }

    async fn a_schedule_does_not_run_past_the_policies_of_its_project(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = at_midnight(&db, &clock).await;
        publish(&t, "each-hour", hourly(json!({}))).await;
        let policy = async |text: &str| {
            let documents = vec![document_of("Policy", "night", json!({ "cedar": text }))];
            let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
            assert_eq!(t.job_ended(job.unwrap().id).await.state, JobState::Succeeded);
        };
        let hour = async || {
            clock.advance(HOUR);
            fire(&t).await;
        };
        // Whom a policy forbids it, in the project and of the one resource.
        policy("forbid (principal == User::\"tester\", action == Action::\"samples.run\", resource);").await;
        hour().await;
        let of_one = "(principal == User::\"tester\", action == Action::\"samples.run\", resource == Resource::\"samples/one\");";
        policy(&format!("forbid {of_one}")).await;
        hour().await;
        let told = status(&t, "each-hour").await;
        for firing in told["firings"].as_array().unwrap() {
            assert_eq!((&firing["outcome"], &firing["code"]), (&json!("refused"), &json!("action_denied")), "{firing}");
        }
        assert_eq!(runs(&t).await, 0);
        // He cannot publish another one either.
        let context = Context { authority: t.kernel.authority_in(t.scope).await.unwrap(), ..t.context() };
        let documents = vec![document_of(SCHEDULE, "more", hourly(json!({})))];
        let refused = t.kernel.apply(&context, documents, String::new(), Some(key())).await.unwrap_err();
        assert_eq!(refused.code, "action_denied");

        // Whom no role allows it, and a policy does.
        policy(&format!("permit {of_one}")).await;
        let viewer = "UPDATE role_binding SET role = 'viewer' WHERE created_by = 'test'";
        t.kernel.store.write(move |tx| -> StoreResult<u64> { tx.exec(viewer, &[]) }).await.unwrap();
        hour().await;
        assert_eq!(firings(&t, "each-hour").await[2][1], "started");
        assert_eq!(runs(&t).await, 1);
    }

    async fn where_clocks_are_changed_each_time_that_is_meant_comes_once(db: TestDatabase) {
        let clock = ManualClock::new(1);
        clock.set("2026-03-28T12:00:00Z".parse::<Timestamp>().unwrap());
        let t = at_midnight(&db, &clock).await;
        let berlin = |cron: &str| hourly(json!({ "cron": cron, "time_zone": "Europe/Berlin" }));
        publish(&t, "fixed", berlin("30 2 * * *")).await;
        publish(&t, "wall", berlin("30 * * * *")).await;
        let live = async |until: &str| {
            let until: Timestamp = until.parse().unwrap();
            while clock.source().now() < until {
                clock.advance(MINUTE * 10);
                fire(&t).await;
            }
        };
        live("2026-03-29T03:00:00Z").await;
        assert_eq!(firings(&t, "fixed").await, [json!(["01:00", "started", 0])], "02:30 is left out: at the change");
        assert_eq!(t.number("SELECT count(*) FROM schedule_firing").await, 1 + 15, "by the wall, each hour that there is");
        // Nothing of the summer is made up for.
        let fixed = |paused: bool| {
            hourly(json!({ "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "paused": paused, "misfire": { "limit": 9 } }))
        };
        publish(&t, "fixed", fixed(true)).await;
        clock.set("2026-10-24T12:00:00Z".parse::<Timestamp>().unwrap());
        publish(&t, "fixed", fixed(false)).await;
        live("2026-10-25T03:00:00Z").await;
        assert_eq!(firings(&t, "fixed").await[1..], [json!(["00:30", "started", 0])], "02:30 comes twice: at the first");
    }
}
