//! `qd events dead` and `qd events redeliver`: events that a consumer did not take.

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};
use crate::output::table::{Cell, Table, Tone};
use crate::verbs::get;
use crate::verbs::publish::without_nulls;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those of this consumer
    #[arg(long)]
    consumer: Option<String>,
    /// Also those that were delivered since
    #[arg(long)]
    delivered: bool,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct RedeliverArgs {
    /// The dead letter's id
    id: uuid::Uuid,
    /// Why; kept in the audit
    #[arg(long)]
    reason: Option<String>,
}

pub async fn list(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let mut query: Vec<(&str, String)> =
        args.consumer.iter().map(|consumer| ("consumer", consumer.clone())).collect();
    if args.delivered {
        query.push(("delivered", "true".to_owned()));
    }
    let list = get::pages(&client, "/api/v1/dead-letters", &query, args.limit).await?;
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(&json!({ "items": list.items }))?)?,
        Format::Yaml => out.data(&format::yaml(&json!({ "items": list.items }))?)?,
        Format::Name => {
            for item in &list.items {
                out.line(&text(&item["id"]))?;
            }
        }
        Format::Table | Format::Wide if list.items.is_empty() => out.note("no dead letters"),
        Format::Table | Format::Wide => out.data(&table(&list.items).render(out.paint()))?,
    }
    if list.more {
        out.note("there is more: --limit says how many are shown, 0 shows all");
    }
    Ok(Exit::OK)
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&["ID", "CONSUMER", "STATE", "EVENT", "POSITION", "ATTEMPTS", "WHY"]);
    for item in items {
        let row: [Cell; 7] = [
            Cell::toned(text(&item["id"]), Tone::Dim),
            text(&item["consumer"]).into(),
            Cell::state(text(&item["state"])),
            text(&item["event"]["type"]).into(),
            text(&item["event"]["pos"]).into(),
            text(&item["attempts"]).into(),
            text(&item["error"]["message"]).into(),
        ];
        table.row(row);
    }
    table
}

fn text(value: &Value) -> String {
    clean(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

pub async fn redeliver(args: &RedeliverArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let path = format!("/api/v1/dead-letters/{}/redeliver", args.id);
    client.post(&path).json(&without_nulls(json!({ "reason": args.reason }))).send().await?;
    invocation.out.note("its consumer gets it soon: `qd events dead` no longer shows it once it has");
    Ok(Exit::OK)
}
