//! `qd rollback`: publishes the spec of an older revision again, as a new one.

use serde_json::json;

use crate::args::PublishWords;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::targets::Target;
use crate::verbs::{plan, publish};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// The revision whose spec is wanted
    #[arg(long, value_name = "N")]
    to: u64,
    /// Why; kept on the job and in the audit
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    job: PublishWords,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let target = Target::parse(&client, &args.target).await?;
    let request = client.post(&target.path("/rollback")).json(&json!({"to": args.to, "reason": args.reason}));
    if args.job.dry_run {
        return plan::dry_run(invocation, request, args.job.output).await;
    }
    let reply = request.idempotent(args.job.idempotency_key.as_deref())?.send().await?;
    let submitted = reply.value()?["job"]["steps"]
        .as_array()
        .is_some_and(|steps| steps.iter().any(|s| s["name"] == "submit"));
    if submitted {
        let label = clean(&target.label());
        invocation.out.note(&format!(
            "the project publishes only what was reviewed: the old spec is a new revision that waits for `qd approve {label}`"
        ));
    }
    let what = format!("rolling {} back to revision {}", target.label(), args.to);
    publish::conclude(invocation, &client, &reply, &args.job, &what).await
}
