//! One attempt in a temporary folder, with a shell or Python script in the runner's place.

#[path = "../support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use qd_pipelines::supervisor::journal::{Body, Record, read_from};
use qd_pipelines::supervisor::{
    Launch, Program, Supervised, SupervisorState, kill_leftovers, launch, probe, request_stop,
};

use program::supervise_program;

pub struct Attempt {
    folder: tempfile::TempDir,
    launch: Launch,
}

impl Attempt {
    pub fn new(script: &str) -> Self {
        Self::running(&["/bin/sh", "-c", script])
    }

    pub fn python(script: &str) -> Self {
        Self::running(&["python3", "-c", script])
    }

    fn running(argv: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
        let path = std::env::var("PATH").unwrap();
        let launch = Launch {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: BTreeMap::from([("PATH".into(), path), ("GIVEN".into(), "yes".into())]),
            cwd: folder.path().to_owned(),
            run_id: format!("run{name}"),
            attempt: 1,
            grace_ms: 6_000,
            serving: false,
            max_log_bytes: 1 << 30,
        };
        Self { folder, launch }
    }

    pub fn grace_ms(mut self, grace_ms: u64) -> Self {
        self.launch.grace_ms = grace_ms;
        self
    }

    pub fn max_log_bytes(mut self, bytes: u64) -> Self {
        self.launch.max_log_bytes = bytes;
        self
    }

    pub fn argv(mut self, argv: &[&str]) -> Self {
        self.launch.argv = argv.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    pub fn run_id(&self) -> &str {
        &self.launch.run_id
    }

    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub fn journal(&self) -> PathBuf {
        self.dir().join("journal.ndjson")
    }

    pub fn start(&self) -> Supervised {
        launch(self.dir(), &self.launch, &Program::supervise(supervise_program())).unwrap()
    }

    /// On a disk that takes no file longer than `blocks` of 512 bytes.
    pub fn start_on_a_full_disk(&self, blocks: u32) -> Supervised {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" supervise \"$1\"");
        let arguments = ["-c".into(), script.into(), supervise_program().into()];
        let program = Program { path: "/bin/sh".into(), arguments: arguments.into() };
        launch(self.dir(), &self.launch, &program).unwrap()
    }

    pub fn state(&self) -> SupervisorState {
        probe(self.dir()).unwrap()
    }

    pub fn records(&self) -> Vec<Record> {
        read_from(&self.journal(), 0, usize::MAX / 4).unwrap().records
    }

    pub fn lines(&self) -> Vec<String> {
        self.records()
            .into_iter()
            .filter_map(|record| match record.body {
                Body::Log(line) => Some(line.text),
                _ => None,
            })
            .collect()
    }

    pub fn number_after(&self, prefix: &str) -> i32 {
        self.lines().iter().find_map(|line| line.strip_prefix(prefix)?.parse().ok()).unwrap()
    }

    pub fn until_lines(&self, count: usize) {
        until("lines arrive", || self.lines().len() >= count);
    }

    /// Waits for the end and answers the whole journal, which must be dense.
    pub fn finished(&self) -> Vec<Record> {
        until("the supervisor has finished", || self.state() == SupervisorState::Finished);
        let records = self.records();
        assert!(records.iter().enumerate().all(|(index, record)| record.n == index as u64));
        records
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // A failed test leaves nothing running.
        if std::thread::panicking() {
            let _ = request_stop(self.dir());
            let _ = kill_leftovers(&self.launch.run_id, None, None, Duration::from_secs(5));
        }
    }
}

pub fn supervise(dir: &Path) -> ExitStatus {
    Command::new(supervise_program()).arg("supervise").arg(dir).status().unwrap()
}

/// Answers the process that launched the supervisor and stays.
pub fn launch_from_another_process(attempt: &Attempt) -> Child {
    let spec = serde_json::to_string(attempt.launch()).unwrap();
    let mut server = Command::new(supervise_program())
        .arg("launch")
        .arg(attempt.dir())
        .arg(spec)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("Started"), "{said}");
    server
}

pub fn kill(pid: i32, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(pid), signal).unwrap();
}

pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

/// The pids of every process with the run's mark in its environment.
pub fn marked_by(run_id: &str) -> Vec<i32> {
    let mark = format!("QD_RUN_ID={run_id}");
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|text| text.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
        })
        .filter(|pid| is_alive(*pid))
        .collect()
}

/// Waits for a condition; fails after half a minute.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
