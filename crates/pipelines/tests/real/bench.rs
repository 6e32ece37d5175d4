//! A data folder, a kernel with this plane registered, and code to run.

#[path = "../support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qd_core::id::{ResourceId, RunId};
use qd_core::violation::Violation;
use qd_kernel::clock::{self, Source};
use qd_kernel::code::CodeStore;
use qd_kernel::engine::{LogLine, Observation, RunEnd, RunEngine, RunTicket, Submitted};
use qd_kernel::outbound::{Outbound, OutboundOptions};
use qd_kernel::resources::SpecReader;
use qd_kernel::secrets::{SecretOptions, Secrets};
use qd_kernel::store::Store;
use qd_pipelines::code::{Packed, pack};
use qd_pipelines::engine::{RayOptions, Xenna, XennaOptions};
use qd_pipelines::environment::{Environment, Environments};
use qd_pipelines::kinds::{PIPELINE, register};
use qd_pipelines::supervisor::Program;
use qd_testkit::{TestDatabase, TestKernel};
use serde_json::{Value, json};
use tempfile::TempDir;

use program::supervise_program;

/// Longer than a real pipeline takes on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(180);

const WORK: &str = r#"
import subprocess
import time

from cosmos_xenna.pipelines.v1 import Resources, Stage


class Base(Stage):
    @property
    def required_resources(self):
        return Resources(cpus=0.25)


class Multiply(Base):
    def __init__(self, factor: int = 2):
        self.factor = factor

    def process_data(self, items):
        for item in items:
            print(f"item {item}", flush=True)
        return [item * self.factor for item in items]


class Picky(Base):
    def process_data(self, items):
        if 13 in items or 26 in items:
            raise ValueError("13 is unlucky")
        return items


class Slow(Base):
    """Starts a daemon that nobody would find by its parent, and takes its time."""

    def process_data(self, items):
        subprocess.Popen(["sleep", "3600"], start_new_session=True)
        print("slow begins", flush=True)
        time.sleep(3600)
        return items
"#;

pub struct Bench {
    pub engine: Arc<dyn RunEngine>,
    kernel: TestKernel,
    environments: Environments,
    data: TempDir,
    code: Packed,
    _database: TestDatabase,
}

/// Everything that the observations of an attempt said.
#[derive(Default)]
pub struct Seen {
    pub logs: Vec<LogLine>,
    pub progress: Vec<Value>,
    pub serving: Vec<Value>,
    pub points: BTreeMap<String, usize>,
    pub detail: Value,
    pub failure: Value,
    pub results: Value,
    pub end: RunEndSeen,
}

#[derive(Debug)]
pub struct RunEndSeen {
    pub state: qd_core::state::RunState,
    pub code: Option<String>,
    pub message: Option<String>,
}

impl Default for RunEndSeen {
    fn default() -> Self {
        Self { state: qd_core::state::RunState::Running, code: None, message: None }
    }
}

