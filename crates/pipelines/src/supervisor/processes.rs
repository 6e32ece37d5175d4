//! Processes as `/proc` shows them: who descends from whom, who carries a run's mark, and ending them.
//!
//! Three ways to find a run's processes, because each has a hole. The parent chain is complete while the
//! supervisor lives (as subreaper it becomes the parent of every orphan), but is lost with it. The mark in the
//! environment survives that, but a process may have been started with another environment, or (as Ray's workers
//! do) have written its title over it. Such a one holds files in the folder of its Ray.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{ATTEMPT_VARIABLE, RUN_ID_VARIABLE};

/// What is needed of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub pid: i32,
    pub parent: i32,
    /// One letter; `Z` and `X` are dead.
    pub state: char,
    /// Clock ticks after boot: with the pid it names one process, even when pids are used again.
    pub start_ticks: u64,
}

impl Stat {
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads one process; `None` when there is none.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: i32, text: &str) -> Option<Stat> {
    // The command name stands in parentheses and may itself hold spaces and parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat { pid, parent, state, start_ticks })
}

fn every_process() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(stat).collect()
}

/// The living descendants of `root`. `root` itself is not among them.
pub(super) fn descendants(root: i32) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
    for process in every_process() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            if seen.insert(process.pid) {
                next.push(process.pid);
                found.push(process);
            }
        }
    }
    found.retain(|process| !process.is_dead());
    found
}

/// The living processes whose environment was started with the mark of `run_id` (and of `attempt`, if given).
///
/// The caller and its ancestors are left out: a server that was itself started inside a run must not end
/// itself.
pub(super) fn marked(run_id: &str, attempt: Option<u32>) -> Vec<Stat> {
    let run_mark = format!("{RUN_ID_VARIABLE}={run_id}");
    let attempt_mark = attempt.map(|attempt| format!("{ATTEMPT_VARIABLE}={attempt}"));
    let spared = ancestors_of_caller();
    every_process()
        .into_iter()
        .filter(|process| !process.is_dead() && !spared.contains(&process.pid))
        .filter(|process| {
            let Ok(environment) = fs::read(format!("/proc/{}/environ", process.pid)) else { return false };
            let holds =
                |mark: &str| environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
            holds(&run_mark) && attempt_mark.as_deref().is_none_or(holds)
        })
        .collect()
}

fn ancestors_of_caller() -> HashSet<i32> {
    let mut spared = HashSet::from([1]);
    let mut pid = Pid::this().as_raw();
    while pid > 1 && spared.insert(pid) {
        pid = stat(pid).map_or(0, |process| process.parent);
    }
    spared
}

/// Signals each process that is still the one that was seen; answers how many were signalled.
pub(super) fn signal_each(processes: &[Stat], signal: Signal) -> usize {
    processes
        .iter()
        .filter(|seen| {
            stat(seen.pid).is_some_and(|now| now.start_ticks == seen.start_ticks && !now.is_dead())
        })
        .filter(|seen| kill(Pid::from_raw(seen.pid), signal).is_ok())
        .count()
}

/// Ends what a run left whose supervisor is dead, and waits until it is gone: every process that carries its mark,
/// or works in `held`, and all their descendants.
///
/// `attempt` narrows it to one attempt. Answers how many processes were ended.
///
/// # Errors
/// `TimedOut` when some are still there after `patience` (a process in an uninterruptible wait).
pub fn kill_leftovers(
    run_id: &str,
    attempt: Option<u32>,
    held: Option<&Path>,
    patience: Duration,
) -> io::Result<usize> {
    let deadline = Instant::now() + patience;
    let mut ended = HashSet::new();
    loop {
        let alive = leftovers(run_id, attempt, held);
        if alive.is_empty() {
            return Ok(ended.len());
        }
        if Instant::now() >= deadline {
            let pids: Vec<String> = alive.iter().map(|process| process.pid.to_string()).collect();
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("processes of run {run_id} do not end: {}", pids.join(", ")),
            ));
        }
        signal_each(&alive, Signal::SIGKILL);
        ended.extend(alive.iter().map(|process| (process.pid, process.start_ticks)));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn leftovers(run_id: &str, attempt: Option<u32>, held: Option<&Path>) -> Vec<Stat> {
    let mut found: HashMap<i32, Stat> =
        marked(run_id, attempt).into_iter().map(|process| (process.pid, process)).collect();
    let spared = ancestors_of_caller();
    if let Some(held) = held {
        let holders = every_process().into_iter().filter(|process| {
            !process.is_dead() && !spared.contains(&process.pid) && works_in(process.pid, held)
        });
        found.extend(holders.map(|process| (process.pid, process)));
    }
    let below: Vec<Stat> = found.keys().flat_map(|pid| descendants(*pid)).collect();
    found.extend(below.into_iter().map(|process| (process.pid, process)));
    found.into_values().collect()
}

/// Whether a process has a file open below `folder`, or stands in it.
fn works_in(pid: i32, folder: &Path) -> bool {
    let leads_there = |link: &Path| fs::read_link(link).is_ok_and(|target| target.starts_with(folder));
    let process = format!("/proc/{pid}");
    leads_there(&Path::new(&process).join("cwd"))
        || fs::read_dir(format!("{process}/fd"))
            .is_ok_and(|open| open.flatten().any(|entry| leads_there(&entry.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
        let parsed = parse_stat(42, text).unwrap();
        assert_eq!(parsed, Stat { pid: 42, parent: 7, state: 'S', start_ticks: 98765 });
    }

    #[test]
    fn the_caller_finds_itself_alive_and_spares_itself() {
        let own = Pid::this().as_raw();
        assert!(!stat(own).unwrap().is_dead());
        assert!(ancestors_of_caller().contains(&own));
        assert!(stat(i32::MAX).is_none());
    }
}
