//! `qd up`: Quarterdeck on this machine, from nothing to a finished example, and then up until Ctrl-C.
//!
//! Everything after the start goes through the same REST client as the other verbs. The example is set up once: what
//! is there already, perhaps changed since by its owner, is left alone. The sign-in link is written to a terminal and
//! nowhere else.

mod environment;
mod example;
mod farewell;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::hosting::{self, HostWords, Hosted, Part, log, stop_signal};
use crate::invocation::Invocation;
use crate::output::{age, clean};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 7070)]
    port: u16,
    #[command(flatten)]
    host: HostWords,
    /// The example to set up and run: a folder with documents and code
    #[arg(long, default_value = "examples/curate", value_name = "DIR")]
    example: PathBuf,
    /// Only the server, without the example
    #[arg(long)]
    bare: bool,
    /// When stopping, stop the runs that are under way as well
    #[arg(long)]
    stop_runs: bool,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let began = Instant::now();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    make_folder(&args.host.data)?;
    let log = log::to_file_later()?;
    let mut hosted = hosting::start(&args.host, &Part::default(), listen, invocation).await?;
    // The folder's lock and the port are ours: the log of a server that runs here stays where it is.
    log.open(&args.host.data)?;
    let access = hosted.sign_in(invocation, true).await?;
    let client = Client::new(&access, invocation.clock.clone(), invocation.out)?;
    let paint = invocation.out.paint();
    invocation.out.line(&format!(
        "{} {} is up on {} {}",
        paint.bold("Quarterdeck"),
        env!("CARGO_PKG_VERSION"),
        paint.bold(&hosted.url),
        paint.dim(&format!(
            "({}; data in {})",
            age::duration(began.elapsed().as_secs_f64()),
            hosted.data.display()
        )),
    ))?;
    let data = hosted.data.clone();
    tokio::select! {
        biased;
        () = stop_signal() => end(args, invocation, &client, hosted).await,
        failure = tour(args, invocation, &client, &data) => {
            hosted.stop().await?;
            Err(failure)
        }
        failure = hosted.ended() => Err(failure),
    }
}

/// Shows what there is to show and then waits; ends only when nobody can see it any more.
async fn tour(args: &Args, invocation: &Invocation, client: &Client, data: &Path) -> Failure {
    if let Err(failure) = show(args, invocation, client, data).await {
        if matches!(failure, Failure::OutputClosed) {
            return failure;
        }
        // The server is fine, only the tour ended early: it stays.
        invocation.out.error_line(&failure.render(invocation.out.error_paint()));
    }
    match stay(invocation, client).await {
        Err(failure @ Failure::OutputClosed) => failure,
        _ => std::future::pending().await,
    }
}

/// The environment, then the example.
async fn show(args: &Args, invocation: &Invocation, client: &Client, data: &Path) -> Result<(), Failure> {
    if !args.bare && environment::wait(invocation, client).await? {
        example::run(invocation, client, &args.example, data).await?;
    }
    Ok(())
}

/// Says how to get in and what to try.
async fn stay(invocation: &Invocation, client: &Client) -> Result<(), Failure> {
    let (out, paint) = (&invocation.out, invocation.out.paint());
    let server = client.server().as_str().trim_end_matches('/').to_owned();
    out.line("")?;
    if out.stdout_is_terminal() {
        let link: Value = client.post("/api/v1/auth/links").json(&json!({})).send().await?.value()?;
        let url = link.get("url").and_then(Value::as_str).map(clean).unwrap_or_default();
        out.line(&format!("  sign in   {}", paint.bold(&url)))?;
        out.line(&format!(
            "            {}",
            paint.dim("works once, for ten minutes; `qd auth link` makes another")
        ))?;
    } else {
        out.line(&format!("  open      {server}"))?;
        out.line("  sign in   `qd auth link` prints a link that works once")?;
    }
    out.line(&format!("  try       {} get pipelines", program()))?;
    out.line("  Ctrl-C    stops the server; runs under way go on without it")
}

async fn end(args: &Args, invocation: &Invocation, client: &Client, hosted: Hosted) -> Result<Exit, Failure> {
    let stop = async {
        farewell::tell(invocation, client, args.stop_runs).await;
        hosted.stop().await
    };
    tokio::select! {
        stopped = stop => stopped.map(|()| Exit::OK),
        () = stop_signal() => {
            invocation.out.error_line("stopped at once, as asked twice");
            Ok(Exit::DETACHED)
        }
    }
}

/// How this program is called from the same terminal.
fn program() -> String {
    let exe = std::env::current_exe().unwrap_or_else(|_| "qd".into());
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| exe.parent() == Some(folder.as_path()))
    });
    if found { "qd".into() } else { exe.display().to_string() }
}

fn make_folder(data: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(|error| Failure::local(format!("make the data folder {}: {error}", data.display())))
}
