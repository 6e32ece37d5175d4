//! `qd share` and `qd unshare`: one resource for a person, a service or a team.

use clap::ValueEnum;
use reqwest::Method;
use serde_json::json;

use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::{clean, records};
use crate::targets::Target;
use crate::verbs::get;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum As {
    /// Sees it, its runs and its logs
    Viewer,
    /// Runs and stops it besides
    Operator,
    /// Changes and publishes it besides
    Editor,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME")]
    target: String,
    /// A person or service, or team:NAME; without, those with whom it is shared are listed
    with: Option<String>,
    #[arg(long = "as", value_enum, default_value = "viewer", requires = "with")]
    level: As,
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct UnshareArgs {
    /// The resource (pipelines/curate), and with whom it is shared no longer
    #[arg(value_name = "KIND/NAME WITH", num_args = 2..=3, required = true)]
    words: Vec<String>,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let target = Target::parse(&client, std::slice::from_ref(&args.target)).await?;
    let Some(with) = &args.with else {
        let list = get::pages(&client, &target.path("/sharing"), &[], 0).await?;
        let columns = [("WITH", "holder"), ("AS", "as"), ("BY", "by"), ("SINCE", "since")];
        records::print(invocation, &list, ("holders", "holder"), &columns, args.output)?;
        return Ok(Exit::OK);
    };
    let level = args.level.to_possible_value();
    let level = level.as_ref().map_or("viewer", |value| value.get_name());
    let path = target.path(&format!("/sharing/{}", segment(with)));
    client.request(Method::PUT, &path).json(&json!({ "as": level })).send().await?;
    invocation.out.note(&clean(&format!("{} is shared with {with} as {level}", target.label())));
    Ok(Exit::OK)
}

pub async fn unshare(args: &UnshareArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let Some((with, target)) = args.words.split_last() else {
        return Err(Failure::usage("say what, and with whom it is shared no longer"));
    };
    let target = Target::parse(&client, target).await?;
    let path = target.path(&format!("/sharing/{}", segment(with)));
    client.request(Method::DELETE, &path).send().await?;
    invocation.out.note(&clean(&format!("{} is no longer shared with {with}", target.label())));
    Ok(Exit::OK)
}
