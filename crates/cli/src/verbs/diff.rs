//! `qd diff`: what an apply would change, or what lies between two revisions. Exit 0 same, 1 different, 2 error.

use std::path::PathBuf;

use serde_json::Value;

use crate::client::shapes::{Applied, Change, Page, Resource, Revision};
use crate::client::{Client, Reply};
use crate::documents;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::changes;
use crate::output::format::{self, Format};
use crate::targets::Target;
use crate::verbs::apply::{Order, describe, send};
use crate::verbs::get::decode;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no difference, 1 there are differences, 2 error.")]
pub struct Args {
    /// Compare two revisions of this resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required_unless_present = "files")]
    target: Vec<String>,
    /// Compare these documents with what the server has
    #[arg(short, long = "file", value_name = "FILE|DIR|-", conflicts_with_all = ["target", "from", "to"])]
    files: Vec<PathBuf>,
    /// The older revision; the published one if not said
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The newer revision; the newest if not said
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    if args.files.is_empty() {
        revisions(args, invocation, &client).await
    } else {
        files(args, invocation, &client).await
    }
}

async fn files(args: &Args, invocation: &Invocation, client: &Client) -> Result<Exit, Failure> {
    let bundle = documents::read(&args.files)?;
    let reply = send(invocation, client, &bundle, &Order { dry_run: true, ..Order::default() }).await?;
    let applied: Applied = reply.json()?;
    if !machine(args, invocation, &reply)? {
        let paint = invocation.out.paint();
        for item in
            applied.items.iter().filter(|item| item.outcome != "unchanged" || !item.violations.is_empty())
        {
            invocation.out.data(&describe(item, true, true, &bundle.sources, paint))?;
        }
    }
    Ok(if applied.items.iter().any(|item| !item.violations.is_empty()) {
        Exit::ERROR
    } else if applied.items.iter().any(|item| item.outcome != "unchanged") {
        Exit::DIFFERS
    } else {
        Exit::OK
    })
}

async fn revisions(args: &Args, invocation: &Invocation, client: &Client) -> Result<Exit, Failure> {
    let target = Target::parse(client, &args.target).await?;
    let (from, to) = match (args.from, args.to) {
        (Some(from), Some(to)) => (from, to),
        (from, to) => {
            let resource: Resource = client.fetch(&target.path("")).await?;
            let newest = match to {
                Some(to) => to,
                None => newest(client, &target, &resource).await?,
            };
            let from = from.or(resource.published.map(|published| published.number)).ok_or_else(|| {
                Failure::usage(format!("{} has no published revision: say --from", target.label()))
            })?;
            (from, newest)
        }
    };
    let reply = client.get(&target.path(&format!("/revisions/{to}/diff"))).query("from", from).send().await?;
    let answer: Value = reply.value()?;
    let list = answer.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    let list: Vec<Change> = decode(&list)?;
    if !machine(args, invocation, &reply)? {
        if list.is_empty() {
            invocation.out.note(&format!("revisions {from} and {to} of {} are the same", target.label()));
        } else {
            invocation.out.note(&format!("{} from revision {from} to {to}", target.label()));
            invocation.out.data(&changes::render(&list, invocation.out.paint()))?;
        }
    }
    Ok(if list.is_empty() { Exit::OK } else { Exit::DIFFERS })
}

async fn newest(client: &Client, target: &Target, resource: &Resource) -> Result<u64, Failure> {
    if let Some(latest) = &resource.latest_revision {
        return Ok(latest.number);
    }
    let page: Page<Revision> =
        client.get(&target.path("/revisions")).query("limit", 1).send().await?.json()?;
    let newest = page.items.first().map(|revision| revision.number);
    newest.ok_or_else(|| Failure::local(format!("{} has no revisions yet", target.label())))
}

fn machine(args: &Args, invocation: &Invocation, reply: &Reply) -> Result<bool, Failure> {
    match args.output {
        Format::Json => invocation.out.data(&format::json(&reply.value()?)?)?,
        Format::Yaml => invocation.out.data(&format::yaml(&reply.value()?)?)?,
        _ => return Ok(false),
    }
    Ok(true)
}
