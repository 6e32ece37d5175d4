//! What every handler shares.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use qd_core::time::Timestamp;
use qd_kernel::{Kernel, kind::Kind};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{edge::Edge, http::tenant_host::BaseDomain, metrics::Metrics};

/// What this binary is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BuildInfo {
    pub service: &'static str,
    pub version: &'static str,
    /// `unknown` outside a git checkout.
    pub git_sha: &'static str,
}

impl BuildInfo {
    pub const fn new(service: &'static str) -> Self {
        let git_sha = match option_env!("QD_GIT_SHA") {
            Some(sha) => sha,
            None => "unknown",
        };
        Self { service, version: env!("CARGO_PKG_VERSION"), git_sha }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub kernel: Kernel,
    pub metrics: Arc<Metrics>,
    pub build: BuildInfo,
    pub data_dir: Arc<PathBuf>,
    pub started_at: Timestamp,
    /// How people reach this server: `http://127.0.0.1:7070`.
    pub public_url: Arc<str>,
    /// A tenant's name before it, in the host of a request, names the tenant.
    pub base_domain: Option<Arc<BaseDomain>>,
    /// Bound to loopback only, and known by no other address: `/metrics` and `/ready` need no token then, unless a proxy
    /// passes the request on.
    pub loopback: bool,
    /// The server takes leave: it is not ready any more.
    pub draining: CancellationToken,
    /// Ends every stream when the server stops.
    pub stop: CancellationToken,
    pub openapi: Arc<str>,
    pub edge: Arc<Edge>,
}

impl App {
    /// People reach this server by https: what their browsers keep of it must not leave by anything else.
    pub fn secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// It speaks TLS itself.
    pub fn has_certificate(&self) -> bool {
        self.edge.certificate.is_some()
    }

    /// The file of its certificate, where that is its own root.
    pub fn own_root(&self) -> Option<&Path> {
        self.edge.certificate.as_ref()?.own_root()
    }
}

/// The state of the routes of one kind.
#[derive(Clone)]
pub struct KindApp {
    pub app: App,
    pub kind: Arc<dyn Kind>,
}

impl axum::extract::FromRef<KindApp> for App {
    fn from_ref(kind: &KindApp) -> Self {
        kind.app.clone()
    }
}
