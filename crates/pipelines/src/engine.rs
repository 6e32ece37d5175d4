//! The engines. `xenna`, which is described here, runs on this machine; [`ray`] on clusters, by their Jobs API.
//!
//! `xenna`: each attempt is a supervised process of its own on a Ray of its own, on this machine.
//!
//! The engine keeps nothing that it could lose. What an attempt is stands in its folder, what happened in the
//! attempt's journal, and the cursor of an observation is a byte offset in it. So a server that was killed goes on
//! where it stopped, and two that look at once see the same.
//!
//! A run's folder is `<data>/runs/<id>`: `spec.json` (the run file), `output/`, and `attempt-<n>/` with launch file,
//! journal and socket.

mod ending;
mod events;
mod folders;
mod health;
mod memory;
mod observe;
pub(crate) mod ray;
mod request;
mod submit;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use qd_core::error::{Error, Result};
use qd_core::id::RunId;
use qd_kernel::clock;
use qd_kernel::code::CodeStore;
use qd_kernel::engine::{EngineReading, Observation, RunEngine, RunTicket, Submitted};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::bounded::in_thread;
use crate::environment::Environments;
use crate::supervisor::Program;

use folders::Folders;
use memory::Memory;

pub use ray::{LOST_AFTER, RAY, Ray, RayOptions};

/// The engine's registered name.
pub const XENNA: &str = "xenna";

/// What the engine is made from.
#[derive(Clone)]
pub struct XennaOptions {
    /// The server's data folder.
    pub data: PathBuf,
    pub code: CodeStore,
    pub clock: clock::Source,
    /// What runs the supervisor: usually [`Program::own`].
    pub supervisor: Program,
}

/// Runs pipelines with Xenna on local Ray.
pub struct Xenna {
    folders: Folders,
    code: CodeStore,
    clock: clock::Source,
    supervisor: Program,
    environments: Environments,
    attempts: Mutex<HashMap<(RunId, u32), Attempt>>,
}

/// What is kept in memory of an attempt; all of it can be had again.
struct Attempt {
    memory: Option<Memory>,
    /// Requests that may be under way in a serving run.
    requests: Arc<Semaphore>,
}

impl Xenna {
    #[must_use]
    pub fn new(options: XennaOptions, environments: Environments) -> Self {
        Self {
            folders: Folders::new(&options.data),
            code: options.code,
            clock: options.clock,
            supervisor: options.supervisor,
            environments,
            attempts: Mutex::default(),
        }
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<(RunId, u32), Attempt>> {
        // What it guards is whole after every statement.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests_of(&self, ticket: &RunTicket) -> Arc<Semaphore> {
        let mut attempts = self.attempts();
        attempts.entry((ticket.run_id, ticket.attempt)).or_insert_with(Attempt::new).requests.clone()
    }
}

impl Attempt {
    fn new() -> Self {
        Self { memory: None, requests: Arc::new(Semaphore::new(request::AT_ONCE)) }
    }
}

#[async_trait]
impl RunEngine for Xenna {
    fn name(&self) -> &'static str {
        XENNA
    }

    async fn health(&self) -> EngineReading {
        health::reading(self.environments.peek(), self.clock.now())
    }

    async fn submit(&self, ticket: &RunTicket) -> Result<Submitted> {
        self.attempt_submit(ticket).await
    }

    async fn reaches(&self, external_id: &str) -> bool {
        self.is_own(external_id).await
    }

    async fn observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation> {
        self.attempt_observe(ticket, cursor).await
    }

    async fn stop(&self, ticket: &RunTicket) -> Result<()> {
        self.check_own(ticket).await?;
        let run_dir = self.folders.run(ticket.run_id);
        let dir = self.folders.attempt(ticket.run_id, ticket.attempt);
        blocking("ask the supervisor to stop", move || submit::stop(&run_dir, &dir)).await
    }

    async fn request(&self, ticket: &RunTicket, item: Value, timeout: Duration) -> Result<Value> {
        self.check_own(ticket).await?;
        let permits = self.requests_of(ticket);
        let dir = self.folders.attempt(ticket.run_id, ticket.attempt);
        request::send(&dir, &permits, self.clock.uuid(), &item, timeout).await
    }

    fn output_dir(&self, run_id: RunId) -> Option<PathBuf> {
        Some(self.folders.output(run_id))
    }
}

/// Blocking work with files and processes, away from the runtime.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("engine_task", format!("could not {action}")).with_source(error))?
        .map_err(|error| unavailable(action, error))
}

/// The same for what may take seconds or starts processes that are tied to their thread.
async fn apart<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    in_thread(action, work).await.and_then(|done| done).map_err(|error| unavailable(action, error))
}

fn unavailable(action: &str, error: std::io::Error) -> Error {
    Error::unavailable("engine_io", format!("could not {action}")).with_source(error)
}
