//! `qd history`: the revisions of a resource.

use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::{self, Format};
use crate::output::lists;
use crate::targets::Target;
use crate::verbs::get;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let target = Target::parse(&client, &args.target).await?;
    let list = get::pages(&client, &target.path("/revisions"), &[], args.limit).await?;
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(&json!({ "items": list.items }))?)?,
        Format::Yaml => out.data(&format::yaml(&json!({ "items": list.items }))?)?,
        output => {
            let revisions = get::decode(&list.items)?;
            let table = lists::revisions(&revisions, output == Format::Wide, invocation.clock.now());
            if output == Format::Name {
                for revision in &revisions {
                    out.line(&format!("{}/revisions/{}", target.label(), revision.number))?;
                }
            } else if table.is_empty() {
                out.note(&format!("{} has no revisions yet; `qd apply` cuts one", target.label()));
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
