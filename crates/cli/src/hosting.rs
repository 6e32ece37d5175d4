//! The server inside this process, for `up` and `serve`: started, signed in to, stopped.
//!
//! Whoever may start the server owns its data folder, and so gets the owner's token into the context file. The context
//! remembers the folder, not only the address: with another port the same entry and the same token are used again.

pub mod edges;
pub mod keeping;
pub mod log;
pub mod proving;
pub mod trust;
pub mod welcome;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use qd_core::plan::Risk;
use qd_kernel::bus::NatsOptions;
use qd_kernel::logs::place::LogStoreOptions;
use qd_kernel::roles::{Role, Roles};
use qd_kernel::store::StoreOptions;
use qd_kernel::{Kernel, KernelOptions};
use qd_pipelines::engine::LOST_AFTER;
use qd_server::{BaseDomain, Boot, BuildInfo};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::context::{Access, ContextFile, Contexts, Entry, parse_server};
use crate::failure::Failure;
use crate::hosting::edges::Edges;
use crate::hosting::keeping::Keeping;
use crate::hosting::proving::Proving;
use crate::hosting::trust::Trust;
use crate::hosting::welcome::Welcome;
use crate::invocation::Invocation;

/// Words shared by `up` and `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct HostWords {
    /// Where the database, code, runs and environments are kept
    #[arg(long, default_value = ".quarterdeck", value_name = "DIR")]
    pub data: PathBuf,
    /// postgres://… instead of the SQLite file in the data folder
    #[arg(long, env = "QD_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// nats://… that joins the processes of one database: they call each other instead of polling, and events go to a
    /// JetStream stream besides
    #[arg(long, env = "QD_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub nats_url: Option<String>,
    /// A .creds file for the NATS server
    #[arg(long, env = "QD_NATS_CREDENTIALS", value_name = "FILE", requires = "nats_url")]
    pub nats_credentials: Option<PathBuf>,
    /// Seconds for which the head of a Ray cluster may answer without knowing a run's job; then the run is lost
    #[arg(long, env = "QD_RAY_LOST_AFTER", value_name = "SECONDS", default_value_t = LOST_AFTER.as_secs())]
    pub ray_lost_after: u64,
    /// s3://bucket/prefix?endpoint=… or file:///folder: where logs are kept, if not in the database
    #[arg(long, env = "QD_LOG_STORE", value_name = "URL")]
    pub log_store: Option<String>,
    /// How people reach the server, if not by the address it listens on
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// example.org, where <tenant>.example.org leads to this server: that host then names the tenant
    #[arg(long, env = "QD_BASE_DOMAIN", value_name = "DOMAIN")]
    pub base_domain: Option<BaseDomain>,
    #[command(flatten)]
    pub edges: Edges,
    #[command(flatten)]
    pub keeping: Keeping,
    #[command(flatten)]
    pub proving: Proving,
    #[command(flatten)]
    pub trust: Trust,
    #[command(flatten)]
    pub welcome: Welcome,
}

/// The part of `serve` alone: what one of several processes does.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Part {
    /// What this process does of what those on one database share: api, worker, observer; needs Postgres where it is not all
    #[arg(long, env = "QD_ROLES", default_value_t, value_parser = roles, value_name = "ROLES")]
    pub roles: Roles,
    /// Seconds for which a stopping server that is no longer /ready goes on taking connections, so that a balancer sees it
    #[arg(long, env = "QD_DRAIN_DELAY", default_value_t = 0, value_name = "SECONDS")]
    pub drain_delay: u16,
    /// Changes of this risk and above (low, medium, high) want a plan that a second person approved
    #[arg(long, env = "QD_REQUIRE_APPROVAL", value_parser = risk, value_name = "RISK")]
    pub require_approval: Option<Risk>,
    /// How many runs may be active at once on an engine, such as xenna=2 (0 lets none start); may be repeated, or have commas
    /// between
    #[arg(long, env = "QD_ENGINE_LIMIT", value_parser = engine_limit, value_delimiter = ',', value_name = "ENGINE=RUNS")]
    pub engine_limit: Vec<(String, u32)>,
}

fn roles(words: &str) -> Result<Roles, String> {
    words.parse().map_err(|error: qd_core::error::Error| error.detail)
}

fn engine_limit(words: &str) -> Result<(String, u32), String> {
    let wrong = || format!("{words:?} is no limit: write an engine and a number, such as xenna=2");
    let (engine, most) = words.split_once('=').ok_or_else(wrong)?;
    let most = most.parse().map_err(|_| wrong())?;
    Ok((engine.to_owned(), most))
}

