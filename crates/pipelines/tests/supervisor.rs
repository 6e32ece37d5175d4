//! The supervisor with small real children: what must hold when things die at the worst moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "supervisor/support.rs"]
mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use qd_pipelines::supervisor::journal::{Body, Level, Stream, read_from};
use qd_pipelines::supervisor::{Supervised, SupervisorState, kill_leftovers, launch, probe, request_stop};
use support::{Attempt, is_alive, marked_by, until};

#[test]
fn output_events_and_the_end_are_in_the_journal_in_order() {
    let attempt = Attempt::new(
        r#"printf 'hello\nno newline'; echo 'ERROR: bad' >&2
           echo '{"type":"stages","stages":[{"id":"one","xenna_name":"Stage 00 - One"}]}' >&3
           echo '{"type":"log","t":17,"s":"stdout","l":"debug","st":"one","m":"told"}' >&3
           echo 'not json' >&3
           echo "$QD_RUN_ID $QD_ATTEMPT $GIVEN ${HOME-unset}" >&2
           exit 3"#,
    );
    attempt.start();
    let records = attempt.finished();
    let mut lines: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Log(line) => Some((line.stream, line.level, line.stage.as_deref(), line.text.as_str())),
            _ => None,
        })
        .collect();
    lines.sort_by_key(|line| line.3);
    let marks = format!("{} 1 yes unset", attempt.run_id());
    let unreadable = "an event of 8 bytes is not readable and was dropped: not json";
    let mut wanted = [
        (Stream::Stdout, Level::Info, None, "hello"),
        (Stream::Stdout, Level::Info, None, "no newline"),
        (Stream::Stderr, Level::Error, None, "ERROR: bad"),
        (Stream::Stdout, Level::Debug, Some("one"), "told"),
        (Stream::Stderr, Level::Info, None, marks.as_str()),
        (Stream::Driver, Level::Warning, None, unreadable),
    ];
    wanted.sort_by_key(|line| line.3);
    assert_eq!(lines, wanted);
    let end: Vec<_> = records.iter().rev().take(2).map(|record| record.body.clone()).collect();
    assert_eq!(end, [Body::Gone, Body::Exit { code: Some(3), signal: None, stopped: false }]);
    assert_eq!(attempt.state(), SupervisorState::Finished);
}

#[test]
fn a_stop_ends_daemons_that_left_the_session_within_ten_seconds() {
    let attempt = Attempt::python(
        r"
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for detached in (False, True):
    if os.fork() == 0:
        if detached:
            os.setsid()
        if os.fork() == 0:
            print('daemon', os.getpid(), flush=True)
            if detached:  # and without the run's mark: only its parents tell whose it is
                os.execve('/bin/sleep', ['sleep', '3600'], {})
            time.sleep(3600)
        os._exit(0)
print('ready', flush=True)
time.sleep(3600)
",
    )
    .grace_ms(300);
    attempt.start();
    attempt.until_lines(3);
    let daemons: Vec<i32> = attempt
        .lines()
        .iter()
        .filter_map(|line| line.strip_prefix("daemon ").and_then(|pid| pid.parse().ok()))
        .collect();
    assert_eq!(daemons.len(), 2);
    assert!(daemons.iter().all(|pid| is_alive(*pid)));

    let asked = Instant::now();
    assert!(request_stop(attempt.dir()).unwrap());
    let records = attempt.finished();
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(daemons.iter().all(|pid| !is_alive(*pid)), "a daemon is left");
    let exit = records.iter().find(|record| matches!(record.body, Body::Exit { .. })).unwrap();
    assert_eq!(exit.body, Body::Exit { code: None, signal: Some(9), stopped: true });
    assert!(!request_stop(attempt.dir()).unwrap(), "nobody is left to be asked");
}

#[test]
fn a_polite_runner_has_its_grace() {
    let attempt =
        Attempt::new("trap 'echo closing; exit 143' TERM; echo ready; while :; do sleep 0.05; done");
    attempt.start();
    attempt.until_lines(1);
    assert!(request_stop(attempt.dir()).unwrap());
    let records = attempt.finished();
    assert_eq!(attempt.lines(), ["ready", "closing"]);
    let exit = Body::Exit { code: Some(143), signal: None, stopped: true };
    assert!(records.iter().any(|record| record.body == exit));
}

