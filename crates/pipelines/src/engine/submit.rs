//! Starting an attempt: environment, code, run file, supervisor. Every step is found done by a second try.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use qd_core::error::{Error, ErrorKind, Result, clip};
use qd_kernel::engine::{RunTicket, Submitted};
use serde_json::Value;

use super::{XENNA, Xenna, blocking};
use crate::code::unpack;
use crate::environment::{Environment, Failure, Status};
use crate::run_file::{RunFacts, run_file};
use crate::spec::{ExecutionMode, LogLevel, PipelineSpec};
use crate::supervisor::{self, Launch, Program, SupervisorState, probe};
use crate::templates::{Resolved, resolve};

/// A pipeline that serves answers what is outstanding before it ends; with the kill this stays within ten seconds.
const SERVING_GRACE_MS: u64 = 8_700;
/// Failed builds of the environment in a row after which a run fails; until then it waits for the next.
const MOST_BUILDS: u32 = 3;
/// Marks an attempt that was stopped before it was started.
const CALLED_OFF: &str = "called-off";
/// When to look again for an environment that is being made.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Variables of the server that runners get: where to find things, how to reach the network, which GPUs there are.
const PASSED_ON: [&str; 18] = [
    "HOME",
    "LANG",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HF_HOME",
];

impl Xenna {
    pub(super) async fn attempt_submit(&self, ticket: &RunTicket) -> Result<Submitted> {
        let folder_id = self.folder_id().await?;
        let adopted = || Submitted::Adopted { external_id: external_id(&folder_id, ticket) };
        let dir = self.folders.attempt(ticket.run_id, ticket.attempt);
        let probed = dir.clone();
        let state = blocking("look for the attempt's supervisor", move || probe(&probed)).await?;
        if state != SupervisorState::NotStarted {
            return Ok(adopted());
        }
        let spec: PipelineSpec = serde_json::from_value(ticket.spec.clone()).map_err(|error| {
            Error::internal("spec_unreadable", "the revision's spec cannot be read").with_source(error)
        })?;
        let Resolved { spec, code } = resolve(&spec);
        let environment = match self.environments.status(&spec.runtime.requirements) {
            Status::Preparing(progress) => {
                let waiting_for = format!("the Python environment: {progress}");
                return Ok(Submitted::NotYet { look_again: LOOK_AGAIN, waiting_for });
            }
            Status::Failed(Failure { why, builds, .. }) if builds < MOST_BUILDS => {
                let why = clip(&why, 500);
                let waiting_for = format!(
                    "another try at the Python environment, which could not be prepared ({builds} of {MOST_BUILDS}): {why}"
                );
                return Ok(Submitted::NotYet { look_again: LOOK_AGAIN, waiting_for });
            }
            ready_or_failed => ready_or_failed.into_ready()?,
        };
        let mut folders = Vec::new();
        for (digest, _) in code {
            let archive = match self.code.get(ticket.scope, &digest).await {
                Ok(archive) => archive,
                Err(error) if error.kind == ErrorKind::NotFound => {
                    return Err(Error::invalid(
                        "code_missing",
                        format!("the code {digest} is not in the store"),
                    ));
                }
                Err(error) => return Err(error),
            };
            let root = self.folders.code();
            let unpacked = tokio::task::spawn_blocking(move || unpack(&archive, &digest, &root)).await;
            folders.push(unpacked.map_err(|error| {
                Error::internal("code_unpack", "could not unpack the pipeline's code").with_source(error)
            })??);
        }
        let plan = self.plan(ticket, &spec, &environment, &folders)?;
        let program = self.supervisor.clone();
        match blocking("start the run's supervisor", move || start(&plan, &program)).await? {
            Started::Yes => Ok(adopted()),
            Started::CalledOff => Err(Error::conflict(
                "attempt_stopped",
                "the run was stopped before its engine had started it",
            )),
        }
    }

    fn plan(
        &self,
        ticket: &RunTicket,
        spec: &PipelineSpec,
        environment: &Environment,
        code: &[PathBuf],
    ) -> Result<Plan> {
        let run_dir = self.folders.run(ticket.run_id);
        let output = self.folders.output(ticket.run_id);
        let dir = self.folders.attempt(ticket.run_id, ticket.attempt);
        let params = ticket.params.as_object().cloned().unwrap_or_default();
        let facts = RunFacts {
            run_id: ticket.run_id.to_string(),
            run_ref: &ticket.run_ref,
            params: &params,
            code,
            output: &output,
            spec_dir: code.first().unwrap_or(&run_dir),
        };
        let run_file = run_file(spec, &facts).map_err(|violations| {
            Error::invalid("bad_run_spec", "the spec refers to params that the run does not have")
                .with_violations(violations)
        })?;
        let serving = spec.execution_mode == ExecutionMode::Serving;
        let argv = [
            environment.python.display().to_string(),
            "-m".into(),
            "qd_runner".into(),
            "run".into(),
            "--spec".into(),
            run_dir.join("spec.json").display().to_string(),
            "--attempt".into(),
            ticket.attempt.to_string(),
            "--dir".into(),
            dir.display().to_string(),
        ];
        let launch = Launch {
            argv: argv.into(),
            env: runner_environment(environment, spec.observability.log_level),
            cwd: run_dir.clone(),
            run_id: ticket.run_id.to_string(),
            attempt: ticket.attempt,
            grace_ms: if serving { SERVING_GRACE_MS } else { supervisor::default_grace_ms() },
            serving,
            max_log_bytes: supervisor::default_max_log_bytes(),
        };
        Ok(Plan { run_dir, dir, output, run_file, launch })
    }
}

