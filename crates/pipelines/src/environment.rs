//! The Python environments that pipelines run in: made once, used by many, never seen half-made.
//!
//! An environment is a venv in the data folder, named after what it holds: the Python version and the requirements.
//! The base holds Xenna and Ray; a pipeline with requirements of its own gets a thin one on top, which sees the base
//! and adds to it. The runner's files lie beside, under a name of their own, so that another runner costs no
//! download. `ready.json` is written last, and what has none is made again from the start.
//!
//! Making one takes a minute and needs the package index. It happens in a thread that nobody waits for in a
//! request: progress is broadcast, and callers ask again or wait. Two processes on one data folder share a lock.

mod build;
mod pip;
mod python;
mod runner_files;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qd_core::canonical::sha256_hex;
use qd_core::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use python::{Python, find_python};
pub use runner_files::runner_hash;
pub(crate) use runner_files::runner_sources;

/// A build is not tried again sooner after it failed; twice that after the next failure in a row, and so on.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// The longest of these pauses.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(60);

/// An environment that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Names what it holds; part of its folder's name.
    pub key: String,
    pub dir: PathBuf,
    /// The interpreter.
    pub python: PathBuf,
    /// Folder that holds the package `qd_runner`.
    pub runner: PathBuf,
    pub versions: Versions,
}

/// What an environment holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub python: String,
    pub xenna: Option<String>,
    pub ray: Option<String>,
}

/// How far the making of an environment is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// From 1.
    pub step: u32,
    pub total: u32,
    /// What the step does.
    pub title: String,
    /// What it is at, such as the package being fetched.
    pub detail: String,
}

/// What is known of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Preparing(Progress),
    Ready(Environment),
    /// It is tried again when asked for after a pause.
    Failed(Failure),
}

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// With the end of what the installer said.
    pub why: String,
    /// How many failed in a row, this one included.
    pub builds: u32,
    /// The pause counts from here, not from the beginning of a build that may have taken minutes: whoever asks once a
    /// second or two sees the failure.
    at: Instant,
}

/// The environments of one data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Environments {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// By the requirements beside the base's.
    known: Mutex<HashMap<Vec<String>, watch::Receiver<Status>>>,
}

impl Environments {
    /// `data` is the server's data folder; nothing is made before it is asked for.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        let inner = Inner { root: data.join("env"), known: Mutex::new(HashMap::new()) };
        Self { inner: Arc::new(inner) }
    }

    /// The state of the environment with `requirements` beside the base's, and every change of it. Starts to make
    /// it where it is not there.
    pub fn watch(&self, requirements: &[String]) -> watch::Receiver<Status> {
        let mut wanted = requirements.to_vec();
        wanted.sort();
        wanted.dedup();
        let mut known = self.known();
        let mut failed = 0;
        if let Some(found) = known.get(&wanted) {
            match &*found.borrow() {
                Status::Failed(failure) if failure.over_at() <= Instant::now() => failed = failure.builds,
                _ => return found.clone(),
            }
        }
        let status = self.start(wanted.clone(), failed);
        known.insert(wanted, status.clone());
        status
    }

    /// The state of the base, where somebody has asked for it already. Starts nothing.
    #[must_use]
    pub fn peek(&self) -> Option<Status> {
        self.known().get(&Vec::new()).map(|status| status.borrow().clone())
    }

    /// The state now; as [`Self::watch`], it starts what is not there.
    #[must_use]
    pub fn status(&self, requirements: &[String]) -> Status {
        self.watch(requirements).borrow().clone()
    }

    /// The environment, when it is ready; else `environment_preparing` (with what it is at) or
    /// `environment_failed`, both `unavailable`.
    ///
    /// # Errors
    /// As said.
    pub fn ready(&self, requirements: &[String]) -> Result<Environment> {
        self.status(requirements).into_ready()
    }

    /// Waits until the environment is ready.
    ///
    /// # Errors
    /// `environment_failed`.
    pub async fn wait(&self, requirements: &[String]) -> Result<Environment> {
        let mut status = self.watch(requirements);
        let ended = status.wait_for(|status| !matches!(status, Status::Preparing(_))).await;
        match ended {
            Ok(status) => status.clone().into_ready(),
            Err(_) => {
                Err(Error::internal("environment_thread", "the thread that made the environment ended"))
            }
        }
    }

    /// `failed` builds in a row came before.
    fn start(&self, requirements: Vec<String>, failed: u32) -> watch::Receiver<Status> {
        let (sender, receiver) = watch::channel(Status::Preparing(Progress::default()));
        let root = self.inner.root.clone();
        // A thread of its own and not the runtime's: a server that stops does not wait for pip, which ends with
        // the thread that started it.
        let thread = std::thread::Builder::new().name("environment".into());
        let spawned = thread.spawn(move || {
            let report = |progress: Progress| {
                sender.send_replace(Status::Preparing(progress));
            };
            let make = || build::environment_make(&root, &requirements, &report);
            // A panic must not leave it as being prepared for ever.
            let made = catch_unwind(AssertUnwindSafe(make))
                .unwrap_or_else(|_| Err("its thread ended by a defect of Quarterdeck".to_owned()));
            sender.send_replace(match made {
                Ok(environment) => Status::Ready(environment),
                Err(why) => Status::Failed(Failure::now(why, failed)),
            });
        });
        match spawned {
            Ok(_) => receiver,
            Err(error) => {
                let failure = Failure::now(format!("start a thread: {error}"), failed);
                watch::channel(Status::Failed(failure)).1
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Vec<String>, watch::Receiver<Status>>> {
        // What it guards is whole after every statement.
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    pub(crate) fn into_ready(self) -> Result<Environment> {
        match self {
            Self::Ready(environment) => Ok(environment),
            Self::Preparing(progress) => {
                let detail = format!("the Python environment is being prepared: {progress}");
                Err(Error::unavailable("environment_preparing", detail).with_retry_after(5))
            }
            Self::Failed(failure) => Err(failure.into_error()),
        }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.total == 0 {
            return f.write_str("it begins");
        }
        write!(f, "step {} of {}, {}", self.step, self.total, self.title)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl Failure {
    fn now(why: String, before: u32) -> Self {
        Self { why, builds: before.saturating_add(1), at: Instant::now() }
    }

    /// When it may be tried again.
    fn over_at(&self) -> Instant {
        let pause = RETRY_AFTER.saturating_mul(1 << self.builds.saturating_sub(1).min(8));
        self.at + pause.min(RETRY_AFTER_MOST)
    }

    fn into_error(self) -> Error {
        let wait = self.over_at().saturating_duration_since(Instant::now());
        let detail = format!("the Python environment could not be prepared: {}", self.why);
        Error::unavailable("environment_failed", detail)
            .with_retry_after(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
    }
}

/// Names an environment: what it is made from, and nothing of the machine.
fn key_of(python: &str, requirements: &str, own: &[String]) -> String {
    let text = format!("python {python}\n{requirements}\n--\n{}", own.join("\n"));
    sha256_hex(text).chars().take(16).collect()
}

#[cfg(test)]
mod tests;
