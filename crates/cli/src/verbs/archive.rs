//! `qd archive` and `qd restore`: a resource put away with everything that it has, and taken back.

use reqwest::Method;

use crate::client::Reply;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};
use crate::targets::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let target = Target::parse(&client, &args.target).await?;
    let path = target.path("");
    let read = client.get(&path).send().await?;
    let etag = read.header("etag").unwrap_or_default();
    // The ETag is another one once it is archived: after an answer that was lost, a second try would be refused as stale.
    let reply = client.request(Method::DELETE, &path).if_match(etag)?.once().send().await?;
    print(invocation, &target, &reply, "archived", args.output)
}

/// Without an ETag: the route wants none.
pub async fn restore(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let target = Target::parse(&client, &args.target).await?;
    let reply = client.post(&target.path("/restore")).send().await?;
    print(invocation, &target, &reply, "restored", args.output)
}

fn print(
    invocation: &Invocation,
    target: &Target,
    reply: &Reply,
    done: &str,
    output: Format,
) -> Result<Exit, Failure> {
    let (out, value) = (&invocation.out, reply.value()?);
    match output {
        Format::Json => out.data(&format::json(&value)?)?,
        Format::Yaml => out.data(&format::yaml(&value)?)?,
        Format::Name | Format::Table | Format::Wide => {
            out.line(&format!("{} {done}", clean(&target.label())))?;
        }
    }
    Ok(Exit::OK)
}