fn risk(word: &str) -> Result<Risk, String> {
    let known = [Risk::Low, Risk::Medium, Risk::High];
    let found = known.into_iter().find(|risk| risk.as_str() == word);
    found.ok_or_else(|| "a risk is low, medium or high".into())
}

/// A server that runs in the background of this process.
pub struct Hosted {
    pub data: PathBuf,
    /// How this machine reaches it: by the address that it listens on, whatever its certificate says.
    pub url: String,
    /// What its certificate is trusted by, where that is the certificate itself.
    own_root: Option<PathBuf>,
    /// The file of its certificate.
    certificate: Option<PathBuf>,
    kernel: Kernel,
    stop: oneshot::Sender<()>,
    task: JoinHandle<qd_core::error::Result<()>>,
}

/// Opens the data folder, binds the address and begins to answer.
pub async fn start(
    words: &HostWords,
    part: &Part,
    listen: SocketAddr,
    invocation: &Invocation,
) -> Result<Hosted, Failure> {
    let data = std::path::absolute(&words.data)?;
    let keys = words.proving.audit_key.iter().chain(&words.nats_credentials);
    let own = keys.chain(invocation.place.as_ref().map(|file| &file.path)).cloned();
    let credentials = words.nats_credentials.clone();
    let nats = words.nats_url.clone().map(|url| NatsOptions { url, credentials });
    let log_store = words.log_store.clone().map(|url| LogStoreOptions { url, keys: None });
    let mut kernel = KernelOptions {
        nats,
        log_store,
        roles: part.roles,
        approval: part.require_approval,
        engine_limits: part.engine_limit.iter().cloned().collect(),
        secrets: words.trust.secrets(own)?,
        outbound: words.trust.outbound(),
        federation: words.welcome.federation()?,
        ..KernelOptions::default()
    };
    words.keeping.apply(&mut kernel);
    words.proving.apply(&mut kernel);
    let boot = Boot {
        build: BuildInfo::new("qd"),
        data_dir: data.clone(),
        database_url: words.database_url.clone(),
        listen,
        drain_delay: Duration::from_secs(part.drain_delay.into()),
        public_url: words.public_url.clone(),
        edge: words.edges.options(),
        base_domain: words.base_domain.clone(),
        // The API holds specs against their code, a worker starts runs.
        prepare: part.roles.has(Role::Api) || part.roles.has(Role::Worker),
        supervisor: "/proc/self/exe".into(),
        ray_lost_after: Duration::from_secs(words.ray_lost_after),
        kernel,
        store: StoreOptions::default(),
        register: Box::new(|_| {}),
    };
    let server = boot.start().await?;
    let (stop, stopped) = oneshot::channel();
    let scheme = if server.app.has_certificate() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(server.address));
    let own_root = server.app.own_root().map(std::path::absolute).transpose()?;
    let certificate = words.edges.tls_cert.as_ref().map(std::path::absolute).transpose()?;
    let kernel = server.app.kernel.clone();
    let task = tokio::spawn(server.run(async {
        // A dropped sender means the same as a sent word.
        let _ = stopped.await;
    }));
    Ok(Hosted { data, url, own_root, certificate, kernel, stop, task })
}

/// An address that listens everywhere is reached here by loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}

impl Hosted {
    /// Whether it answers the API.
    pub fn serves_api(&self) -> bool {
        self.kernel.options.roles.has(Role::Api)
    }

    /// Makes sure that the context file can speak to this server, and returns how.
    pub async fn sign_in(&self, invocation: &Invocation, make_current: bool) -> Result<Access, Failure> {
        let file = invocation.contexts();
        // Without a place for the file there is nothing to keep others from.
        let _lock = match &file {
            Ok(file) => file.lock().await.ok(),
            Err(_) => None,
        };
        let mut contexts = invocation.place.as_ref().map(ContextFile::read).transpose()?.unwrap_or_default();
        let known = forget_gone(&mut contexts, &self.data);
        let old = known.as_ref().and_then(|name| contexts.contexts.get(name)).cloned().unwrap_or_default();
        let told = invocation.overrides.cacert.clone();
        // A certificate that was its own root, and is none any more.
        let before = old.cacert.clone().filter(|before| Some(before) != self.certificate.as_ref());
        let mut access = Access {
            server: parse_server(&self.url)?,
            token: old.token.clone(),
            tenant: None,
            project: None,
            context: None,
            cacert: roots(&self.url, [told, self.own_root.clone(), before]),
            renewal: None,
            allow_http: true,
        };
        if !self.accepts(access.token.as_deref()).await {
            access.token = Some(self.kernel.owner_token().await?);
        }
        let name = known.unwrap_or_else(|| free_name(&contexts));
        let entry = Entry {
            server: self.url.clone(),
            token: access.token.clone(),
            cacert: access.cacert.clone(),
            refresh: None,
            expires_at: None,
            data: Some(self.data.clone()),
            ..old
        };
        contexts.contexts.insert(name.clone(), entry);
        if make_current || contexts.current.is_none() {
            contexts.current = Some(name.clone());
        }
        access.context = Some(name);
        if let Err(failure) = file.and_then(|file| file.write(&contexts)) {
            // A service without a home still serves; its operator sets QD_CONFIG or makes a token elsewhere.
            invocation
                .out
                .error_line(&format!("warning: {failure}: `qd` will not find this server by itself"));
        }
        Ok(access)
    }

