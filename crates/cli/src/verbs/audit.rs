//! `qd audit`: who did what, newest first; and the proof of it: export, verification without a server, keys and checkpoints.

mod export;
mod keys;
mod verify;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
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
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Subcommand)]
enum AuditVerb {
    /// Write a chain to a file that `qd audit verify` proves
    Export(export::Args),
    /// Prove an export, without a server: 0 proved, 1 refuted, 64 wrong usage
    Verify(verify::Args),
    /// Make a key that a server signs with, and print its public half
    Keygen(keys::KeygenArgs),
    /// Print the public keys that ever signed, for `qd audit verify --key`
    Keys(keys::KeysArgs),
    /// Print the newest checkpoint, to be kept elsewhere for `qd audit verify --checkpoint`
    Checkpoint(keys::CheckpointArgs),
}

/// Whose audit, where it is not one project's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Reach {
    Project,
    Tenant,
    Platform,
}

impl Reach {
    fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Tenant => "tenant",
            Self::Platform => "platform",
        }
    }
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only what was done to this object: pipelines/curate, or an id
    #[arg(long, value_name = "KIND/NAME|ID")]
    object: Option<String>,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// Only what this one did, by name
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only what this one did, by id
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// Only what came out so: success, failure or denied
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only what belongs to this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only what was done to this plan and by the job that applied it
    #[arg(long, value_name = "ID")]
    plan: Option<String>,
    /// Only what names the plan with this hash
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,
    /// Only what this request did
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only what has this correlation id
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Only what has this trace id
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Only from then on: a time such as 2026-11-20T09:30:00Z, or how long ago, such as 2h or 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before then, said in the same way
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The records of the project, of all of the tenant, or of the platform
    #[arg(long, value_enum, default_value_t = Reach::Project)]
    reach: Reach,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    match &args.verb {
        None => list(&args.list, invocation).await,
        Some(AuditVerb::Export(args)) => export::run(args, invocation).await,
        Some(AuditVerb::Verify(args)) => verify::run(args, invocation),
        Some(AuditVerb::Keygen(args)) => keys::keygen(args, invocation),
        Some(AuditVerb::Keys(args)) => keys::keys(args, invocation).await,
        Some(AuditVerb::Checkpoint(args)) => keys::checkpoint(args, invocation).await,
    }
}

async fn list(args: &ListArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let now = invocation.clock.now();
    let [since, until] = [&args.since, &args.until].map(|said| said.as_deref().map(|said| moment(said, now)));
    let mut query: Vec<(&str, String)> = [
        ("action", &args.action),
        ("actor", &args.actor),
        ("principal", &args.principal),
        ("outcome", &args.outcome),
        ("job", &args.job),
        ("plan", &args.plan),
        ("plan_hash", &args.plan_hash),
        ("request", &args.request),
        ("correlation", &args.correlation),
        ("trace", &args.trace),
        ("since", &since),
        ("until", &until),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.clone()?)))
    .collect();
    if args.reach != Reach::Project {
        query.push(("reach", args.reach.as_str().to_owned()));
    }
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

/// As the server takes it. What is no span of time goes as it is: the server says what is wrong with it.
fn moment(said: &str, now: OffsetDateTime) -> String {
    let at = humantime::parse_duration(said).ok().and_then(|ago| now.checked_sub(ago.try_into().ok()?));
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| said.to_owned())
}

async fn object_id(client: &Client, object: &str) -> Result<String, Failure> {
    if Uuid::parse_str(object).is_ok() {
        return Ok(object.to_owned());
    }
    let target = Target::parse(client, &[object.to_owned()]).await?;
    let resource: Resource = client.fetch(&target.path("")).await?;
    Ok(resource.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_was() {
        let of = |said: &str| moment(said, datetime!(2026-11-20 12:00:00 UTC));
        assert_eq!(of("2h"), "2026-11-20T10:00:00Z");
        assert_eq!(of("7d"), "2026-11-13T12:00:00Z");
        assert_eq!(of("1h 30m"), "2026-11-20T10:30:00Z");
        for other in ["2026-11-20T09:30:00Z", "yesterday", "2", "", "99999999999y"] {
            assert_eq!(of(other), other);
        }
    }
}
