//! Logs that are kept outside the database: the same lines, numbers and bounds, and none lost while their place is away.

use std::fs;
use std::path::Path;
use std::time::Duration;

use qd_core::state::RunState;
use qd_core::time::Timestamp;
use qd_kernel::engine::{LogLine, RunEnd};
use qd_kernel::logs::{LogFilter, LogRecord};
use qd_kernel::runs::Run;
use qd_testkit::engine::line;
use qd_testkit::{ManualClock, S3, TestDatabase, TestKernel, both_stores, eventually};
use serde_json::json;
use tempfile::TempDir;

const LINES: usize = 5000;

async fn running(t: &TestKernel) -> Run {
    t.published("one", json!({})).await;
    let (_, run) = t.run("one").await;
    t.run_in(run.id, RunState::Running).await
}

/// In bursts of many sizes, so that chunks are merged, filled and cut.
async fn say(t: &TestKernel, run: &Run, from: usize, to: usize) {
    let (mut n, mut burst) = (from, 1);
    while n < to {
        let size = burst.min(to - n);
        t.engine.log(
            &t.external(run),
            (n..n + size).map(|n| line(format!("line {} {}", n + 1, "x".repeat(n % 90)))),
        );
        (n, burst) = (n + size, burst % 300 * 3 + 1);
        tokio::task::yield_now().await;
    }
    eventually("all lines are stored", async || {
        let page = t.kernel.log_after(t.scope, run.id, LogFilter::default(), to as i64, 1).await;
        (page.ok()?.last == to as i64).then_some(())
    })
    .await;
}

async fn all(t: &TestKernel, run: &Run) -> Vec<LogRecord> {
    let (mut all, mut after) = (vec![], 0);
    loop {
        let page = t.kernel.log_after(t.scope, run.id, LogFilter::default(), after, 700).await.unwrap();
        all.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => return all,
        }
    }
}

fn check(lines: &[LogRecord], from: i64, to: i64) {
    assert_eq!(lines.iter().map(|line| line.n).collect::<Vec<_>>(), (from..=to).collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line.text.starts_with(&format!("line {} ", line.n))));
}

/// Waits until no line is left in the database.
async fn moved(t: &TestKernel) {
    eventually("every chunk has moved", async || {
        let here = t.number("SELECT count(*) FROM run_log WHERE object IS NULL OR body <> ''").await;
        (here == 0 && t.number("SELECT count(*) FROM run_log").await > 0).then_some(())
    })
    .await;
}

/// Files below a folder.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

async fn lives_elsewhere(db: &TestDatabase, url: &str) {
    let t = TestKernel::build().log_store(url).on(db).await;
    let run = running(&t).await;
    say(&t, &run, 0, LINES).await;
    // Also while the newest chunk still takes lines.
    check(&all(&t, &run).await, 1, LINES as i64);
    t.engine.end(&t.external(&run), RunState::Failed);
    t.run_in(run.id, RunState::Failed).await;
    moved(&t).await;
    check(&all(&t, &run).await, 1, LINES as i64);
    let needle = LogFilter { text: Some("LINE 4321 ".into()), ..LogFilter::default() };
    let found = t.kernel.log_after(t.scope, run.id, needle.clone(), 0, 5).await.unwrap();
    assert_eq!(found.items.iter().map(|line| line.n).collect::<Vec<_>>(), [4321]);
    let found = t.kernel.log_before(t.scope, run.id, needle, None, 5).await.unwrap();
    assert_eq!(found.items.iter().map(|line| line.n).collect::<Vec<_>>(), [4321]);
    let newest = t.kernel.log_before(t.scope, run.id, LogFilter::default(), None, 3).await.unwrap();
    check(&newest.items, LINES as i64 - 2, LINES as i64);
    assert_eq!((newest.first, newest.last, newest.next), (1, LINES as i64, Some(LINES as i64 - 2)));
}

