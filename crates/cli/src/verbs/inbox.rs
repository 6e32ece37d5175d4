//! `qd inbox`: what waits for one's decision, and one's own that was decided.

use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::records;
use crate::verbs::get;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let mut list = get::pages(&client, "/api/v1/inbox", &[], args.limit).await?;
    if args.output == Format::Table || args.output == Format::Wide {
        // A plan is decided on by its id, a revision by its resource.
        for item in &mut list.items {
            if let (Value::String(id), true) = (item["plan_id"].clone(), item["what"] == "plan") {
                item["target"] = format!("plans/{id}").into();
            }
        }
    }
    let columns = [
        ("WHAT", "what"),
        ("TARGET", "target"),
        ("REVISION", "revision"),
        ("PROJECT", "project"),
        ("BY", "by"),
        ("AT", "at"),
        ("MESSAGE", "message"),
    ];
    records::print(invocation, &list, ("inbox", "target"), &columns, args.output)?;
    Ok(Exit::OK)
}
