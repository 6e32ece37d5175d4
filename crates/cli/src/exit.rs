//! The exit codes of `qd`, in one place.
//!
//! Scripts depend on them: 0 done, 1 the run failed or the job ended otherwise than it should: failed, cancelled or undone (or `diff` found differences), 2 an error, 3 the run could not
//! start, 4 the run was stopped, 64 wrong usage (as in sysexits), 130 detached by Ctrl-C while waiting,
//! 141 the reader of standard output went away.

use std::process::ExitCode;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

impl Exit {
    pub const OK: Self = Self(0);
    /// The run failed, or the job failed, was cancelled or was undone.
    pub const FAILED: Self = Self(1);
    /// `diff` found differences.
    pub const DIFFERS: Self = Self(1);
    /// The run was stopped.
    pub const STOPPED: Self = Self(4);
    /// Anything that went wrong and has no code of its own.
    pub const ERROR: Self = Self(2);
    /// The run was never started.
    pub const COULD_NOT_START: Self = Self(3);
    pub const USAGE: Self = Self(64);
    /// Ctrl-C while waiting for something that goes on without us.
    pub const DETACHED: Self = Self(130);
    /// Standard output was closed by its reader.
    pub const OUTPUT_CLOSED: Self = Self(141);

    /// The code for a run that has ended in `state`.
    pub fn of_run_state(state: &str) -> Self {
        match state {
            "succeeded" => Self::OK,
            "stopped" => Self::STOPPED,
            _ => Self::FAILED,
        }
    }
}
