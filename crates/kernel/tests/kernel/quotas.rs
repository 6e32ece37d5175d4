//! Quotas: what would exceed one is refused, waits or is not kept, also where many come at once; and what is used is counted right.

use std::time::Duration;

use futures::future::join_all;
use qd_core::error::Result;
use qd_core::state::{JobState, ResourceState, RunState};
use qd_kernel::access::PLATFORM_ADMIN;
use qd_kernel::context::{Context, Scope};
use qd_kernel::engine::{LogLine, RunEnd};
use qd_kernel::logs::LogFilter;
use qd_kernel::quotas::{Limits, Quota, Quotas};
use qd_kernel::runs::Run;
use qd_testkit::engine::line;
use qd_testkit::sample::document;
use qd_testkit::{ManualClock, TestKernel, both_stores, eventually};
use serde_json::json;

const WRITERS: usize = 16;

fn platform(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

fn of_tenant(t: &TestKernel) -> Context {
    Context { scope: t.scope.of_tenant(), ..t.context() }
}

async fn tenant(t: &TestKernel, version: i64, limits: Limits) -> Result<Quotas> {
    t.kernel.tenant_quotas_set(&platform(t), "default", version, limits).await
}

async fn project(t: &TestKernel, version: i64, limits: Limits) -> Result<Quotas> {
    t.kernel.project_quotas_set(&of_tenant(t), "default", version, limits).await
}

async fn used(t: &TestKernel) -> Quotas {
    let of_tenant = t.kernel.tenant_quotas(&of_tenant(t), "default").await.unwrap();
    let of_project = t.kernel.project_quotas(&self::of_tenant(t), "default").await.unwrap();
    let usage = |q: &Quotas| (q.resources.usage, q.active_runs.usage, q.log_bytes.usage);
    assert_eq!(usage(&of_tenant), usage(&of_project), "all is in one project");
    of_project
}

async fn create(t: &TestKernel, name: &str) -> Result<()> {
    t.kernel.resource_create(&t.context(), &*t.sample(), document(name, json!({}))).await.map(drop)
}

async fn set_state(t: &TestKernel, name: &str, to: ResourceState) -> Result<()> {
    t.kernel.resource_set_state(&t.context(), &*t.sample(), name, None, to).await.map(drop)
}

fn resources(limit: i64) -> Limits {
    Limits { resources: Some(limit), ..Limits::default() }
}

fn log_bytes(limit: i64) -> Limits {
    Limits { log_bytes: Some(limit), ..Limits::default() }
}

async fn texts(t: &TestKernel, run: &Run) -> Vec<String> {
    let page = t.kernel.log_after(t.scope, run.id, LogFilter::default(), 0, 1000).await.unwrap();
    page.items.into_iter().map(|line| line.text).collect()
}

both_stores! {
    async fn a_resource_too_many_is_refused_and_says_why(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let set = tenant(&t, 0, resources(2)).await.unwrap();
        assert_eq!((set.resources, set.version), (Quota { limit: Some(2), usage: 0 }, 1));
        assert_eq!(tenant(&t, 0, resources(3)).await.unwrap_err().code, "stale_version");
        assert_eq!(tenant(&t, 1, resources(-1)).await.unwrap_err().code, "bad_quota");
        assert_eq!(project(&t, 0, resources(3)).await.unwrap_err().code, "quota_above_tenants");
        create(&t, "one").await.unwrap();
        create(&t, "two").await.unwrap();
        let refused = create(&t, "three").await.unwrap_err();
        assert_eq!(refused.code, "quota_exceeded");
        assert!(refused.detail.starts_with("the tenant may have 2 resources and has 2;"), "{}", refused.detail);
        assert_eq!(refused.violations[0].pointer, "/quotas/tenant/resources");
        // What is archived does not count, and counts again.
        set_state(&t, "one", ResourceState::Archived).await.unwrap();
        create(&t, "three").await.unwrap();
        assert_eq!(set_state(&t, "one", ResourceState::Active).await.unwrap_err().code, "quota_exceeded");
        let applied = t.kernel.apply(&t.context(), vec![document("four", json!({}))], String::new(), None).await;
        assert_eq!(applied.unwrap_err().code, "quota_exceeded");
        project(&t, 0, resources(1)).await.unwrap();
        tenant(&t, 1, Limits::default()).await.unwrap();
        let refused = create(&t, "four").await.unwrap_err();
        assert!(refused.detail.starts_with("the project may have 1 resources and has 2;"), "{}", refused.detail);
        project(&t, 1, Limits::default()).await.unwrap();
        create(&t, "four").await.unwrap();
        assert_eq!(used(&t).await.resources, Quota { limit: None, usage: 3 });
        let records = t.number("SELECT count(*) FROM audit WHERE action IN ('tenants.limit', 'projects.limit')").await;
        assert_eq!(records, 4);
    }

    async fn sixteen_writers_at_once_do_not_get_past_a_quota(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        tenant(&t, 0, resources(5)).await.unwrap();
        project(&t, 0, resources(5)).await.unwrap();
        let names: Vec<String> = (0..WRITERS).map(|n| format!("s-{n}")).collect();
        let made = join_all(names.iter().map(|name| create(&t, name))).await;
        let refused: Vec<&str> = made.iter().filter_map(|made| Some(made.as_ref().err()?.code)).collect();
        assert_eq!(refused, vec!["quota_exceeded"; WRITERS - 5]);
        assert_eq!(used(&t).await.resources.usage, 5);
    }

    async fn runs_over_a_quota_wait_for_a_slot(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        t.published("two", json!({})).await;
        tenant(&t, 0, Limits { active_runs: Some(1), ..Limits::default() }).await.unwrap();
        let first = t.run("one").await.1;
        t.run_in(first.id, RunState::Running).await;
        let second = t.run("two").await.1;
        let said = eventually("it waits", async || {
            let job = t.job_now(second.job_id).await;
            job.waiting_for.filter(|_| job.state == JobState::Waiting)
        })
        .await;
        assert_eq!(said, "a slot of the quota of the tenant, which allows 1 active run: 1 active");
        assert_eq!(used(&t).await.active_runs.usage, 1);
        t.engine.end(&t.external(&first), RunState::Succeeded);
        t.run_in(second.id, RunState::Running).await;
        // A limit that is taken away holds nobody any more.
        let third = t.run("one").await.1;
        t.job_in(third.job_id, JobState::Waiting).await;
        tenant(&t, 1, Limits::default()).await.unwrap();
        t.run_in(third.id, RunState::Running).await;
        assert_eq!(used(&t).await.active_runs.usage, 2);
    }

    async fn lines_over_a_quota_are_not_kept_and_the_run_goes_on(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        t.published("one", json!({})).await;
        project(&t, 0, log_bytes(200)).await.unwrap();
        let run = t.run("one").await.1;
        let run = t.run_in(run.id, RunState::Running).await;
        t.engine.log(&t.external(&run), (0..20).map(|n| line(format!("line {n}"))));
        let kept = eventually("it is said", async || {
            let kept = texts(&t, &run).await;
            kept.last().is_some_and(|last| last.starts_with("further lines")).then_some(kept)
        })
        .await;
        let (said, lines) = kept.split_last().unwrap();
        let wanted: Vec<String> = (0..lines.len()).map(|n| format!("line {n}")).collect();
        assert_eq!((lines, lines.len() > 1 && lines.len() < 10), (&wanted[..], true));
        assert_eq!(said, "further lines of this attempt are not kept: the project may keep 200 bytes of logs and has 0");
        t.engine.log(&t.external(&run), [line("later")]);
        t.engine.end(&t.external(&run), RunState::Succeeded);
        t.run_in(run.id, RunState::Succeeded).await;
        assert_eq!(texts(&t, &run).await.len(), kept.len(), "once");
        assert_eq!(used(&t).await.log_bytes.usage, t.number("SELECT CAST(sum(bytes) AS BIGINT) FROM run_log").await);
    }

    async fn the_bytes_of_logs_are_counted_as_they_come_and_go(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let now = clock.source().now();
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        let started = join_all((0..WRITERS).map(|_| t.run("one"))).await;
        let mut runs = vec![];
        for (_, run) in started {
            runs.push(t.run_in(run.id, RunState::Running).await);
        }
        for round in 0..5 {
            for run in &runs {
                t.engine.log(&t.external(run), [LogLine { at: now, ..line(format!("round {round}")) }]);
            }
        }
        for run in &runs {
            let end = RunEnd { state: RunState::Succeeded, code: None, message: None, exit_code: Some(0), at: now };
            t.engine.end_with(&t.external(run), end);
        }
        for run in &runs {
            t.run_in(run.id, RunState::Succeeded).await;
            assert_eq!(texts(&t, run).await.len(), 5);
        }
        let kept = t.number("SELECT CAST(sum(bytes) AS BIGINT) FROM run_log").await;
        assert_eq!(used(&t).await.log_bytes, Quota { limit: None, usage: kept });
        clock.advance(Duration::from_hours(24 * 100));
        t.kernel.retention_sweep().await.unwrap();
        assert_eq!((t.number("SELECT count(*) FROM run_log").await, used(&t).await.log_bytes.usage), (0, 0));
    }
}