both_stores! {
    async fn a_log_in_a_folder_is_read_as_one_in_the_database(db: TestDatabase) {
        let folder = TempDir::new().unwrap();
        lives_elsewhere(&db, &format!("file://{}", folder.path().display())).await;
        assert!(files(folder.path()) > 5);
    }

    async fn while_the_place_is_away_no_line_is_lost(db: TestDatabase) {
        let folder = TempDir::new().unwrap();
        let place = folder.path().join("logs");
        let t = TestKernel::build().log_store(&format!("file://{}", place.display())).on(&db).await;
        // Something that is no folder stands in its place.
        fs::remove_dir(&place).unwrap();
        fs::write(&place, "").unwrap();
        let run = running(&t).await;
        say(&t, &run, 0, LINES).await;
        let why = eventually("it is said why", async || t.kernel.log_place.as_ref().unwrap().problem()).await;
        assert!(why.contains("Not a directory"), "{why}");
        check(&all(&t, &run).await, 1, LINES as i64);
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        t.engine.end(&t.external(&run), RunState::Failed);
        t.run_in(run.id, RunState::Failed).await;
        moved(&t).await;
        assert_eq!(t.kernel.log_place.as_ref().unwrap().problem(), None);
        check(&all(&t, &run).await, 1, LINES as i64);
    }

    async fn what_a_run_says_after_a_retry_stays_where_its_old_log_is_removed(db: TestDatabase) {
        let (clock, folder) = (ManualClock::new(1), TempDir::new().unwrap());
        let t = TestKernel::build().clock(&clock).log_store(&format!("file://{}", folder.path().display())).on(&db).await;
        let place = t.kernel.log_place.clone().unwrap();
        let failed = || RunEnd { state: RunState::Failed, code: None, message: None, exit_code: None, at: clock.source().now() };
        let run = running(&t).await;
        t.engine.log(&t.external(&run), [LogLine { at: clock.source().now(), ..line("the first attempt") }]);
        t.engine.end_with(&t.external(&run), failed());
        t.run_in(run.id, RunState::Failed).await;
        moved(&t).await;
        clock.advance(Duration::from_hours(24 * 91));
        assert_eq!(t.kernel.retention_sweep().await.unwrap().log_chunks, 1);
        let (_, second) =
            t.kernel.run_retry(&t.context(), &run.run_ref, String::new(), qd_testkit::kernel::key()).await.unwrap();
        t.run_in(run.id, RunState::Running).await;
        t.engine.log(&t.external(&second), [LogLine { at: clock.source().now(), ..line("the second attempt") }]);
        t.engine.end_with(&t.external(&second), failed());
        t.run_in(run.id, RunState::Failed).await;
        clock.advance(Duration::from_secs(120));
        while t.kernel.logs_ship(&place).await.unwrap() {}
        assert_eq!(t.number("SELECT count(*) FROM log_garbage").await, 0);
        let log: Vec<String> = all(&t, &run).await.into_iter().map(|record| record.text).collect();
        assert_eq!(log, ["the second attempt"]);
        assert_eq!(files(folder.path()), 2, "what is left of the first attempt goes with the second's");
    }

    async fn what_the_index_lets_go_is_removed_from_its_place(db: TestDatabase) {
        let (clock, folder) = (ManualClock::new(1), TempDir::new().unwrap());
        let mut build = TestKernel::build().clock(&clock).log_store(&format!("file://{}", folder.path().display()));
        build.options.max_log_bytes = 200 * 1024;
        let t = build.on(&db).await;
        let place = t.kernel.log_place.clone().unwrap();
        let run = running(&t).await;
        let now = clock.source().now();
        let padding = "x".repeat(1000);
        // Moved as they come, so that what is trimmed has moved before.
        for n in 0..10 {
            t.engine.log(&t.external(&run), (0..100).map(|i| LogLine { at: now, ..line(format!("line {} {padding}", n * 100 + i + 1)) }));
            eventually("the lines are stored", async || {
                (t.number("SELECT log_lines FROM run").await >= (n + 1) * 100).then_some(())
            })
            .await;
            while t.kernel.logs_ship(&place).await.unwrap() {}
        }
        let kept = all(&t, &run).await;
        let first = kept[0].n;
        assert!(first > 500, "from {first} on");
        check(&kept, first, 1000);
        t.engine.end_with(&t.external(&run), RunEnd { state: RunState::Succeeded, code: None, message: None, exit_code: Some(0), at: now });
        t.run_in(run.id, RunState::Succeeded).await;
        moved(&t).await;
        let garbage = t.number("SELECT count(*) FROM log_garbage").await;
        assert_eq!(files(folder.path()) as i64, t.number("SELECT count(*) FROM run_log").await + garbage, "readers may hold it");
        assert!(garbage > 0);
        clock.advance(Duration::from_secs(120));
        while t.kernel.logs_ship(&place).await.unwrap() {}
        assert_eq!(files(folder.path()) as i64, t.number("SELECT count(*) FROM run_log").await);

        // With the last of a run's chunks goes all that it has there, also what no index ever knew.
        let stray = folder.path().join(run.id.to_string()).join("000000099999");
        fs::write(stray, "a crash left it").unwrap();
        clock.advance(Duration::from_hours(24 * 91));
        assert!(t.kernel.retention_sweep().await.unwrap().log_chunks > 0);
        clock.advance(Duration::from_secs(120));
        while t.kernel.logs_ship(&place).await.unwrap() {}
        assert_eq!(files(folder.path()), 0);
        assert_eq!(t.number("SELECT count(*) FROM log_garbage").await, 0);
    }
}

/// Against a stand-in for S3 (moto).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_an_s3_bucket_is_read_as_one_in_the_database() {
    let Some(s3) = S3::start() else { return };
    lives_elsewhere(&TestDatabase::sqlite().await, &s3.url()).await;
}

/// Against a stand-in for S3 (moto).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_followed_in_one_process_while_another_observes_and_moves_it() {
    let Some(s3) = S3::start() else { return };
    let db = TestDatabase::postgres().await;
    let observing = TestKernel::build().log_store(&s3.url()).on(&db).await;
    let run = running(&observing).await;
    let mut build = TestKernel::build().log_store(&s3.url());
    build.options.roles = "api".parse().unwrap();
    let reading = build.on(&db).await;
    let writing = async {
        for n in 0..20 {
            say(&observing, &run, n * 200, (n + 1) * 200).await;
        }
        observing.engine.end(&observing.external(&run), RunState::Succeeded);
    };
    let following = async {
        let mut seen: Vec<LogRecord> = vec![];
        eventually("all lines are followed", async || {
            let after = seen.last().map_or(0, |line| line.n);
            let page = reading
                .kernel
                .log_after(reading.scope, run.id, LogFilter::default(), after, 150)
                .await
                .unwrap();
            seen.extend(page.items);
            (seen.len() == 4000).then_some(())
        })
        .await;
        seen
    };
    let ((), seen) = tokio::join!(writing, following);
    check(&seen, 1, 4000);
    moved(&observing).await;
    check(&all(&reading, &run).await, 1, 4000);
    assert!(seen.iter().all(|line| line.at == Timestamp::EPOCH));
}
