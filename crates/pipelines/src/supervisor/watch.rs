//! The supervisor's own loop: one runner, three pipes, a signal descriptor, and the end of everything.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};
use qd_kernel::clock::{Clock, System};

use super::identity::{IDENTITY_FILE, Identity, JOURNAL_FILE};
use super::journal::{Body, JournalWriter, Level};
use super::launching::{LAUNCH_FILE, Launch, write_atomically};
use super::processes::{descendants, marked, signal_each};
use super::scratch::remove_scratch;

mod runner;
mod source;

use source::Source;

/// How long what the runner leaves behind may take to end by itself, after SIGTERM.
const LINGER: Duration = Duration::from_millis(1_500);
/// Pause between two looks at what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// How long the two last records are tried on a journal that cannot be written.
const LAST_WORDS: Duration = Duration::from_secs(600);

/// Runs the supervisor of the attempt in `dir` until everything that it started is gone.
///
/// The whole body of the hidden `supervise` command: it must be called before any thread is started. It answers
/// 0 also when the attempt has (or had) its supervisor already, and 2 when it could not begin.
pub fn supervise(dir: &Path) -> ExitCode {
    match begin(dir) {
        Ok(Some(watch)) => {
            watch.run();
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            // The journal is not open yet: stderr is `supervisor.log`.
            let _ = writeln!(io::stderr(), "supervise {}: {error}", dir.display());
            ExitCode::from(2)
        }
    }
}

struct Watch {
    dir: PathBuf,
    launch: Launch,
    journal: JournalWriter<File>,
    signals: SignalFd,
    /// The runner's open pipes.
    sources: Vec<Source>,
    /// Xenna's stage names to the ids of the spec, as the runner tells them.
    stages: HashMap<String, String>,
    runner: Option<Pid>,
    stop: Option<Stop>,
    /// Held for life.
    _lock: Flock<File>,
}

#[derive(Clone, Copy)]
struct Stop {
    kill_at: Instant,
    killed: bool,
}

fn begin(dir: &Path) -> io::Result<Option<Watch>> {
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(dir.join("supervisor.lock"))
        .map_err(|error| explain("open supervisor.lock", &error))?;
    let lock = match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
        Err((_, error)) => return Err(explain("lock supervisor.lock", &error.into())),
    };
    if dir.join(IDENTITY_FILE).exists() {
        return Ok(None);
    }
    let launch = fs::read(dir.join(LAUNCH_FILE)).map_err(|error| explain("read launch.json", &error))?;
    let launch: Launch =
        serde_json::from_slice(&launch).map_err(|error| explain("read launch.json", &error.into()))?;
    let journal = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(dir.join(JOURNAL_FILE))
        .map_err(|error| explain("open the journal", &error))?;

    // Already so when `launch` started it; a supervisor started by hand leaves its terminal here.
    let _ = setsid();
    set_child_subreaper(true)?;
    let mut blocked = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT] {
        blocked.add(signal);
    }
    // Blocked and not ignored: what is ignored would stay ignored in the runner.
    blocked.thread_block()?;
    let signals = SignalFd::with_flags(&blocked, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;

    let identity = serde_json::to_vec(&Identity::of_this_process()?)?;
    write_atomically(dir, IDENTITY_FILE, &identity)
        .map_err(|error| explain("write supervisor.json", &error))?;
    runner::say_ready()?;

    let journal = JournalWriter::new(journal, launch.max_log_bytes, micros_since_1970);
    Ok(Some(Watch {
        dir: dir.to_owned(),
        launch,
        journal,
        signals,
        sources: Vec::new(),
        stages: HashMap::new(),
        runner: None,
        stop: None,
        _lock: lock,
    }))
}

impl Watch {
    fn run(mut self) {
        let exit = match runner::spawn(&self.launch) {
            Ok((pid, sources)) => {
                self.runner = Some(pid);
                self.sources = sources;
                self.until_runner_is_gone()
            }
            Err(error) => {
                let program = self.launch.argv.first().map_or("", String::as_str);
                self.journal
                    .note(Level::Error, format!("the runner {program:?} could not be started: {error}"));
                Body::Exit { code: Some(127), signal: None, stopped: false }
            }
        };
        self.drain_what_is_there();
        self.journal.close_logs();
        // Tried once: on a disk that stays full nothing that the runner left may wait for it.
        let said = self.journal.last(exit.clone());
        self.until_nothing_is_left();
        if let Err(error) = remove_scratch(&self.dir) {
            self.journal
                .note(Level::Warning, format!("the folder of the run's Ray could not be removed: {error}"));
        }
        for source in std::mem::take(&mut self.sources) {
            source.finish(&mut self.journal, &mut self.stages);
        }
        self.journal.close_logs();
        if !said {
            self.say_last(&exit);
        }
        self.say_last(&Body::Gone);
    }

