//! A run's log: numbered densely, each line once, read forwards, back and filtered, kept within its bound.

use qd_core::state::RunState;
use qd_core::time::Timestamp;
use qd_kernel::KernelOptions;
use qd_kernel::engine::{LogLevel, LogLine, LogStream};
use qd_kernel::logs::{LogFilter, LogRecord};
use qd_kernel::runs::Run;
use qd_testkit::engine::line;
use qd_testkit::kernel::key;
use qd_testkit::{TestKernel, both_stores, eventually};
use serde_json::json;

async fn running(t: &TestKernel) -> Run {
    t.published("one", json!({})).await;
    let (_, run) = t.run("one").await;
    t.run_in(run.id, RunState::Running).await
}

async fn last(t: &TestKernel, run: &Run, n: i64) {
    eventually(&format!("line {n} is stored"), async || {
        (t.kernel.log_after(t.scope, run.id, LogFilter::default(), n - 1, 1).await.unwrap().last >= n)
            .then_some(())
    })
    .await;
}

/// Pages forwards to the end.
async fn forwards(t: &TestKernel, run: &Run, filter: LogFilter, limit: u32) -> Vec<LogRecord> {
    let (mut all, mut after) = (vec![], 0);
    loop {
        let page = t.kernel.log_after(t.scope, run.id, filter.clone(), after, limit).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        all.extend(page.items);
        match page.next {
            Some(next) => {
                assert!(next > after, "a page goes on");
                after = next;
            }
            None => return all,
        }
    }
}

/// Pages back to the beginning; the result is in ascending order.
async fn back(t: &TestKernel, run: &Run, filter: LogFilter, limit: u32) -> Vec<LogRecord> {
    let (mut all, mut before) = (vec![], None);
    loop {
        let mut page = t.kernel.log_before(t.scope, run.id, filter.clone(), before, limit).await.unwrap();
        page.items.append(&mut all);
        all = page.items;
        match page.next {
            Some(next) => before = Some(next),
            None => return all,
        }
    }
}

fn numbers(lines: &[LogRecord]) -> Vec<i64> {
    lines.iter().map(|line| line.n).collect()
}

fn dense(from: i64, to: i64) -> Vec<i64> {
    (from..=to).collect()
}

