//! From a data folder to a listening server: store, migrations, planes, kernel, routes.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::http::Uri;
use qd_core::error::{Error, Result};
use qd_kernel::{
    Kernel, KernelOptions,
    audit::KeySource,
    clock,
    code::CodeStore,
    kernel::Tasks,
    outbound::Outbound,
    registry::Registry,
    resources::SpecReader,
    secrets::Secrets,
    store::{Store, StoreOptions},
};
use qd_pipelines::{
    engine::{RayOptions, XennaOptions},
    supervisor::Program,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    app::app,
    drain,
    edge::{self, Edge, EdgeOptions},
    http::tenant_host::BaseDomain,
    listen::{Closing, Listener},
    metrics::Metrics,
    openapi,
    state::{App, BuildInfo},
};

/// What a server is started from.
pub struct Boot {
    pub build: BuildInfo,
    /// Made where it is missing, readable by its owner alone.
    pub data_dir: PathBuf,
    /// `sqlite:…` in the data folder where absent, or `postgres://…`.
    pub database_url: Option<String>,
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a stopping server that is no longer ready goes on taking connections: as long as a balancer needs to see it.
    pub drain_delay: Duration,
    /// How people reach it; `http://<listen>` where absent, or `https://<listen>` with a certificate.
    pub public_url: Option<String>,
    pub edge: EdgeOptions,
    /// `example.org`, where `<tenant>.example.org` leads to this server as well.
    pub base_domain: Option<BaseDomain>,
    /// Makes the Python environment for pipelines at once instead of when it is first needed.
    pub prepare: bool,
    /// The executable that supervises runs: it must answer `supervise <folder>`.
    pub supervisor: PathBuf,
    /// How long the head of a Ray cluster may answer without knowing a run's job before the run is lost.
    pub ray_lost_after: Duration,
    pub kernel: KernelOptions,
    pub store: StoreOptions,
    /// Planes beyond those that every server has.
    pub register: Box<dyn FnOnce(&mut Registry) + Send>,
}

/// A server that listens; it answers once [`Server::run`] is polled.
pub struct Server {
    pub address: SocketAddr,
    pub app: App,
    drain_delay: Duration,
    listener: Listener,
    closing: Closing,
    tasks: Tasks,
}

impl Boot {
    pub async fn start(mut self) -> Result<Server> {
        make_private(&self.data_dir)?;
        let listener = TcpListener::bind(self.listen).await.map_err(|error| {
            Error::unavailable(
                "address_in_use",
                format!(
                    "listen on {}: {error}; another Quarterdeck may run there: choose another port",
                    self.listen
                ),
            )
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::internal("listen", "read the bound address").with_source(error))?;
        let url =
            self.database_url.unwrap_or_else(|| format!("sqlite:{}", self.data_dir.join("qd.db").display()));
        let store = Store::open(&url, self.store).await?;
        store.migrate().await?;
        let source = clock::system();
        self.kernel.secrets.folder = Some(self.data_dir.clone());
        let mut registry = Registry::default();
        let environments = qd_pipelines::kinds::register(
            &mut registry,
            XennaOptions {
                data: self.data_dir.clone(),
                code: CodeStore::new(store.clone()),
                clock: source.clone(),
                supervisor: Program::supervise(self.supervisor),
            },
            RayOptions {
                code: CodeStore::new(store.clone()),
                specs: SpecReader::new(store.clone()),
                secrets: Secrets::new(store.clone(), source.clone(), self.kernel.secrets.clone()),
                outbound: Outbound::new(&self.kernel.outbound, !store.is_shared()),
                clock: source.clone(),
                lost_after: self.ray_lost_after,
            },
        );
        if self.prepare {
            // Goes on by itself; `/engines` shows how far it is.
            drop(environments.watch(&[]));
        }
        (self.register)(&mut registry);
        let mut options = self.kernel;
        options.audit.key.get_or_insert_with(|| KeySource::Folder(self.data_dir.clone()));
        options.audit.marks.get_or_insert_with(|| self.data_dir.clone());
        let kernel = Kernel::new(store, registry, source, options).await?;
        let openapi: Arc<str> = openapi::document(&kernel.registry, &self.build).to_string().into();
        let metrics = Arc::new(Metrics::new(&self.build));
        self.edge.max_connections = edge::connections::possible(self.edge.max_connections);
        let edge = Edge::new(&self.edge, kernel.source.clone(), &metrics)?;
        if !address.ip().is_loopback() && edge.certificate.is_none() && !self.edge.behind_proxy {
            tracing::warn!(
                %address,
                "passwords and tokens reach this server in the clear: give it a certificate (--tls-cert, --tls-key), or say that a proxy speaks TLS for it (--behind-proxy)"
            );
        }
        let scheme = if edge.certificate.is_some() { "https" } else { "http" };
        let app = App {
            started_at: kernel.source.now(),
            metrics,
            build: self.build,
            data_dir: Arc::new(self.data_dir),
            loopback: address.ip().is_loopback()
                && self.base_domain.is_none()
                && self.public_url.as_deref().is_none_or(is_loopback_url),
            base_domain: self.base_domain.map(Arc::new),
            public_url: self.public_url.unwrap_or_else(|| format!("{scheme}://{address}")).into(),
            draining: CancellationToken::new(),
            stop: CancellationToken::new(),
            openapi,
            edge: Arc::new(edge),
            kernel,
        };
        let tasks = app.kernel.start().await?;
        let (listener, closing) = Listener::new(listener);
        Ok(Server { address, app, drain_delay: self.drain_delay, listener, closing, tasks })
    }
}

impl Server {
    /// Answers until `shutdown`, then takes leave as [`crate::drain`] has it, and closes the store.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Self { app: state, drain_delay, listener, closing, tasks, .. } = self;
        let watching =
            state.edge.certificate.clone().map(|certificate| certificate.watch(state.draining.clone()));
        let watching = watching.map(tokio::spawn);
        let leaving = state.clone();
        let serving = edge::serve::serve(listener, app(state.clone()), state.edge.clone(), async move {
            shutdown.await;
            drain::take_leave(&leaving, closing, drain_delay).await;
        });
        let serving = async {
            tokio::select! {
                () = serving => {}
                () = drain::patience(&state) => {}
            }
        };
        let working = async {
            state.draining.cancelled().await;
            tasks.stop().await;
        };
        tokio::join!(serving, working);
        if let Some(watching) = watching {
            // It ends with `draining`, and holds nothing.
            let _ = watching.await;
        }
        state.kernel.store.close().await;
        Ok(())
    }
}

/// Whether people reach the server on this machine alone; another address means a proxy before it.
fn is_loopback_url(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The data folder holds what only its owner may read: the database, tokens, code, results.
fn make_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let wrap = |error: std::io::Error| {
        Error::unavailable("data_dir", format!("make the data folder {}: {error}", dir.display()))
    };
    if !dir.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrap)?;
    }
    let mode = std::fs::metadata(dir).map_err(wrap)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(dir = %dir.display(), "others on this machine can read the data folder; chmod 700 it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_is_loopback() {
        for own in ["http://127.0.0.1:7070", "http://localhost", "http://[::1]:7070/qd"] {
            assert!(is_loopback_url(own), "{own}");
        }
        for other in ["https://qd.example.org", "http://10.0.0.1:7070", "http://127.0.0.1.example.org", "qd"]
        {
            assert!(!is_loopback_url(other), "{other}");
        }
    }
}
