//! `qd serve`: the server alone, for services, containers and tests.
//!
//! The first line on standard output is the address it bound; everything else is log, on standard error.

use std::net::SocketAddr;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::hosting::log::{LogFormat, to_stderr};
use crate::hosting::{self, HostWords, Part, stop_signal};
use crate::invocation::Invocation;
use crate::output::paint::Paint;

#[derive(Debug, clap::Args)]
#[command(after_help = "The level of the log is set by QD_LOG (debug, info, warn, error).")]
pub struct Args {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    host: HostWords,
    #[command(flatten)]
    part: Part,
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let colour = invocation.out.error_paint() != Paint::for_terminal(false);
    to_stderr(args.log_format, colour)?;
    let mut hosted = hosting::start(&args.host, &args.part, args.listen, invocation).await?;
    // Nobody signs in to a process that does not answer.
    let access = match hosted.serves_api() {
        true => hosted.sign_in(invocation, false).await?.context,
        false => None,
    };
    // Last, so that whoever reads it finds a server that answers and a context that speaks to it.
    invocation.out.line(&hosted.url)?;
    tracing::info!(
        url = hosted.url,
        data = %hosted.data.display(),
        roles = %args.part.roles,
        context = access.as_deref().unwrap_or_default(),
        "serving"
    );
    tokio::select! {
        () = stop_signal() => {
            tracing::info!("stopping");
            hosted.stop().await?;
            Ok(Exit::OK)
        }
        failure = hosted.ended() => Err(failure),
    }
}
