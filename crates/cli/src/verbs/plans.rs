//! `qd plans`: the plans that are kept, newest first.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::targets::Noun;
use crate::verbs::get;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those in this state: open, approved, applied, rejected, stale, expired
    #[arg(long)]
    state: Option<String>,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let query: Vec<(&str, String)> = args.state.iter().map(|state| ("state", state.clone())).collect();
    let list = get::pages(&client, "/api/v1/plans", &query, args.limit).await?;
    get::print_list(invocation, &Noun::Plans, &list, args.output)?;
    Ok(Exit::OK)
}
