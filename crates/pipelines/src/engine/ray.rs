//! The engine `ray`: each attempt is a job on a Ray cluster, by the cluster's Jobs API.
//!
//! Nothing of an attempt is kept here that could be lost: its job has a name that follows from run and attempt, the job's log
//! holds all that the run says, and the cursor of an observation is a place in that log. So any server of the installation
//! may submit, observe and stop, and one that was killed goes on where it was.
//!
//! What it cannot hold is the cluster itself: Ray keeps jobs in the head's memory. A head that answers and does not know the
//! job makes the run's state unknown; only when that has lasted for a stated time the run ends, `failed` with `lost`.
//!
//! Not here: making clusters, reading results off them, serving (Xenna's queues live in the driver's process).

mod api;
mod attempts;
mod cluster;
pub(crate) mod connection;
mod ending;
mod follow;
mod health;
mod log;
mod log_body;
mod package;
mod reading;
mod submit;

use std::time::Duration;

use async_trait::async_trait;
use qd_core::error::{Error, Result};
use qd_kernel::clock;
use qd_kernel::code::CodeStore;
use qd_kernel::engine::{EngineReading, Observation, RunEngine, RunTicket, Submitted};
use qd_kernel::outbound::Outbound;
use qd_kernel::resources::SpecReader;
use qd_kernel::secrets::Secrets;
use reqwest::Client;
use serde_json::Value;

use attempts::Attempts;
pub(crate) use cluster::ray_connection;
use health::Contacts;

/// The engine's registered name.
pub const RAY: &str = "ray";

/// What the engine is made from.
#[derive(Clone)]
pub struct RayOptions {
    pub code: CodeStore,
    /// Where connections are found.
    pub specs: SpecReader,
    /// Where stored tokens are found.
    pub secrets: Secrets,
    /// Which addresses may be called.
    pub outbound: Outbound,
    pub clock: clock::Source,
    /// How long a head may answer without knowing a job before the run is lost.
    pub lost_after: Duration,
}

/// Long enough for a head that restarts with its state kept outside.
pub const LOST_AFTER: Duration = Duration::from_mins(10);

/// Runs pipelines as jobs on Ray clusters.
pub struct Ray {
    code: CodeStore,
    specs: SpecReader,
    secrets: Secrets,
    outbound: Outbound,
    clock: clock::Source,
    lost_after: Duration,
    /// None where no client can be made: TLS without a root to trust, say.
    client: Option<Client>,
    attempts: Attempts,
    contacts: Contacts,
}

impl Ray {
    #[must_use]
    pub fn new(options: RayOptions) -> Self {
        let client = api::client(&options.outbound).inspect_err(
            |error| tracing::error!(%error, "make a client for Ray clusters: none can be reached"),
        );
        Self {
            code: options.code,
            specs: options.specs,
            secrets: options.secrets,
            outbound: options.outbound,
            clock: options.clock,
            lost_after: options.lost_after,
            client: client.ok(),
            attempts: Attempts::default(),
            contacts: Contacts::default(),
        }
    }
}

#[async_trait]
impl RunEngine for Ray {
    fn name(&self) -> &'static str {
        RAY
    }

    async fn health(&self) -> EngineReading {
        self.contacts.reading(self, &self.clock).await
    }

    /// A run's observations say since when its own cluster is silent; others' clusters are no reason for anything.
    async fn health_of(&self, _external_id: &str) -> Option<EngineReading> {
        None
    }

    async fn submit(&self, ticket: &RunTicket) -> Result<Submitted> {
        self.attempt_submit(ticket).await
    }

    async fn observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation> {
        self.attempt_observe(ticket, cursor).await
    }

    async fn stop(&self, ticket: &RunTicket) -> Result<()> {
        self.attempt_stop(ticket).await
    }

    async fn request(&self, ticket: &RunTicket, _item: Value, _timeout: Duration) -> Result<Value> {
        let detail = format!("{} runs on a cluster, where nothing serves", ticket.run_ref);
        Err(Error::conflict("not_serving", detail))
    }
}