impl Bench {
    pub async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let shared = std::env::var_os("QD_TEST_ENV")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("test-env"), PathBuf::from);
        std::fs::create_dir_all(&shared).unwrap();
        symlink(shared, data.path().join("env")).unwrap();
        let database = TestDatabase::sqlite().await;
        let store = database.migrated().await;
        let (sender, receiver) = std::sync::mpsc::channel();
        let options = options(&data, &store, &clock::system());
        let ray = RayOptions {
            code: options.code.clone(),
            specs: SpecReader::new(store.clone()),
            secrets: Secrets::new(store.clone(), clock::system(), SecretOptions::default()),
            outbound: Outbound::new(&OutboundOptions::default(), true),
            clock: options.clock.clone(),
            lost_after: LIMIT,
        };
        let kernel = TestKernel::build().store(&store).register(move |registry| {
            sender.send(register(registry, options, ray)).unwrap();
        });
        let kernel = kernel.on(&database).await;
        let environments = receiver.recv().unwrap();
        let engine = kernel.kernel.registry.find_engine("xenna").unwrap().clone();

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("work.py"), WORK).unwrap();
        let code = pack(folder.path()).unwrap();
        let kept =
            kernel.kernel.code_put(&kernel.context(), code.digest.clone(), 1, code.archive.clone()).await;
        kept.unwrap();
        environments.wait(&[]).await.unwrap();
        Self { engine, kernel, environments, data, code, _database: database }
    }

    /// Another engine on the same data folder, as after a restart.
    pub fn another(&self) -> Xenna {
        let options = options(&self.data, &self.kernel.kernel.store, &clock::system());
        Xenna::new(options, self.environments.clone())
    }

    /// The members given, and the code.
    pub fn spec(&self, members: Value) -> Value {
        let mut spec = members;
        spec["runtime"] = json!({ "code": { "digest": self.code.digest } });
        spec
    }

    /// Waits for an environment with requirements of its own.
    pub async fn environment(&self, requirements: &[&str]) -> qd_core::error::Result<Environment> {
        let requirements: Vec<String> = requirements.iter().map(|text| (*text).to_owned()).collect();
        self.environments.wait(&requirements).await
    }

    pub fn changed(&self, spec: &Value, change: impl FnOnce(&mut Value)) -> Value {
        let mut spec = spec.clone();
        change(&mut spec);
        spec
    }

    pub async fn violations(&self, spec: &Value) -> Vec<Violation> {
        let kernel = &self.kernel.kernel;
        let kind = kernel.registry.find_kind(PIPELINE).unwrap().clone();
        kernel
            .spec_prepare(&*kind, spec, &kernel.spec_view(self.kernel.scope))
            .await
            .unwrap()
            .err()
            .unwrap_or_default()
    }

    pub fn ticket(&self, spec: Value, params: Value) -> RunTicket {
        let clock = clock::system();
        RunTicket {
            run_id: RunId::from(clock.uuid()),
            scope: self.kernel.scope,
            resource_id: ResourceId::from(clock.uuid()),
            run_ref: "test#1".into(),
            kind: PIPELINE.into(),
            attempt: 1,
            spec,
            params,
            correlation_id: "test".into(),
            external_id: None,
            engine_detail: None,
            tried_before: false,
        }
    }

    pub async fn submit(&self, ticket: &RunTicket) {
        match self.engine.submit(ticket).await.unwrap() {
            Submitted::Adopted { external_id } => assert!(external_id.starts_with("xenna/")),
            Submitted::NotYet { waiting_for, .. } => panic!("the environment is ready, but: {waiting_for}"),
        }
    }

    pub async fn observe_to_end(&self, ticket: &RunTicket) -> Seen {
        self.observe_with(&*self.engine, ticket).await
    }

    pub async fn observe_with(&self, engine: &dyn RunEngine, ticket: &RunTicket) -> Seen {
        self.observe_until(engine, ticket, |_, end| end).await
    }

    pub async fn until_said(&self, ticket: &RunTicket, text: &str) {
        let said = |seen: &Seen, end: bool| {
            assert!(!end, "it ended: {:?} {:?}", seen.end, seen.logs);
            seen.logs.iter().any(|line| line.text.contains(text))
        };
        self.observe_until(&*self.engine, ticket, said).await;
    }

    pub async fn until_serving(&self, ticket: &RunTicket) {
        let ready = |seen: &Seen, end: bool| {
            assert!(!end, "it ended: {:?} {:?}", seen.end, seen.logs);
            seen.serving.last().is_some_and(|serving| serving["ready"] == true)
        };
        self.observe_until(&*self.engine, ticket, ready).await;
    }

    async fn observe_until(
        &self,
        engine: &dyn RunEngine,
        ticket: &RunTicket,
        enough: impl Fn(&Seen, bool) -> bool,
    ) -> Seen {
        let (mut cursor, mut seen) = (0, Seen::default());
        let deadline = Instant::now() + LIMIT;
        loop {
            let observed = engine.observe(ticket, cursor).await.unwrap();
            assert!(observed.cursor >= cursor);
            cursor = observed.cursor;
            let end = seen.take(observed);
            if enough(&seen, end) {
                return seen;
            }
            assert!(Instant::now() < deadline, "in vain: {:#?}", seen.logs);
        }
    }

    pub fn supervisor_pid(&self, ticket: &RunTicket) -> i32 {
        let text = std::fs::read(self.attempt_dir(ticket).join("supervisor.json")).unwrap();
        let identity: Value = serde_json::from_slice(&text).unwrap();
        i32::try_from(identity["pid"].as_i64().unwrap()).unwrap()
    }

    pub fn runner_pid(&self, ticket: &RunTicket) -> i32 {
        let supervisor = self.supervisor_pid(ticket);
        let children =
            std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
        children.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What still is there of an attempt that has ended: processes, and the folder of its Ray.
    pub fn left(&self, ticket: &RunTicket) -> Vec<String> {
        let run = ticket.run_id.to_string();
        let scratch = std::fs::read_to_string(self.attempt_dir(ticket).join("ray/temp_dir")).unwrap();
        let scratch = scratch.trim();
        let text =
            |path: PathBuf| std::fs::read(path).map(|found| String::from_utf8_lossy(&found).into_owned());
        let mut left: Vec<String> =
            Path::new(scratch).exists().then(|| scratch.to_owned()).into_iter().collect();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let line = text(entry.path().join("cmdline")).unwrap_or_default();
            let marks = line.clone() + &text(entry.path().join("environ")).unwrap_or_default();
            let dead = text(entry.path().join("stat")).is_ok_and(|stat| stat.contains(") Z "));
            if !dead && pid != std::process::id() && (marks.contains(&run) || marks.contains(scratch)) {
                left.push(format!("{pid} {line}"));
            }
        }
        left
    }

    fn attempt_dir(&self, ticket: &RunTicket) -> PathBuf {
        self.data.path().join("runs").join(ticket.run_id.to_string()).join("attempt-1")
    }
}

impl Seen {
    fn take(&mut self, observed: Observation) -> bool {
        self.logs.extend(observed.logs);
        self.progress.extend(observed.progress);
        self.serving.extend(observed.serving);
        for (stage, _) in observed.points {
            *self.points.entry(stage).or_default() += 1;
        }
        self.detail = observed.engine_detail.unwrap_or(self.detail.take());
        self.failure = observed.failure.unwrap_or(self.failure.take());
        self.results = observed.results.unwrap_or(self.results.take());
        let Some(RunEnd { state, code, message, .. }) = observed.end else { return false };
        self.end = RunEndSeen { state, code, message };
        true
    }
}

fn options(data: &TempDir, store: &Store, clock: &Source) -> XennaOptions {
    XennaOptions {
        data: data.path().to_owned(),
        code: CodeStore::new(store.clone()),
        clock: clock.clone(),
        supervisor: Program::supervise(supervise_program()),
    }
}

pub fn codes(violations: &[Violation]) -> Vec<(&str, &str)> {
    violations.iter().map(|violation| (violation.pointer.as_str(), violation.code.as_str())).collect()
}

pub fn killed(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}
