//! Starting the supervisor of an attempt, once, however often it is asked for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{ForkResult, fork, setsid};
use serde::{Deserialize, Serialize};

use super::identity::{SupervisorState, probe};

pub(super) const LAUNCH_FILE: &str = "launch.json";
const LOG_FILE: &str = "supervisor.log";
/// How long a supervisor may take until it has said who it is.
const START_LIMIT_MS: u16 = 20_000;

/// What a supervisor is told to run: the content of `launch.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Program and arguments of the runner. The program is found through `PATH` of `env` when it has no slash.
    pub argv: Vec<String>,
    /// The runner's whole environment: nothing of the server's reaches it. The supervisor adds the run's mark
    /// and the number of the event descriptor.
    pub env: BTreeMap<String, String>,
    /// Working directory of the runner.
    pub cwd: PathBuf,
    pub run_id: String,
    pub attempt: u32,
    /// Milliseconds between the polite stop and the end of every descendant.
    #[serde(default = "default_grace_ms")]
    pub grace_ms: u64,
    /// Whether the runner serves requests until it is stopped.
    #[serde(default)]
    pub serving: bool,
    /// Bytes of log records in the journal, after which further lines are dropped and counted.
    #[serde(default = "default_max_log_bytes")]
    pub max_log_bytes: u64,
}

/// Grace that keeps a stop within ten seconds in all.
#[must_use]
pub fn default_grace_ms() -> u64 {
    6_000
}

/// One GiB.
#[must_use]
pub fn default_max_log_bytes() -> u64 {
    1 << 30
}

/// The executable that runs [`super::supervise`], and the arguments that stand before the attempt's folder.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This very executable, also when its file has been replaced by a newer one since.
    #[must_use]
    pub fn own() -> Self {
        Self::supervise(PathBuf::from("/proc/self/exe"))
    }

    /// `path supervise <dir>`: the way the shipped binary does it.
    #[must_use]
    pub fn supervise(path: PathBuf) -> Self {
        Self { path, arguments: vec!["supervise".into()] }
    }
}

/// What [`launch`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervised {
    Started {
        pid: i32,
    },
    /// It was running already.
    Adopted {
        pid: i32,
    },
    /// It had been started before and has ended; the journal is complete.
    Finished,
    /// It had been started before and died without an end. It is not started again: its runner may have had
    /// effects. A retry is a new attempt.
    Dead,
}

/// Starts the supervisor of the attempt in `dir`, or finds the one that was started before.
///
/// Returns once the supervisor has said who it is: from then on it needs nobody. It is no child of the caller:
/// it lives in a session of its own and is inherited by init. Blocks for some milliseconds.
///
/// # Errors
/// When the folder cannot be written, or the supervisor does not come up; its last words are in the error.
pub fn launch(dir: &Path, launch: &Launch, program: &Program) -> io::Result<Supervised> {
    match probe(dir)? {
        SupervisorState::NotStarted => {}
        SupervisorState::Alive { pid } => return Ok(Supervised::Adopted { pid }),
        SupervisorState::Finished => return Ok(Supervised::Finished),
        SupervisorState::Dead => return Ok(Supervised::Dead),
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let dir = &dir.canonicalize()?;
    write_atomically(dir, LAUNCH_FILE, &serde_json::to_vec_pretty(launch)?)?;
    let ready = spawn_detached(dir, program)?;
    wait_for_end_of(ready)?;
    match probe(dir)? {
        SupervisorState::Alive { pid } => Ok(Supervised::Started { pid }),
        SupervisorState::Finished => Ok(Supervised::Finished),
        SupervisorState::Dead => Ok(Supervised::Dead),
        SupervisorState::NotStarted => {
            let words = fs::read_to_string(dir.join(LOG_FILE)).unwrap_or_default();
            Err(io::Error::other(format!("the supervisor did not start: {}", words.trim())))
        }
    }
}

/// Writes a file of an attempt's folder so that a reader sees all of it or nothing.
pub(super) fn write_atomically(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    fs::rename(&temporary, dir.join(name))
}

/// Answers the reading end of a pipe that ends when the supervisor is ready, or gone.
fn spawn_detached(dir: &Path, program: &Program) -> io::Result<io::PipeReader> {
    let (ready, ready_end) = io::pipe()?;
    let log = File::options().create(true).append(true).mode(0o600).open(dir.join(LOG_FILE))?;
    let mut command = Command::new(&program.path);
    // Else the process list would show "exe".
    command.arg0("qd").args(&program.arguments).arg(dir).current_dir(dir);
    command.env_clear();
    for kept in ["PATH", "HOME", "LANG", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.stdin(Stdio::null()).stdout(ready_end).stderr(log);
    // SAFETY: runs in the forked child, which has this one thread; `setsid`, `fork` and `_exit` are
    // async-signal-safe and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            match fork()? {
                ForkResult::Parent { .. } => nix::libc::_exit(0),
                ForkResult::Child => Ok(()),
            }
        });
    }
    // The intermediate process, which has ended already.
    command.spawn()?.wait()?;
    // `command` holds the writing end until it is dropped.
    drop(command);
    Ok(ready)
}

fn wait_for_end_of(mut ready: io::PipeReader) -> io::Result<()> {
    let mut waiting = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
    match poll(&mut waiting, PollTimeout::from(START_LIMIT_MS)) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "the supervisor does not come up")),
        Ok(_) => ready.read(&mut [0; 1]).map(drop),
        Err(error) => Err(error.into()),
    }
}
