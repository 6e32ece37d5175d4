//! `qd runs`: the runs of everything, or of one resource.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::targets::{Noun, Target};
use crate::verbs::get;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those of this resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 0..=2)]
    target: Vec<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Only those in this state: queued, running, succeeded, failed, stopped
    #[arg(long)]
    state: Option<String>,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let query: Vec<(&str, String)> = args.state.iter().map(|state| ("state", state.clone())).collect();
    let path = if args.target.is_empty() {
        "/api/v1/runs".to_owned()
    } else {
        Target::parse(&client, &args.target).await?.path("/runs")
    };
    let list = get::pages(&client, &path, &query, args.limit).await?;
    get::print_list(invocation, &Noun::Runs, &list, args.output)?;
    Ok(Exit::OK)
}