#[test]
fn a_killed_runner_is_reported_at_once_and_its_descendants_end() {
    let attempt =
        Attempt::new("trap '' TERM; (setsid sleep 3600 & echo daemon $! ); echo runner $$; sleep 3600");
    attempt.start();
    attempt.until_lines(2);
    let runner = attempt.number_after("runner ");
    let killed = Instant::now();
    support::kill(runner, Signal::SIGKILL);
    let exit = Body::Exit { code: None, signal: Some(9), stopped: false };
    until("the exit is reported", || attempt.records().iter().any(|record| record.body == exit));
    assert!(killed.elapsed() < Duration::from_secs(2), "reported after {:?}", killed.elapsed());
    attempt.finished();
    assert!(support::marked_by(attempt.run_id()).is_empty());
}

#[test]
fn a_hundred_thousand_lines_arrive_exactly_and_never_torn() {
    let attempt = Attempt::python("import sys\nfor i in range(100000): print('line', i, 'x' * (i % 90))\n");
    attempt.start();
    let (mut offset, mut seen, mut n) = (0, 0, 0);
    loop {
        let page = read_from(&attempt.journal(), offset, 10_000).unwrap();
        assert_eq!(page.garbage, 0);
        offset = page.next_offset;
        for record in page.records {
            assert_eq!(record.n, n);
            n += 1;
            match record.body {
                Body::Log(line) => {
                    let wanted = format!("line {seen} {}", "x".repeat(seen % 90));
                    assert_eq!(line.text, wanted);
                    seen += 1;
                }
                Body::Gone => {
                    assert_eq!(seen, 100_000);
                    return;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_second_launch_adopts_and_a_later_one_finds_the_end() {
    let attempt = Attempt::new("echo once; while [ ! -e go ]; do sleep 0.02; done");
    let Supervised::Started { pid } = attempt.start() else { panic!("not started") };
    assert_eq!(attempt.start(), Supervised::Adopted { pid });
    // Also a supervisor that is started directly finds the lock taken.
    assert!(support::supervise(attempt.dir()).success());
    std::fs::write(attempt.dir().join("go"), "").unwrap();
    attempt.finished();
    assert_eq!(attempt.start(), Supervised::Finished);
    assert!(support::supervise(attempt.dir()).success());
    assert_eq!(attempt.lines(), ["once"]);
}

#[test]
fn the_supervisor_outlives_whoever_started_it() {
    let attempt = Attempt::new("echo begin; while [ ! -e go ]; do sleep 0.02; done; echo end");
    let mut server = support::launch_from_another_process(&attempt);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(matches!(attempt.state(), SupervisorState::Alive { .. }));
    std::fs::write(attempt.dir().join("go"), "").unwrap();
    attempt.finished();
    assert_eq!(attempt.lines(), ["begin", "end"]);
}

#[test]
fn a_dead_supervisor_is_seen_and_what_it_leaves_can_be_ended() {
    let attempt = Attempt::new("trap '' TERM; setsid sleep 3600 & echo ready; sleep 3600");
    let Supervised::Started { pid } = attempt.start() else { panic!("not started") };
    attempt.until_lines(1);
    support::kill(pid, Signal::SIGKILL);
    until("it is seen", || probe(attempt.dir()).unwrap() == SupervisorState::Dead);
    assert_eq!(attempt.start(), Supervised::Dead, "its runner may have had effects: never again");
    assert!(!support::marked_by(attempt.run_id()).is_empty());
    assert_eq!(kill_leftovers(attempt.run_id(), Some(7), None, Duration::from_secs(5)).unwrap(), 0);
    assert!(kill_leftovers(attempt.run_id(), None, None, Duration::from_secs(5)).unwrap() > 0);
    assert!(support::marked_by(attempt.run_id()).is_empty());
}

#[test]
fn what_hides_its_mark_is_found_by_the_folder_it_works_in() {
    let scratch = tempfile::Builder::new().prefix("qd-").tempdir_in("/tmp").unwrap();
    let script = format!(
        "trap '' TERM; env -i /bin/sh -c 'exec 9>{0}/held; while :; do sleep 0.1; done' & echo hidden $!; sleep 3600",
        scratch.path().display()
    );
    let attempt = Attempt::new(&script);
    let Supervised::Started { pid } = attempt.start() else { panic!("not started") };
    attempt.until_lines(1);
    let hidden = attempt.number_after("hidden ");
    until("it holds its file", || scratch.path().join("held").exists());
    support::kill(pid, Signal::SIGKILL);
    assert!(
        kill_leftovers(attempt.run_id(), None, Some(scratch.path()), Duration::from_secs(5)).unwrap() > 1
    );
    assert!(!is_alive(hidden));
}

#[test]
fn the_folder_of_the_runs_ray_goes_with_it_and_no_other() {
    let kept = tempfile::Builder::new().prefix("other-").tempdir_in("/tmp").unwrap();
    for (prefix, goes) in [("qd-", true), ("other-", false)] {
        let scratch = tempfile::Builder::new().prefix(prefix).tempdir_in("/tmp").unwrap();
        std::fs::write(scratch.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink(kept.path(), scratch.path().join("link")).unwrap();
        let script = format!("mkdir ray; echo {} > ray/temp_dir; kill -9 $$", scratch.path().display());
        let attempt = Attempt::new(&script);
        attempt.start();
        attempt.finished();
        assert_eq!(scratch.path().exists(), !goes, "{prefix}");
    }
    assert!(kept.path().exists());
}

#[test]
fn a_descendant_that_floods_the_pipe_does_not_delay_the_end() {
    let attempt =
        Attempt::new("yes flood & until grep -q 'log limit' journal.ndjson; do sleep 0.02; done; exit 0")
            .max_log_bytes(20_000);
    attempt.start();
    let records = attempt.finished();
    let exit = Body::Exit { code: Some(0), signal: None, stopped: false };
    assert!(records.iter().any(|record| record.body == exit));
    let notes: Vec<_> = attempt.lines().into_iter().filter(|line| line.contains("log l")).collect();
    assert!(notes.first().is_some_and(|note| note.starts_with("log limit reached")), "{notes:?}");
    assert!(notes.last().is_some_and(|note| note.ends_with("were dropped after the log limit")));
    assert!(std::fs::metadata(attempt.journal()).unwrap().len() < 30_000);
}

#[test]
fn a_runner_that_cannot_be_started_is_an_exit_and_a_bad_launch_an_error() {
    let attempt = Attempt::new("").argv(&["/nowhere/python", "-m", "x"]);
    attempt.start();
    let records = attempt.finished();
    assert!(attempt.lines().first().is_some_and(|line| line.contains("/nowhere/python")));
    assert!(matches!(records[records.len() - 2].body, Body::Exit { code: Some(127), .. }));

    let attempt = Attempt::new("");
    let program = qd_pipelines::supervisor::Program::supervise("/bin/false".into());
    let error = launch(attempt.dir(), attempt.launch(), &program).unwrap_err();
    assert!(error.to_string().contains("did not start"), "{error}");
    assert_eq!(attempt.state(), SupervisorState::NotStarted);
}

#[test]
fn terminal_signals_do_not_reach_it_but_its_runner_has_them() {
    let attempt = Attempt::python(
        "import signal\nprint([signal.getsignal(s) == signal.SIG_IGN for s in (signal.SIGHUP, signal.SIGINT)])\n\
         print(signal.pthread_sigmask(signal.SIG_BLOCK, []))\nimport time\nprint('ready', flush=True)\ntime.sleep(3600)",
    );
    let Supervised::Started { pid } = attempt.start() else { panic!("not started") };
    attempt.until_lines(3);
    assert_eq!(attempt.lines(), ["[False, False]", "set()", "ready"]);
    support::kill(pid, Signal::SIGHUP);
    support::kill(pid, Signal::SIGINT);
    assert!(request_stop(attempt.dir()).unwrap());
    let records = attempt.finished();
    let exit = Body::Exit { code: None, signal: Some(15), stopped: true };
    assert!(records.iter().any(|record| record.body == exit));
}

#[test]
fn on_a_full_disk_what_the_runner_left_is_ended_all_the_same() {
    let attempt = Attempt::new(
        r#"setsid sleep 3600 & echo "daemon $!"
           head -c 100000 /dev/zero | tr '\0' 'x' | fold -w 100"#,
    );
    attempt.start_on_a_full_disk(16);
    attempt.until_lines(1);
    until("no process of the run is left", || marked_by(attempt.run_id()).is_empty());
    let SupervisorState::Alive { pid } = attempt.state() else { panic!("it waits for room in the journal") };
    assert!(!is_alive(attempt.number_after("daemon ")));
    support::kill(pid, Signal::SIGKILL);
}
