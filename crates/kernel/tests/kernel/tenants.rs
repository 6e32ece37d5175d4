//! Tenants: what a suspended one does and does not.

use std::time::Duration;

use qd_core::state::{JobState, RunState};
use qd_kernel::access::PLATFORM_ADMIN;
use qd_kernel::context::{Context, Scope};
use qd_kernel::operation::Outcome;
use qd_kernel::params;
use qd_kernel::schedules::SCHEDULE;
use qd_kernel::store::StoreResult;
use qd_kernel::tenants::admin::{Patch, TenantState};
use qd_testkit::kernel::key;
use qd_testkit::sample::document_of;
use qd_testkit::scripted::Scripted;
use qd_testkit::{ManualClock, TestKernel, both_stores, eventually};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_hours(1);

fn admin(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

/// Makes a tenant, and lets the test go on in it.
async fn moved_into(t: &mut TestKernel, name: &str) {
    t.kernel.tenant_create(&admin(t), name, "").await.unwrap();
    t.scope = t.kernel.scope_find(Some(name), None).await.unwrap().scope;
}

async fn set(t: &TestKernel, name: &str, version: i64, state: TenantState) {
    let patch = Patch { state: Some(state), ..Patch::default() };
    t.kernel.tenant_update(&admin(t), name, version, patch).await.unwrap();
}

async fn schedule(t: &TestKernel, name: &str, policy: &str) {
    let spec = json!({
        "cron": "0 * * * *", "target": { "kind": "Sample", "name": "one" }, "misfire": { "policy": policy },
    });
    let documents = vec![document_of(SCHEDULE, name, spec)];
    let (_, job) = t.kernel.apply(&t.context(), documents, String::new(), Some(key())).await.unwrap();
    assert_eq!(t.job_ended(job.unwrap().id).await.state, JobState::Succeeded);
}

/// `[schedule, outcome, missed]` of each firing in the tenant.
async fn firings(t: &TestKernel) -> Vec<Value> {
    let tenant = t.scope.tenant_id;
    let read = t.kernel.store.read(move |tx| -> StoreResult<Vec<Value>> {
        let sql = "SELECT r.name, f.outcome, f.missed FROM schedule_firing f JOIN resource r ON r.id = f.resource_id
          WHERE r.tenant_id = $1 ORDER BY r.name, f.due_at";
        tx.rows(sql, params![tenant], |row| {
            Ok(json!([row.get::<String>(0)?, row.get::<String>(1)?, row.get::<i64>(2)?]))
        })
    });
    read.await.unwrap()
}

async fn settled(t: &TestKernel) {
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

both_stores! {
    async fn a_suspended_tenants_schedules_rest_and_decide_by_their_policy_when_it_is_readmitted(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let mut t = TestKernel::build().clock(&clock).on(&db).await;
        moved_into(&mut t, "acme").await;
        t.enrol("tester", PLATFORM_ADMIN).await;
        t.published("one", json!({})).await;
        schedule(&t, "once", "run_once").await;
        schedule(&t, "skips", "skip").await;
        set(&t, "acme", 1, TenantState::Suspended).await;
        clock.advance(HOUR * 3 + Duration::from_mins(5));
        settled(&t).await;
        assert_eq!(firings(&t).await, Vec::<Value>::new());
        set(&t, "acme", 2, TenantState::Active).await;
        settled(&t).await;
        assert_eq!(firings(&t).await, [json!(["once", "started", 2]), json!(["skips", "skipped", 2])]);
        clock.advance(Duration::from_mins(55));
        settled(&t).await;
        let next = [json!(["once", "started", 2]), json!(["once", "started", 0]), json!(["skips", "skipped", 2]), json!(["skips", "started", 0])];
        assert_eq!(firings(&t).await, next, "they go on");
    }

    async fn a_suspended_tenants_jobs_are_held_and_its_runs_go_on(db: TestDatabase) {
        let mut t = TestKernel::build().scripted(Scripted::new(|_| async { Outcome::done(Value::Null) })).on(&db).await;
        let default = t.scope;
        moved_into(&mut t, "acme").await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        let run = t.run_in(run.id, RunState::Running).await;
        set(&t, "acme", 1, TenantState::Suspended).await;
        let held = t.job(&["a"]).await;
        let acme = std::mem::replace(&mut t.scope, default);
        let other = t.job(&["a"]).await;
        assert_eq!(t.job_ended(other).await.state, JobState::Succeeded, "other tenants' go on");
        t.scope = acme;
        t.engine.end(&t.external(&run), RunState::Succeeded);
        t.run_in(run.id, RunState::Succeeded).await;
        let job = t.job_now(held).await;
        assert_eq!((job.state, job.started_at), (JobState::Queued, None));
        let said = t.kernel.explain(&t.context(), &format!("jobs/{held}")).await.unwrap();
        assert!(said.sentence.ends_with("Its tenant is suspended: it goes on when the tenant is readmitted."), "{}", said.sentence);
        set(&t, "acme", 2, TenantState::Active).await;
        assert_eq!(t.job_ended(held).await.state, JobState::Succeeded);
    }
}