    fn until_runner_is_gone(&mut self) -> Body {
        loop {
            let timeout = match self.stop {
                Some(Stop { killed: false, kill_at }) => {
                    Some(kill_at.saturating_duration_since(Instant::now()))
                }
                // Killed but not gone yet: something may have been started in between.
                Some(_) => Some(LOOK_AGAIN),
                None => None,
            };
            self.wait(timeout);
            self.take_signals();
            if let Some(exit) = self.reap() {
                return exit;
            }
            if let Some(stop) = &mut self.stop
                && Instant::now() >= stop.kill_at
            {
                stop.killed = true;
                signal_each(&descendants(Pid::this().as_raw()), Signal::SIGKILL);
            }
        }
    }

    /// Ends and reaps all that the runner left: politely first, unless its time was up already.
    fn until_nothing_is_left(&mut self) {
        let own = Pid::this().as_raw();
        let forced = self.stop.is_some_and(|stop| stop.killed);
        let kill_at = if forced { Instant::now() } else { Instant::now() + LINGER };
        if !forced {
            signal_each(&descendants(own), Signal::SIGTERM);
        }
        loop {
            let killing =
                Instant::now() >= kill_at || self.stop.is_some_and(|stop| Instant::now() >= stop.kill_at);
            let mut left = descendants(own);
            if left.is_empty() || killing {
                left.extend(marked(&self.launch.run_id, Some(self.launch.attempt)));
                left.retain(|process| process.pid != own);
            }
            if killing {
                signal_each(&left, Signal::SIGKILL);
            }
            self.reap();
            if left.is_empty() && !has_children() {
                return;
            }
            self.wait(Some(LOOK_AGAIN));
            self.take_signals();
        }
    }

    /// Sleeps until there is output, a signal, or the time is up; takes the output.
    fn wait(&mut self, timeout: Option<Duration>) {
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            // A millisecond more than asked, so that what was waited for is due afterwards.
            PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut watched: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
        watched.extend(self.sources.iter().map(AsFd::as_fd));
        let mut polled: Vec<PollFd<'_>> =
            watched.iter().map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN)).collect();
        if poll(&mut polled, timeout).is_err() {
            return;
        }
        let ready: Vec<bool> =
            polled.iter().skip(1).map(|descriptor| descriptor.any().unwrap_or(false)).collect();
        let mut ready = ready.into_iter();
        let (journal, stages) = (&mut self.journal, &mut self.stages);
        self.sources.retain_mut(|source| {
            let open = !ready.next().unwrap_or(false) || source.read_once(journal, stages).is_open();
            if !open {
                source.end(journal, stages);
            }
            open
        });
        self.journal.flush();
    }

    /// Takes what the runner had written before it was gone. Others may hold the pipes open, and go on writing:
    /// this takes no more than a pipe holds.
    fn drain_what_is_there(&mut self) {
        let (journal, stages) = (&mut self.journal, &mut self.stages);
        self.sources.retain_mut(|source| source.drain(journal, stages).is_open());
        self.journal.flush();
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 && self.stop.is_none() {
                let grace = Duration::from_millis(self.launch.grace_ms);
                self.stop = Some(Stop { kill_at: Instant::now() + grace, killed: false });
                if let Some(runner) = self.runner {
                    let _ = kill(runner, Signal::SIGTERM);
                }
            }
        }
    }

    /// Reaps every child that has ended; answers the runner's end when it is among them.
    fn reap(&mut self) -> Option<Body> {
        let mut exit = None;
        loop {
            let (pid, code, signal) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Some(code), None),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, None, Some(signal as i32)),
                Ok(WaitStatus::StillAlive) => return exit,
                Err(Errno::EINTR) | Ok(_) => continue,
                Err(_) => return exit,
            };
            if self.runner == Some(pid) {
                self.runner = None;
                exit = Some(Body::Exit { code, signal, stopped: self.stop.is_some() });
            }
        }
    }

    fn say_last(&mut self, body: &Body) {
        let deadline = Instant::now() + LAST_WORDS;
        while !self.journal.last(body.clone()) && Instant::now() < deadline {
            // A full disk: the pipes are still emptied and the dead reaped.
            self.wait(Some(Duration::from_millis(100)));
            self.take_signals();
            self.reap();
        }
    }
}

fn has_children() -> bool {
    !matches!(
        nix::sys::wait::waitid(
            nix::sys::wait::Id::All,
            WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT
        ),
        Err(Errno::ECHILD)
    )
}

fn explain(action: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{action}: {error}"))
}

fn micros_since_1970() -> i64 {
    System.now().micros()
}
