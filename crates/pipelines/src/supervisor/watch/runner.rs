//! Starting the runner: its pipes, its descriptor for events, its environment.

use std::fs::OpenOptions;
use std::io::{self, pipe};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, dup2_stdout};

use super::super::journal::Stream;
use super::super::launching::Launch;
use super::super::{ATTEMPT_VARIABLE, RUN_ID_VARIABLE};
use super::source::Source;

/// Where the runner finds the writing end of the events pipe.
const EVENTS_FD: RawFd = 3;

/// Ends the pipe on which [`super::super::launch`] waits.
pub(super) fn say_ready() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(dup2_stdout(&null)?)
}

/// Starts the runner in a process group of its own, so that a signal to its group does not reach the supervisor.
pub(super) fn spawn(launch: &Launch) -> io::Result<(Pid, Vec<Source>)> {
    let (program, arguments) =
        launch.argv.split_first().ok_or_else(|| io::Error::other("launch.json has an empty argv"))?;
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    let (events, events_end) = pipe()?;
    let events_end = above_events_fd(&events_end)?;
    // Keeps the number taken until the child puts the events there: else the descriptor by which it reports a
    // failed exec could have it.
    let _taken = above_events_fd(&OpenOptions::new().read(true).open("/dev/null")?)?;

    let mut command = Command::new(program);
    command.args(arguments).current_dir(&launch.cwd).env_clear().envs(&launch.env);
    command.env(RUN_ID_VARIABLE, &launch.run_id).env(ATTEMPT_VARIABLE, launch.attempt.to_string());
    command.env("QD_EVENTS_FD", EVENTS_FD.to_string());
    command.stdin(Stdio::null()).stdout(stdout_end).stderr(stderr_end).process_group(0);
    let from = events_end.as_raw_fd();
    // SAFETY: runs in the forked child; `sigprocmask`, `prctl`, `dup2` and `fcntl` are async-signal-safe and nothing is
    // allocated.
    unsafe {
        command.pre_exec(move || {
            // The supervisor's own blocked signals would pass to the runner.
            SigSet::empty().thread_set_mask()?;
            // A supervisor that is killed takes its runner with it: nobody would hear it any more.
            set_pdeathsig(Signal::SIGTERM)?;
            let done = if from == EVENTS_FD {
                nix::libc::fcntl(from, nix::libc::F_SETFD, 0)
            } else {
                nix::libc::dup2(from, EVENTS_FD)
            };
            if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    // Reaped with all other children by pid; dropping the handle neither waits nor kills.
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let sources = vec![
        Source::events(events.into())?,
        Source::output(Stream::Stdout, stdout.into())?,
        Source::output(Stream::Stderr, stderr.into())?,
    ];
    Ok((Pid::from_raw(pid), sources))
}

/// A copy, closed on exec, whose number is at least the one of the events.
fn above_events_fd(descriptor: &impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    let copy = fcntl(descriptor, FcntlArg::F_DUPFD_CLOEXEC(EVENTS_FD))?;
    // SAFETY: just made, and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
