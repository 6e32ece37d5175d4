//! What grows without end is cut at its age, and nothing younger.

use std::time::Duration;

use qd_core::state::RunState;
use qd_core::time::Timestamp;
use qd_kernel::engine::RunEnd;
use qd_kernel::retention::Swept;
use qd_testkit::engine::line;
use qd_testkit::{ManualClock, TestKernel, both_stores, eventually};
use serde_json::json;

const DAY: Duration = Duration::from_hours(24);

/// Ends a run now, by the test's clock, after it said one line now.
async fn say_and_end(t: &TestKernel, now: Timestamp) -> qd_kernel::runs::Run {
    let (_, run) = t.run("one").await;
    t.run_in(run.id, RunState::Running).await;
    let name = t.external(&run);
    t.engine.log(&name, [qd_kernel::engine::LogLine { at: now, ..line("hello") }]);
    t.engine.end_with(
        &name,
        RunEnd { state: RunState::Succeeded, code: None, message: None, exit_code: Some(0), at: now },
    );
    t.run_in(run.id, RunState::Succeeded).await
}

both_stores! {
    async fn what_is_old_goes_and_what_is_young_stays(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let source = clock.source();
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        let old = say_and_end(&t, source.now()).await;
        let (_, active) = t.run("one").await;
        t.run_in(active.id, RunState::Running).await;
        t.engine.log(&t.external(&active), [qd_kernel::engine::LogLine { at: source.now(), ..line("still here") }]);
        let lines = async |run| t.kernel.log_after(t.scope, run, Default::default(), 0, 10).await.unwrap().items.len();
        eventually("the line is stored", async || (lines(active.id).await == 1).then_some(())).await;
        t.kernel.owner_link().await.unwrap();
        let events = eventually("all jobs have ended, and all events have their positions", async || {
            let going = t.number("SELECT count(*) FROM job WHERE ended_at IS NULL").await;
            let waiting = match t.kernel.store.backend() {
                qd_kernel::store::Backend::Sqlite => 0,
                qd_kernel::store::Backend::Postgres => t.number("SELECT count(*) FROM event_outbox").await,
            };
            let head = t.kernel.events_head().await.unwrap();
            (going == 0 && waiting == 0).then_some(head)
        })
        .await;
        clock.advance(Duration::from_secs(60));
        assert_eq!(t.kernel.retention_sweep().await.unwrap(), Swept::default(), "nothing is old yet");

        clock.advance(DAY * 3);
        let keys = t.number("SELECT count(*) FROM idempotency").await;
        let swept = t.kernel.retention_sweep().await.unwrap();
        assert_eq!((swept.idempotency_keys as i64, swept.credentials), (keys, 1));
        assert_eq!((swept.log_chunks, swept.events), (0, 0));

        let young = say_and_end(&t, source.now()).await;
        clock.advance(DAY * 89);
        let swept = t.kernel.retention_sweep().await.unwrap();
        assert_eq!((swept.log_chunks, swept.events), (1, 0));
        assert_eq!((lines(old.id).await, lines(active.id).await, lines(young.id).await), (0, 1, 1));

        clock.advance(DAY * 90);
        let head = t.kernel.events_head().await.unwrap();
        let swept = t.kernel.retention_sweep().await.unwrap();
        assert_eq!((swept.log_chunks, swept.events as i64), (1, events));
        assert_eq!(swept.jobs, 3, "one to publish and two to start, and not the young one");
        assert_eq!(t.kernel.events_tail().await.unwrap(), events + 1);
        assert_eq!(t.kernel.events_head().await.unwrap(), head);
        assert_eq!(lines(active.id).await, 1, "the log of a run that has not ended stays, however old");
    }

    async fn a_retry_goes_on_counting_lines_that_are_gone(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let source = clock.source();
        let t = TestKernel::build().clock(&clock).on(&db).await;
        t.published("one", json!({})).await;
        let (_, run) = t.run("one").await;
        t.run_in(run.id, RunState::Running).await;
        let said = |text: &str| qd_kernel::engine::LogLine { at: source.now(), ..line(text) };
        t.engine.log(&t.external(&run), [said("one"), said("two")]);
        let at = source.now();
        t.engine.end_with(&t.external(&run), RunEnd { state: RunState::Failed, code: None, message: None, exit_code: None, at });
        t.run_in(run.id, RunState::Failed).await;
        clock.advance(DAY * 91);
        assert_eq!(t.kernel.retention_sweep().await.unwrap().log_chunks, 1);
        let (_, second) =
            t.kernel.run_retry(&t.context(), "one#1", String::new(), qd_testkit::kernel::key()).await.unwrap();
        t.run_in(run.id, RunState::Running).await;
        t.engine.log(&t.external(&second), [said("three")]);
        let lines = eventually("the line is stored", async || {
            let page = t.kernel.log_after(t.scope, run.id, Default::default(), 0, 10).await.unwrap();
            (!page.items.is_empty()).then_some(page.items)
        })
        .await;
        assert_eq!((lines[0].n, lines[0].text.as_str()), (3, "three"));
        let kept = t.number("SELECT CAST(SUM(bytes) AS BIGINT) FROM run_log").await;
        assert_eq!(t.number("SELECT log_bytes FROM run").await, kept);
    }

    async fn more_than_one_batch_goes_in_one_sweep(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let mut t = TestKernel::build().clock(&clock).idle().on(&db).await;
        let scope = t.scope;
        let at = clock.source().now();
        let written = t.kernel.store.write(move |tx| -> Result<(), qd_core::Error> {
            for n in 0..2500i64 {
                tx.exec_later(
                    "INSERT INTO idempotency (tenant_id, project_id, principal_id, key, fingerprint, job_id, created_at)
                     VALUES ($1, $1, $1, $2, '', $1, $3)",
                    qd_kernel::params![scope.tenant_id, n.to_string(), at],
                )?;
            }
            Ok(())
        });
        written.await.unwrap();
        clock.advance(DAY * 3);
        assert_eq!(t.kernel.retention_sweep().await.unwrap().idempotency_keys, 2500);
        t.start_tasks().await;
    }
}

#[tokio::test]
async fn an_idempotency_key_is_kept_for_a_day_at_least() {
    let db = qd_testkit::TestDatabase::sqlite().await;
    let options = qd_kernel::KernelOptions {
        idempotency_retention: Duration::from_hours(23),
        ..qd_kernel::KernelOptions::default()
    };
    let registry = qd_kernel::registry::Registry::default();
    let made =
        qd_kernel::Kernel::new(db.migrated().await, registry, qd_kernel::clock::system(), options).await;
    assert_eq!(made.err().unwrap().code, "retention_too_short");
}
