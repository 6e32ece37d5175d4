//! `qd audit`: who did what, newest first.

use serde_json::json;
use uuid::Uuid;

use crate::client::Client;
use crate::client::shapes::Resource;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::{self, Format};
use crate::output::lists;
use crate::targets::Target;
use crate::verbs::get;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what was done to this object: pipelines/curate, or an id
    #[arg(long, value_name = "KIND/NAME|ID")]
    object: Option<String>,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let mut query: Vec<(&str, String)> =
        args.action.iter().map(|action| ("action", action.clone())).collect();
    if let Some(object) = &args.object {
        query.push(("object", object_id(&client, object).await?));
    }
    let list = get::pages(&client, "/api/v1/audit", &query, args.limit).await?;
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(&json!({ "items": list.items }))?)?,
        Format::Yaml => out.data(&format::yaml(&json!({ "items": list.items }))?)?,
        Format::Name => {
            for item in &list.items {
                out.line(&item.get("id").map(crate::client::shapes::text_of).unwrap_or_default())?;
            }
        }
        output => {
            let table = lists::audit(&get::decode(&list.items)?, output == Format::Wide);
            if table.is_empty() {
                out.note("no audit records");
            } else {
                out.data(&table.render(out.paint()))?;
            }
        }
    }
    if list.more {
        out.note("there is more: --limit says how many are shown, 0 shows all");
    }
    Ok(Exit::OK)
}

async fn object_id(client: &Client, object: &str) -> Result<String, Failure> {
    if Uuid::parse_str(object).is_ok() {
        return Ok(object.to_owned());
    }
    let target = Target::parse(client, &[object.to_owned()]).await?;
    let resource: Resource = client.fetch(&target.path("")).await?;
    Ok(resource.id)
}