    async fn accepts(&self, token: Option<&str>) -> bool {
        let Some(token) = token else { return false };
        self.kernel.authenticate(token).await.is_ok()
    }

    /// Ends when the server does, which it only does by itself when it cannot go on.
    pub async fn ended(&mut self) -> Failure {
        match (&mut self.task).await {
            Ok(Ok(())) => Failure::local("the server has ended"),
            Ok(Err(error)) => error.into(),
            Err(error) => Failure::local(format!("the server has ended: {error}")),
        }
    }

    /// Lets requests and steps under way finish, then ends.
    pub async fn stop(self) -> Result<(), Failure> {
        // The receiver is only gone when the server has ended already.
        let _ = self.stop.send(());
        match self.task.await {
            Ok(result) => Ok(result?),
            Err(error) => Err(Failure::local(format!("stop the server: {error}"))),
        }
    }
}

/// By which roots this machine trusts its own server: as told, else the server's own, else as before. In the clear there are none.
fn roots(url: &str, choices: [Option<PathBuf>; 3]) -> Option<PathBuf> {
    choices.into_iter().flatten().next().filter(|_| url.starts_with("https://"))
}

/// Drops contexts whose data folder is gone, and finds the one of `data`.
fn forget_gone(contexts: &mut Contexts, data: &Path) -> Option<String> {
    contexts.contexts.retain(|_, entry| entry.data.as_deref().is_none_or(Path::exists));
    if contexts.current.as_ref().is_some_and(|name| !contexts.contexts.contains_key(name)) {
        contexts.current = None;
    }
    contexts
        .contexts
        .iter()
        .find(|(_, entry)| entry.data.as_deref() == Some(data))
        .map(|(name, _)| name.clone())
}

/// `local`, `local-2`, …
fn free_name(contexts: &Contexts) -> String {
    let mut name = "local".to_owned();
    let mut number = 1;
    while contexts.contexts.contains_key(&name) {
        number += 1;
        name = format!("local-{number}");
    }
    name
}

/// Ends at the first SIGINT or SIGTERM.
pub async fn stop_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_keeps_its_context_and_a_gone_one_loses_it() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |data: &Path| Entry { data: Some(data.to_owned()), ..Entry::default() };
        let gone = folder.path().join("gone");
        let mut contexts = Contexts {
            current: Some("local-2".into()),
            contexts: [
                ("local".to_owned(), entry(folder.path())),
                ("local-2".to_owned(), entry(&gone)),
                ("far".to_owned(), Entry::default()),
            ]
            .into(),
        };
        assert_eq!(forget_gone(&mut contexts, folder.path()).as_deref(), Some("local"));
        assert_eq!(contexts.contexts.keys().collect::<Vec<_>>(), ["far", "local"]);
        assert_eq!(contexts.current, None);
        assert_eq!(free_name(&contexts), "local-2");
    }

    #[test]
    fn a_context_keeps_the_roots_of_its_server() {
        let file = |name: &str| Some(PathBuf::from(name));
        let tls = |told, own, before| roots("https://127.0.0.1:7070", [told, own, before]);
        assert_eq!(tls(None, None, file("before")), file("before"));
        assert_eq!(tls(None, file("own"), file("before")), file("own"));
        assert_eq!(tls(file("told"), file("own"), file("before")), file("told"));
        assert_eq!(tls(None, None, None), None);
        assert_eq!(roots("http://127.0.0.1:7070", [file("told"), None, file("before")]), None);
    }

    #[test]
    fn an_address_for_everybody_is_reached_by_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("127.0.0.1:81".parse().unwrap()).to_string(), "127.0.0.1:81");
    }
}
