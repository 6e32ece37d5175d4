//! `qd events`: what has happened, and with `-f` what happens, each event once. `dead` and `redeliver` are about what a
//! consumer did not take.

mod dead;

use std::collections::VecDeque;

use futures::StreamExt;
use serde_json::Value;

use crate::client::Client;
use crate::client::follow::Signal;
use crate::client::shapes::{Event, EventPage};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::lists::event_line;
use crate::output::{clean, format};

/// Events asked for at once.
const PAGE: usize = 500;

#[derive(Debug, clap::Subcommand)]
enum Letters {
    /// Events that a consumer did not take, newest first
    Dead(dead::Args),
    /// Send one of them to its consumer again
    Redeliver(dead::RedeliverArgs),
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    letters: Option<Letters>,
    /// Go on with what happens; Ctrl-C ends it
    #[arg(short, long)]
    follow: bool,
    /// Begin after this position; 0 begins at the beginning
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// At most this many of the past, the newest unless --after says where to begin; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// json prints one object a line
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    match &args.letters {
        Some(Letters::Dead(args)) => return dead::list(args, invocation).await,
        Some(Letters::Redeliver(args)) => return dead::redeliver(args, invocation).await,
        None => {}
    }
    let client = invocation.client()?;
    let mut after = args.after;
    if !args.follow || args.after.is_some() {
        let past = past(&client, args).await?;
        if past.is_empty() && !args.follow {
            invocation.out.note("no events");
        }
        for item in &past {
            print(invocation, item, args.output)?;
        }
        after = past.last().and_then(position).or(after);
    }
    if !args.follow {
        return Ok(Exit::OK);
    }
    let query: Vec<(&str, String)> = after.iter().map(|after| ("after", after.to_string())).collect();
    let mut signals = client.follow("/api/v1/events", &query, after.map(|after| after.to_string())).signals();
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::OK),
            signal = signals.next() => match signal {
                None => return Ok(Exit::OK),
                Some(signal) => if let Signal::Message(message) = signal? {
                    match message.event.as_str() {
                        "end" => return Ok(Exit::OK),
                        "gap" => invocation.out.error_line(&format!("older events are gone: {}", clean(&message.data))),
                        _ => if let Ok(event) = serde_json::from_str::<Value>(&message.data) {
                            print(invocation, &event, args.output)?;
                        },
                    }
                },
            },
        }
    }
}

/// The events after `--after`, or the newest ones; oldest first.
async fn past(client: &Client, args: &Args) -> Result<Vec<Value>, Failure> {
    let wanted = if args.limit == 0 || args.follow { usize::MAX } else { args.limit };
    match args.after {
        None if wanted < usize::MAX => newest(client, wanted).await,
        after => oldest(client, after.unwrap_or(0), wanted).await,
    }
}

async fn oldest(client: &Client, mut after: u64, wanted: usize) -> Result<Vec<Value>, Failure> {
    let mut items = vec![];
    while items.len() < wanted {
        let page = page(client, "after", after, wanted - items.len()).await?;
        let Some(last) = page.last().and_then(position) else { break };
        items.extend(page);
        after = last;
    }
    Ok(items)
}

async fn newest(client: &Client, wanted: usize) -> Result<Vec<Value>, Failure> {
    let mut items = VecDeque::new();
    // 0 is the end.
    let mut before = 0;
    while items.len() < wanted && before != 1 {
        let page = page(client, "before", before, wanted - items.len()).await?;
        let Some(first) = page.first().and_then(position) else { break };
        page.into_iter().rev().for_each(|item| items.push_front(item));
        before = first;
    }
    Ok(items.into())
}

/// At most `most` events from one side of a position, oldest first.
async fn page(client: &Client, side: &str, position: u64, most: usize) -> Result<Vec<Value>, Failure> {
    let request = client.get("/api/v1/events").query("limit", PAGE.min(most)).query(side, position);
    let page: EventPage = request.send().await?.json()?;
    Ok(page.items)
}

fn position(item: &Value) -> Option<u64> {
    item.get("pos").and_then(Value::as_u64)
}

fn print(invocation: &Invocation, item: &Value, output: Format) -> Result<(), Failure> {
    match output {
        Format::Json => invocation.out.line(&item.to_string()),
        Format::Yaml => invocation.out.data(&format!("---\n{}", format::yaml(item)?)),
        Format::Name => invocation.out.line(&item.get("pos").map(Value::to_string).unwrap_or_default()),
        Format::Table | Format::Wide => {
            let event: Event = serde_json::from_value(item.clone()).unwrap_or_default();
            invocation.out.line(&event_line(&event))
        }
    }
}
