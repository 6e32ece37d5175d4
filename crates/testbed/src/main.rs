//! `qd-testbed`: the server with the toy plane and the no-op engine beside its own, for tests that kill a real process and
//! for the bench. Never shipped.
//!
//! `serve` takes the words of `qd serve` and, like it, prints the address that it bound as its first line. It writes no
//! context for the command line; `--token-file` is how whoever started it gets in.

mod bench;
mod five;
mod noop;
mod places;
mod toy;
mod world;

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use qd_kernel::{
    KernelOptions,
    bus::NatsOptions,
    clock,
    outbound::OutboundOptions,
    secrets::{KeyPlaces, SecretOptions},
    store::StoreOptions,
};
use qd_server::{Boot, BuildInfo, EdgeOptions, Rates};
use tokio::signal::unix::{SignalKind, signal};

use self::world::client::WorldClient;

#[derive(Parser)]
#[command(name = "qd-testbed", about = "The server with a toy plane, for tests and the bench.")]
enum Words {
    /// Serve until SIGINT or SIGTERM
    Serve(Box<Serve>),
    /// Be the outside world that a toy acts on, until killed
    World(world::WorldArgs),
    /// Say on standard output which operations the server has, as a JSON list of names
    Operations,
    Bench(bench::BenchArgs),
    #[command(hide = true)]
    Hello(bench::HelloArgs),
    #[command(hide = true)]
    Work(bench::WorkArgs),
    #[command(hide = true)]
    Wait(bench::WaitArgs),
    /// What the pipelines engine starts for each attempt of a run
    #[command(hide = true)]
    Supervise {
        /// The attempt's folder
        dir: PathBuf,
    },
}

#[derive(clap::Args)]
struct Serve {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the database, code, runs and environments are kept
    #[arg(long, default_value = ".quarterdeck", value_name = "DIR")]
    data: PathBuf,
    /// postgres://… instead of the SQLite file in the data folder
    #[arg(long, env = "QD_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// How people reach the server, if not by the address it listens on
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    log_format: String,
    /// Write a bearer token of the owner here, readable by this user alone
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// nats://… that joins the servers of one database
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// How long a worker owns a job without a heartbeat, ms
    #[arg(long, value_name = "N")]
    lease_ms: Option<u64>,
    /// Die by SIGKILL at this place, `#n`: at the n-th time; crates/testbed/src/places.rs has the places
    #[arg(long, value_name = "PLACE")]
    die_at: Option<String>,
    /// A file of lines `die PLACE`, `stop PLACE`, `hold PLACE`, read at each place anew
    #[arg(long, value_name = "FILE")]
    places: Option<PathBuf>,
    /// The world in which the no-op engine counts what it does
    #[arg(long, value_name = "URL")]
    world: Option<String>,
    /// Also offer the bench's operation that does nothing
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let served = match Words::parse() {
        Words::Supervise { dir } => return qd_pipelines::supervisor::supervise(&dir),
        Words::Serve(words) => serve(*words),
        Words::World(args) => measure(world::run(args)),
        Words::Operations => operations(),
        Words::Bench(args) => measure(bench::run(args)),
        Words::Hello(args) => measure(bench::hello(args)),
        Words::Work(args) => measure(bench::work(args)),
        Words::Wait(args) => measure(bench::wait(args)),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("qd-testbed: {error}");
            let mut source = error.source();
            while let Some(inner) = source {
                text.push_str(&format!(": {inner}"));
                source = inner.source();
            }
            // With standard error closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(words: Serve) -> Result<(), Box<dyn Error>> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("QD_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    if words.log_format == "json" {
        log.json().flatten_event(true).init();
    } else {
        log.init();
    }
    // Before the server can be heard, so that a signal that comes early is not the default one.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let failpoints = places::failpoints(words.die_at, words.places)?;
    let five = five::Five::new()?;
    let world = words.world.as_deref().map(WorldClient::new).transpose()?;
    let mut kernel = KernelOptions { failpoints: failpoints.clone(), ..KernelOptions::default() };
    kernel.nats = words.nats_url.map(|url| NatsOptions { url, credentials: None });
    kernel.secrets = SecretOptions::read(&KeyPlaces::default(), |name| std::env::var(name).ok())?;
    // What its tests call runs on this machine.
    kernel.outbound = OutboundOptions { private: Some(true), networks: vec![] };
    if let Some(lease) = words.lease_ms {
        kernel.lease = Duration::from_millis(lease);
    }
    let server = Boot {
        build: BuildInfo::new("qd-testbed"),
        data_dir: std::path::absolute(&words.data)?,
        database_url: words.database_url,
        listen: words.listen,
        drain_delay: Duration::ZERO,
        public_url: words.public_url,
        edge: edge(),
        base_domain: None,
        prepare: false,
        supervisor: std::env::current_exe()?,
        ray_lost_after: qd_pipelines::engine::LOST_AFTER,
        kernel,
        store: StoreOptions { failpoints, ..StoreOptions::default() },
        register: Box::new(move |registry| {
            toy::register(registry);
            registry.askable(five).engine(Arc::new(noop::Noop::new(clock::system()).counting(world)));
            if words.bench {
                bench::register(registry);
            }
        }),
    }
    .start()
    .await?;
    if let Some(file) = &words.token_file {
        write_token(file, &server.app.kernel.owner_token().await?)?;
    }
    writeln!(std::io::stdout(), "http://{}", server.address)?;
    server
        .run(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await?;
    Ok(())
}

/// Those of the kernel, of the planes that every server has, and of the toy plane: from the registry of a server that is made
/// as [`serve`] makes one.
#[tokio::main]
async fn operations() -> Result<(), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let five = five::Five::new()?;
    let server = Boot {
        build: BuildInfo::new("qd-testbed"),
        data_dir: data.path().join("data"),
        database_url: None,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        drain_delay: Duration::ZERO,
        public_url: None,
        edge: edge(),
        base_domain: None,
        prepare: false,
        supervisor: std::env::current_exe()?,
        ray_lost_after: qd_pipelines::engine::LOST_AFTER,
        kernel: KernelOptions::default(),
        store: StoreOptions::default(),
        register: Box::new(|registry| {
            toy::register(registry);
            registry.askable(five);
        }),
    }
    .start()
    .await?;
    let names: Vec<&str> =
        server.app.kernel.registry.operations().map(|operation| operation.name()).collect();
    writeln!(std::io::stdout(), "{}", serde_json::json!(names))?;
    Ok(())
}

#[tokio::main]
async fn measure(work: impl Future<Output = bench::Fallible<()>>) -> Result<(), Box<dyn Error>> {
    work.await.map_err(|error| -> Box<dyn Error> { error })
}

/// Tests storm it and the bench measures what it can: nobody is counted.
fn edge() -> EdgeOptions {
    EdgeOptions { rates: Rates::off(), ..EdgeOptions::default() }
}

/// Whole or not at all: whoever waits for the file may read it as soon as it is there.
fn write_token(file: &Path, token: &str) -> std::io::Result<()> {
    let part = file.with_extension("part");
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600).open(&part)?.write_all(token.as_bytes())?;
    std::fs::rename(part, file)
}
