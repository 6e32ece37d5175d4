//! `qd watch`: a run's stages live until it ends. Ctrl-C only looks away.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live::run::{Outcome, View, exit_of, follow, tell_detached};
use crate::targets;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exits as the run ends: 0 succeeded, 1 failed, 2 stopped, 3 could not start.")]
pub struct Args {
    /// The run: curate#42, its id, or pipelines/curate for the newest
    run: String,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let (run, _) = targets::run(&client, &args.run).await?;
    match follow(invocation, &client, &run.id, View::Data, false).await? {
        Outcome::Ended(ended) => Ok(exit_of(&ended)),
        Outcome::Detached => {
            tell_detached(invocation, run.label());
            Ok(Exit::DETACHED)
        }
    }
}