/// Everything that a start writes.
struct Plan {
    run_dir: PathBuf,
    dir: PathBuf,
    output: PathBuf,
    run_file: Value,
    launch: Launch,
}

#[derive(Debug, PartialEq, Eq)]
enum Started {
    Yes,
    /// [`stop`] was there first.
    CalledOff,
}

fn start(plan: &Plan, program: &Program) -> io::Result<Started> {
    // Two that submit at once (a step whose lease ran out, in two servers on one folder) go one after the other:
    // the second must not empty the output of what the first has started.
    let _lock = lock(&plan.run_dir)?;
    if plan.dir.join(CALLED_OFF).exists() {
        return Ok(Started::CalledOff);
    }
    if probe(&plan.dir)? == SupervisorState::NotStarted {
        // What an earlier attempt left is no result of this one.
        match fs::remove_dir_all(&plan.output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&plan.output)?,
        }
        write_run_file(&plan.run_dir, &plan.run_file)?;
    }
    supervisor::launch(&plan.dir, &plan.launch, program)?;
    Ok(Started::Yes)
}

/// Asks the attempt to end. One that was not started yet never will be: whoever gave up waiting for a start cannot
/// take back the thread that carries it out, and its supervisor would run unobserved.
pub(super) fn stop(run_dir: &Path, dir: &Path) -> io::Result<()> {
    let _lock = lock(run_dir)?;
    if probe(dir)? == SupervisorState::NotStarted {
        fs::create_dir_all(dir)?;
        File::create(dir.join(CALLED_OFF))?;
    }
    // Nobody to be asked is no error: the observation tells what became of the attempt.
    supervisor::request_stop(dir).map(drop)
}

/// Held by whoever starts or stops an attempt of the run.
fn lock(run_dir: &Path) -> io::Result<Flock<File>> {
    fs::create_dir_all(run_dir)?;
    let lock = File::options().create(true).append(true).open(run_dir.join("submit.lock"))?;
    Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

fn write_run_file(run_dir: &Path, run_file: &Value) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(run_dir)?;
    file.write_all(&serde_json::to_vec_pretty(run_file)?)?;
    file.persist(run_dir.join("spec.json"))?;
    Ok(())
}

/// The runner's whole environment. Nothing else of the server's reaches it: that may hold keys.
fn runner_environment(environment: &Environment, level: LogLevel) -> BTreeMap<String, String> {
    let own = |name: &str| std::env::var(name).ok();
    let mut env: BTreeMap<String, String> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), own(name)?))).collect();
    let bin = environment.dir.join("bin").display().to_string();
    let path = own("PATH").map_or_else(|| bin.clone(), |path| format!("{bin}:{path}"));
    env.insert("PATH".into(), path);
    env.insert("VIRTUAL_ENV".into(), environment.dir.display().to_string());
    env.insert("PYTHONPATH".into(), environment.runner.display().to_string());
    env.insert("PYTHONUNBUFFERED".into(), "1".into());
    // Code archives are shared and stay as they were unpacked.
    env.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
    env.insert("PYTHON_LOG".into(), level.as_str().into());
    env.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
    env
}

/// The attempt's name at this engine: the same for every submit. It begins with whose it is: servers on one database
/// may have data folders of their own, and only the one that started an attempt can see it.
fn external_id(folder_id: &str, ticket: &RunTicket) -> String {
    format!("{XENNA}/{folder_id}/{}/{}", ticket.run_id, ticket.attempt)
}

impl Xenna {
    /// # Errors
    /// `another_servers_run` for an attempt that was started in another data folder. That is never its end.
    pub(super) async fn check_own(&self, ticket: &RunTicket) -> Result<()> {
        let Some(external_id) = &ticket.external_id else { return Ok(()) };
        if *external_id == self::external_id(&self.folder_id().await?, ticket) {
            return Ok(());
        }
        let detail = format!("another server, with a data folder of its own, carries {} out", ticket.run_ref);
        Err(Error::unavailable("another_servers_run", detail))
    }

    /// Whether the attempt was started in this data folder. Where the folder cannot say its name, its observation will say why.
    pub(super) async fn is_own(&self, external_id: &str) -> bool {
        let folder =
            external_id.strip_prefix(XENNA).and_then(|rest| rest.strip_prefix('/')?.split('/').next());
        self.folder_id().await.map_or(true, |own| folder == Some(&own))
    }

    /// The data folder's name, which goes where the folder goes.
    async fn folder_id(&self) -> Result<String> {
        let (file, new) = (self.folders.id(), self.clock.uuid());
        blocking("name the data folder", move || {
            let read = || fs::read_to_string(&file).map(|id| id.trim().to_owned());
            match read() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                known => return known,
            }
            let folder = file.parent().unwrap_or(&file);
            fs::create_dir_all(folder)?;
            let mut unfinished = tempfile::NamedTempFile::new_in(folder)?;
            writeln!(unfinished, "{new}")?;
            match unfinished.persist_noclobber(&file) {
                Err(refused) if refused.error.kind() != io::ErrorKind::AlreadyExists => Err(refused.error),
                // Also where another process was there first.
                _ => read(),
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests;
