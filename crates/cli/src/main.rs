//! `qd`, the command line of Quarterdeck.
//!
//! Thin by intent: a verb parses its words, calls the REST API, prints. What a command may do is decided by the
//! server; nothing here opens the database. One verb is one file under `verbs/`; what several share is beside it.

mod args;
mod client;
mod clock;
mod context;
mod documents;
mod exit;
mod failure;
mod hosting;
mod invocation;
mod live;
mod output;
mod params;
mod targets;
mod verbs;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Verb};
use clock::Clock;
use context::{ContextFile, Overrides};
use exit::Exit;
use failure::Failure;
use invocation::Invocation;
use output::Out;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nothing can be said when the stream itself is closed.
            let _ = error.print();
            return if asked { Exit::OK.into() } else { Exit::USAGE.into() };
        }
    };
    let out = Out::new(cli.quiet);
    carry_out(cli, out).unwrap_or_else(|failure| {
        let text = failure.render(out.error_paint());
        if !text.is_empty() {
            out.error_line(&text);
        }
        failure.exit().into()
    })
}

fn carry_out(cli: Cli, out: Out) -> Result<ExitCode, Failure> {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // Most likely the command that should have made one failed: the stored token is perhaps somebody else's.
    if std::env::var("QD_TOKEN").is_ok_and(|token| token.is_empty()) {
        return Err(Failure::usage("QD_TOKEN is empty: give it a token, or unset it to use the context's"));
    }
    // Whoever names a context wants its server, whatever the environment says.
    let named = cli.context.is_some();
    let overrides = Overrides {
        context: cli.context,
        server: cli.server.or_else(|| var("QD_SERVER").filter(|_| !named)),
        token: var("QD_TOKEN"),
        cacert: match cli.cacert.or_else(|| var("QD_CACERT").map(Into::into)) {
            // A context keeps it, for commands that are called elsewhere.
            Some(file) => Some(std::path::absolute(file)?),
            None => None,
        },
        tenant: cli.tenant.or_else(|| var("QD_TENANT")),
        project: cli.project.or_else(|| var("QD_PROJECT")),
    };
    let verb = match cli.verb {
        Verb::Completion(args) => return verbs::completion::run(&args, &out).map(ExitCode::from),
        // Before any thread is started: it forks and reaps.
        Verb::Supervise(args) => return Ok(verbs::supervise::run(&args)),
        verb => verb,
    };
    let invocation = Invocation { out, clock: Clock::system(), place: ContextFile::locate(var), overrides };
    let mut builder = if matches!(verb, Verb::Up(_) | Verb::Serve(_)) {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Failure::local(format!("start the runtime: {error}")))?;
    let exit = runtime.block_on(verbs::dispatch(verb, &invocation));
    // A lookup or a read of standard input that is still under way must not hold the process.
    runtime.shutdown_background();
    exit
}
