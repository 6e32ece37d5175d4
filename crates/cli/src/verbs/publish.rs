//! `qd publish`: makes a revision the one that runs start from.

use serde_json::{Value, json};

use crate::args::PublishWords;
use crate::client::shapes::Accepted;
use crate::client::{Client, Reply};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live;
use crate::output::{clean, object};
use crate::targets::Target;
use crate::verbs::plan;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// Which revision; the newest if not said
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    job: PublishWords,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let target = Target::parse(&client, &args.target).await?;
    let body = without_nulls(json!({"revision": args.revision, "reason": args.reason}));
    let request = client.post(&target.path("/publish")).json(&body);
    if args.job.dry_run {
        return plan::dry_run(invocation, request, args.job.output).await;
    }
    let reply = request.idempotent(args.job.idempotency_key.as_deref())?.send().await?;
    conclude(invocation, &client, &reply, &args.job, &format!("publishing {}", target.label())).await
}

/// Prints the job once it has ended; with `--no-wait`, as it was made.
pub async fn conclude(
    invocation: &Invocation,
    client: &Client,
    reply: &Reply,
    words: &PublishWords,
    what: &str,
) -> Result<Exit, Failure> {
    let Accepted { job, .. } = reply.json()?;
    if !words.no_wait {
        return live::job::conclude_and_print(invocation, client, &job.id, words.output).await;
    }
    invocation.out.note(&format!("{}: `qd jobs watch {}` follows it", clean(what), clean(&job.id)));
    object::job(invocation, &job_of(&reply.value()?), words.output)?;
    Ok(Exit::OK)
}

/// The job in the answer to what made it.
pub fn job_of(accepted: &Value) -> Value {
    accepted.get("job").cloned().unwrap_or_default()
}

/// Leaves out what was not said.
pub fn without_nulls(mut body: Value) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    body
}
