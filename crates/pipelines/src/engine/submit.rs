//! Starting an attempt: environment, code, run file, supervisor. Every step is found done by a second try.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use qd_core::error::{Error, ErrorKind, Result};
use qd_kernel::engine::{RunTicket, Submitted};
use serde_json::Value;

use super::{XENNA, Xenna, blocking};
use crate::code::unpack;
use crate::environment::{Environment, Status};
use crate::run_file::{RunFacts, run_file};
use crate::spec::{ExecutionMode, LogLevel, PipelineSpec};
use crate::supervisor::{self, Launch, Program, SupervisorState, probe};
use crate::templates::{Resolved, resolve};

/// A pipeline that serves answers what is outstanding before it ends; with the kill this stays within ten seconds.
const SERVING_GRACE_MS: u64 = 8_700;
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
        let adopted = || Submitted::Adopted { external_id: external_id(ticket) };
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
        blocking("start the run's supervisor", move || start(&plan, &program)).await?;
        Ok(adopted())
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

fn start(plan: &Plan, program: &Program) -> io::Result<()> {
    fs::create_dir_all(&plan.run_dir)?;
    // Two that submit at once (a step whose lease ran out, in two servers on one folder) go one after the other:
    // the second must not empty the output of what the first has started.
    let lock = File::options().create(true).append(true).open(plan.run_dir.join("submit.lock"))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| io::Error::from(error))?;
    if probe(&plan.dir)? == SupervisorState::NotStarted {
        // What an earlier attempt left is no result of this one.
        match fs::remove_dir_all(&plan.output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&plan.output)?,
        }
        write_run_file(&plan.run_dir, &plan.run_file)?;
    }
    supervisor::launch(&plan.dir, &plan.launch, program).map(drop)
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

/// The attempt's name at this engine: the same for every submit.
fn external_id(ticket: &RunTicket) -> String {
    format!("{XENNA}/{}/{}", ticket.run_id, ticket.attempt)
}
