//! Running a helper process that may hang, flood or leave things behind, without any of it reaching us.
//!
//! It gets a session of its own and a mark in its environment; when its time is up, and also when it has ended, what
//! carries the mark or stayed in its group is killed. Output beyond the limit is dropped. Blocking: callers in async
//! code give it a thread of its own ([`in_thread`]), and not one of the runtime's, because the child is tied to the
//! life of the thread that started it.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::supervisor::{RUN_ID_VARIABLE, kill_leftovers};

/// How long what was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub timed_out: bool,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status.success() && !self.timed_out
    }

    /// The last lines that it said on stderr.
    pub fn stderr_tail(&self, lines: usize) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let from = all.len().saturating_sub(lines);
        all.get(from..).unwrap_or_default().join("\n")
    }

    /// How it ended, for a message.
    pub fn ending(&self) -> String {
        match (self.timed_out, self.status.code(), self.status.signal()) {
            (true, ..) => "took too long and was stopped".to_owned(),
            (false, Some(code), _) => format!("ended with exit code {code}"),
            (false, None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
        }
    }
}

/// Runs `command` for at most `limit`, keeping at most `max_output` bytes of each of its streams.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(mut command: Command, limit: Duration, max_output: usize) -> io::Result<Output> {
    let mark = format!("bounded-{}-{}", std::process::id(), unique());
    command.env(RUN_ID_VARIABLE, &mark);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tie_to_this_thread(&mut command);
    let mut child = command.spawn()?;
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let stdout = collect(child.stdout.take(), max_output);
    let stderr = collect(child.stderr.take(), max_output);

    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            timed_out = true;
            let _ = killpg(group, Signal::SIGKILL);
            break child.wait()?;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let _ = killpg(group, Signal::SIGKILL);
    let _ = kill_leftovers(&mark, None, None, PATIENCE);
    // Whoever held the pipes is gone.
    let stdout = stdout.recv_timeout(PATIENCE).unwrap_or_default();
    let stderr = stderr.recv_timeout(PATIENCE).unwrap_or_default();
    Ok(Output { status, stdout, stderr, timed_out })
}

/// Puts the child in a session of its own, and ends it when the calling thread ends.
pub(crate) fn tie_to_this_thread(command: &mut Command) {
    // SAFETY: runs in the forked child; `setsid` and `prctl` are async-signal-safe and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            set_pdeathsig(Signal::SIGKILL)?;
            Ok(())
        });
    }
}

/// Does blocking work in a thread of its own.
pub(crate) async fn in_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody listens when the caller was cancelled.
        let _ = sender.send(work());
    })?;
    receiver.await.map_err(|_| io::Error::other(format!("the thread {name} ended early")))
}

fn collect(stream: Option<impl Read + Send + 'static>, max: usize) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(max as u64).read_to_end(&mut kept);
            let _ = io::copy(&mut stream, &mut io::sink());
        }
        let _ = sender.send(kept);
    });
    receiver
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_hanging_helper_is_killed_with_what_it_started() {
        let output =
            run(shell("setsid sleep 3600 & echo $!; sleep 3600"), Duration::from_millis(200), 1000).unwrap();
        assert!(output.timed_out && !output.success());
        let daemon = String::from_utf8(output.stdout).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }

    #[test]
    fn a_flood_is_cut_and_a_daemon_that_holds_the_pipe_does_not_delay() {
        let script = "setsid sleep 3600 & head -c 300000 /dev/zero; echo last >&2; exit 3";
        let output = run(shell(script), Duration::from_secs(20), 1000).unwrap();
        assert_eq!((output.stdout.len(), output.status.code(), output.timed_out), (1000, Some(3), false));
        assert_eq!(output.stderr_tail(2), "last");
        assert_eq!(output.ending(), "ended with exit code 3");
    }
}