both_stores! {
    async fn ten_thousand_lines_are_there_once_and_in_order(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        let name = t.external(&run);
        // In bursts of many sizes, so that chunks are merged, filled and cut.
        let (mut n, mut burst) = (0, 1);
        while n < 10_000 {
            let size = burst.min(10_000 - n);
            t.engine.log(&name, (n..n + size).map(|n| line(format!("line {} {}", n + 1, "x".repeat(n % 90)))));
            (n, burst) = (n + size, burst % 700 * 3 + 1);
            tokio::task::yield_now().await;
        }
        last(&t, &run, 10_000).await;
        for limit in [500, 333] {
            let all = forwards(&t, &run, LogFilter::default(), limit).await;
            assert_eq!(numbers(&all), dense(1, 10_000));
            assert!(all.iter().all(|line| line.text.starts_with(&format!("line {} ", line.n))));
        }
        assert_eq!(numbers(&back(&t, &run, LogFilter::default(), 500).await), dense(1, 10_000));
        let page = t.kernel.log_before(t.scope, run.id, LogFilter::default(), None, 3).await.unwrap();
        assert_eq!((numbers(&page.items), page.next, page.first, page.last), (dense(9998, 10_000), Some(9998), 1, 10_000));
        let chunks = t.number("SELECT count(*) FROM run_log").await;
        assert!(chunks < 100, "{chunks} chunks");
    }

    async fn a_log_that_grows_meanwhile_is_read_without_a_gap(db: TestDatabase) {
        const LINES: i64 = 4_000;
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        let (engine, name) = (t.engine.clone(), t.external(&run));
        let writer = tokio::spawn(async move {
            for start in (0..LINES).step_by(10) {
                engine.log(&name, (start..start + 10).map(|n| line(format!("line {n}"))));
                tokio::time::sleep(std::time::Duration::from_micros(200)).await;
            }
        });
        let mut read = 0;
        eventually("all lines are read", async || {
            let page = t.kernel.log_after(t.scope, run.id, LogFilter::default(), read, 500).await.unwrap();
            assert_eq!(numbers(&page.items), (read + 1..=read + page.items.len() as i64).collect::<Vec<_>>());
            read += page.items.len() as i64;
            if page.next.is_none() {
                assert!(page.last <= read, "what the page calls the newest line was read: {} > {read}", page.last);
            }
            (read == LINES).then_some(())
        })
        .await;
        writer.await.unwrap();
    }

    async fn a_slow_log_is_not_a_row_per_line(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        let name = t.external(&run);
        for n in 1..=30 {
            t.engine.log(&name, [line(format!("line {n}"))]);
            last(&t, &run, n).await;
        }
        assert_eq!(t.number("SELECT count(*) FROM run_log").await, 1);
        assert_eq!(t.number("SELECT lines FROM run_log").await, 30);
        assert_eq!(t.number("SELECT CAST(length(body) AS BIGINT) - bytes FROM run_log").await, 0);
        assert_eq!(numbers(&forwards(&t, &run, LogFilter::default(), 7).await), dense(1, 30));
    }

    async fn numbers_go_on_in_the_next_attempt(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        t.engine.log(&t.external(&run), (0..5).map(|n| line(format!("first {n}"))));
        t.engine.end(&t.external(&run), RunState::Failed);
        t.run_in(run.id, RunState::Failed).await;
        let (_, second) = t.kernel.run_retry(&t.context(), "one#1", String::new(), key()).await.unwrap();
        t.run_in(run.id, RunState::Running).await;
        t.engine.log(&t.external(&second), (0..5).map(|n| line(format!("second {n}"))));
        last(&t, &run, 10).await;
        let all = forwards(&t, &run, LogFilter::default(), 3).await;
        assert_eq!(numbers(&all), dense(1, 10));
        assert_eq!(all.iter().map(|line| line.attempt).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        let second = LogFilter { attempt: Some(2), ..LogFilter::default() };
        assert_eq!(numbers(&forwards(&t, &run, second.clone(), 2).await), dense(6, 10));
        assert_eq!(numbers(&back(&t, &run, second, 2).await), dense(6, 10));
    }

    async fn filters_find_what_matches_and_nothing_else(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error];
        let streams = [LogStream::Stdout, LogStream::Stderr, LogStream::Driver];
        let made = |n: usize| LogLine {
            at: Timestamp::from_micros(n as i64),
            stage: [None, Some("load"), Some("filter")][n % 3].map(str::to_owned),
            stream: streams[n / 3 % 3],
            level: levels[n % 4],
            text: format!("{} Straße of line {n} {}", if n.is_multiple_of(5) { "NEEDLE" } else { "hay" }, "x".repeat(500)),
        };
        let all: Vec<LogLine> = (0..600).map(made).collect();
        t.engine.log(&t.external(&run), all.clone());
        last(&t, &run, 600).await;
        let wanted = |keep: &dyn Fn(&LogLine) -> bool| -> Vec<i64> {
            all.iter().zip(1..).filter(|(line, _)| keep(line)).map(|(_, n)| n).collect()
        };
        let none = LogFilter::default;
        let level = LogFilter { level: Some(LogLevel::Warning), ..none() };
        let stage = LogFilter { stage: Some("load".into()), ..none() };
        let stream = LogFilter { stream: Some(LogStream::Driver), ..none() };
        let text = LogFilter { text: Some("needle STRASSE".replace("SS", "ß")), ..none() };
        let both = LogFilter { stage: Some("filter".into()), level: Some(LogLevel::Error), ..none() };
        let nothing = LogFilter { stage: Some("loa".into()), ..none() };
        let cases: [(LogFilter, Vec<i64>); 6] = [
            (level, wanted(&|line| line.level >= LogLevel::Warning)),
            (stage, wanted(&|line| line.stage.as_deref() == Some("load"))),
            (stream, wanted(&|line| line.stream == LogStream::Driver)),
            (text, wanted(&|line| line.text.starts_with("NEEDLE"))),
            (both, wanted(&|line| line.stage.as_deref() == Some("filter") && line.level == LogLevel::Error)),
            (nothing, vec![]),
        ];
        for (filter, wanted) in cases {
            assert_eq!(numbers(&forwards(&t, &run, filter.clone(), 17).await), wanted, "{filter:?}");
            assert_eq!(numbers(&back(&t, &run, filter.clone(), 17).await), wanted, "back {filter:?}");
        }
        let first = &forwards(&t, &run, none(), 1).await[0];
        assert_eq!((first.stream, first.level, first.stage.as_deref(), first.at.micros()), ("stdout", "debug", None, 0));
    }

    async fn a_log_larger_than_one_look_is_read_on_without_repeating(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        let big = "y".repeat(5000);
        for round in 0..10 {
            let mark = |n: i64| if n % 3 == 0 { "marked" } else { "plain" };
            let lines = (round * 250 + 1..=round * 250 + 250).map(|n| line(format!("{n} {} {big}", mark(n))));
            t.engine.log(&t.external(&run), lines);
        }
        last(&t, &run, 2500).await;
        let text = |text: &str| LogFilter { text: Some(text.into()), ..LogFilter::default() };
        let marked: Vec<i64> = (1..=2500).filter(|n| n % 3 == 0).collect();
        let cases = [(LogFilter::default(), dense(1, 2500)), (text("marked"), marked), (text("2500 plain"), vec![2500])];
        for (filter, wanted) in cases {
            assert_eq!(numbers(&forwards(&t, &run, filter.clone(), 5000).await), wanted);
            assert_eq!(numbers(&back(&t, &run, filter, 5000).await), wanted);
        }
    }

    async fn a_log_beyond_its_bound_keeps_its_newest_lines_and_their_numbers(db: TestDatabase) {
        let mut build = TestKernel::build();
        build.options = KernelOptions { max_log_bytes: 300_000, ..KernelOptions::default() };
        let t = build.on(&db).await;
        let run = running(&t).await;
        for round in 0..20 {
            t.engine.log(&t.external(&run), (0..100).map(|n| line(format!("{} {}", round * 100 + n + 1, "z".repeat(400)))));
            last(&t, &run, (round + 1) * 100).await;
        }
        let bytes = t.number("SELECT CAST(SUM(bytes) AS BIGINT) FROM run_log").await;
        assert!(bytes <= 300_000, "{bytes} bytes");
        let page = t.kernel.log_after(t.scope, run.id, LogFilter::default(), 0, 500).await.unwrap();
        assert!(page.first > 1 && page.last == 2000, "{} to {}", page.first, page.last);
        let kept = forwards(&t, &run, LogFilter::default(), 100).await;
        assert_eq!(numbers(&kept), dense(page.first, 2000));
        assert!(kept.iter().all(|line| line.text.starts_with(&format!("{} z", line.n))));
        assert!(bytes > 200_000, "no more is dropped than must be: {bytes} bytes");
    }

    async fn text_that_databases_dislike_comes_back_as_it_was(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        let texts = ["a\u{0}b", "line\nbreak\r\n", "\u{1b}[31mred\u{1b}[0m", "\u{2028}", "", "\"quoted\" \\", "🦀"];
        t.engine.log(&t.external(&run), texts.map(line));
        last(&t, &run, texts.len() as i64).await;
        let all = forwards(&t, &run, LogFilter::default(), 100).await;
        assert_eq!(all.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), texts);
    }

    async fn a_run_without_a_line_has_an_empty_log(db: TestDatabase) {
        let t = TestKernel::start(&db).await;
        let run = running(&t).await;
        let page = t.kernel.log_after(t.scope, run.id, LogFilter::default(), 0, 10).await.unwrap();
        assert_eq!((page.items.len(), page.next, page.first, page.last), (0, None, 0, 0));
        let info = t.kernel.run_log_info(t.scope, "one#1").await.unwrap();
        assert_eq!((info.id, info.ended), (run.id, false));
    }
}
