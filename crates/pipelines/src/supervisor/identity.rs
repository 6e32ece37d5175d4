//! Who the supervisor of an attempt is, and whether it is still that process.
//!
//! A pid alone says nothing after a while: pids are used again, and all of them after a reboot. The boot id and
//! the start time in clock ticks make the pid a name. The lock is never probed from outside: a probe that held
//! it for a moment could make a starting supervisor believe that another one runs.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::processes;

pub(super) const IDENTITY_FILE: &str = "supervisor.json";
/// The journal's name in an attempt's folder.
pub const JOURNAL_FILE: &str = "journal.ndjson";

/// Names one process on one boot of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    pub start_ticks: u64,
    pub boot_id: String,
}

impl Identity {
    pub(super) fn of_this_process() -> io::Result<Self> {
        let pid = Pid::this().as_raw();
        let stat = processes::stat(pid)
            .ok_or_else(|| io::Error::other("read the start time of this process from /proc"))?;
        Ok(Self { pid, start_ticks: stat.start_ticks, boot_id: boot_id()? })
    }

    /// Whether exactly this process runs now.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot_id)
            && processes::stat(self.pid)
                .is_some_and(|now| now.start_ticks == self.start_ticks && !now.is_dead())
    }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// What an attempt's folder says about its supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisorState {
    /// Nothing was started here yet.
    NotStarted,
    /// It runs; the journal grows.
    Alive { pid: i32 },
    /// It ended by itself: the journal ends with `gone` and no process of the attempt is left.
    Finished,
    /// It was started and died without an end (killed, or the machine went down). Processes of the attempt may
    /// be left: see [`super::kill_leftovers`].
    Dead,
}

/// Looks at an attempt's folder. Changes nothing and never blocks.
///
/// # Errors
/// When the folder's files exist but cannot be read.
pub fn probe(dir: &Path) -> io::Result<SupervisorState> {
    let Some(identity) = read_identity(dir)? else {
        // A journal without an identity cannot come from a supervisor that got as far as starting a runner,
        // but something wrote it: never start over it.
        let written = fs::metadata(dir.join(JOURNAL_FILE)).is_ok_and(|journal| journal.len() > 0);
        return Ok(if written { SupervisorState::Dead } else { SupervisorState::NotStarted });
    };
    // The order matters: once it is not alive the journal does not change any more.
    if identity.is_alive() {
        return Ok(SupervisorState::Alive { pid: identity.pid });
    }
    Ok(if ends_with_gone(&dir.join(JOURNAL_FILE))? {
        SupervisorState::Finished
    } else {
        SupervisorState::Dead
    })
}

/// Asks the supervisor to stop its runner; answers whether one was there to be asked.
///
/// Returns at once: the journal tells how it ended. Asking twice is harmless.
///
/// # Errors
/// When the signal is refused, or the folder's files cannot be read.
pub fn request_stop(dir: &Path) -> io::Result<bool> {
    let Some(identity) = read_identity(dir)? else { return Ok(false) };
    if !identity.is_alive() {
        return Ok(false);
    }
    match kill(Pid::from_raw(identity.pid), Signal::SIGTERM) {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::ESRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn read_identity(dir: &Path) -> io::Result<Option<Identity>> {
    match fs::read(dir.join(IDENTITY_FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn ends_with_gone(journal: &Path) -> io::Result<bool> {
    let mut file = match fs::File::open(journal) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(256)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(tail) = tail.strip_suffix(b"\n") else { return Ok(false) };
    let last = tail.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(serde_json::from_slice::<super::journal::Record>(last)
        .is_ok_and(|record| record.body == super::journal::Body::Gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_again_pid_and_another_boot_are_not_the_same_process() {
        let own = Identity::of_this_process().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { start_ticks: own.start_ticks + 1, ..own.clone() }.is_alive());
        assert!(!Identity { boot_id: "another".into(), ..own.clone() }.is_alive());
        assert!(!Identity { pid: i32::MAX, ..own }.is_alive());
    }

    #[test]
    fn the_state_follows_from_the_files() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(probe(dir.path()).unwrap(), SupervisorState::NotStarted);
        assert!(!request_stop(dir.path()).unwrap());

        fs::write(dir.path().join(JOURNAL_FILE), "{}\n").unwrap();
        assert_eq!(probe(dir.path()).unwrap(), SupervisorState::Dead);

        let own = Identity::of_this_process().unwrap();
        let write = |identity: &Identity| {
            fs::write(dir.path().join(IDENTITY_FILE), serde_json::to_vec(identity).unwrap()).unwrap();
        };
        write(&own);
        assert_eq!(probe(dir.path()).unwrap(), SupervisorState::Alive { pid: own.pid });
        write(&Identity { start_ticks: 1, ..own });
        assert_eq!(probe(dir.path()).unwrap(), SupervisorState::Dead);
        fs::write(dir.path().join(JOURNAL_FILE), "x\n{\"n\":3,\"t\":1,\"k\":\"gone\"}\n").unwrap();
        assert_eq!(probe(dir.path()).unwrap(), SupervisorState::Finished);
        fs::write(dir.path().join(JOURNAL_FILE), "{\"n\":3,\"t\":1,\"k\":\"gone\"}").unwrap();
        assert_eq!(probe(dir.path()).unwrap(), SupervisorState::Dead, "a torn last line proves nothing");
    }
}
