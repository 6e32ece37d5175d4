//! `qd approve` and `qd reject`: a second person's yes or no to a plan. A yes is given to the plan's hash.

use serde_json::json;

use crate::client::shapes::plan::StoredPlan;
use crate::client::{Client, Reply, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan's id
    plan: String,
    /// The hash of the plan that you looked at; without it, that of the plan as it is, which never changes
    #[arg(long)]
    hash: Option<String>,
    /// Why; kept with the plan and in the audit
    #[arg(long)]
    reason: Option<String>,
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct RejectArgs {
    /// The plan's id
    plan: String,
    /// Why; kept with the plan and in the audit
    #[arg(long)]
    reason: String,
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let path = plan_path(&args.plan);
    let hash = match &args.hash {
        Some(hash) => hash.clone(),
        None => client.fetch::<StoredPlan>(&path).await?.hash,
    };
    let body = json!({"hash": hash, "reason": args.reason.as_deref().unwrap_or_default()});
    let reply = decide(&client, &format!("{path}/approve"), &body).await?;
    let plan: StoredPlan = reply.json()?;
    invocation.out.note(&format!(
        "approved {}: `qd apply --plan {}` carries it out",
        clean(&plan.hash),
        clean(&plan.id)
    ));
    print(invocation, &reply, args.output)
}

pub async fn reject(args: &RejectArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let path = format!("{}/reject", plan_path(&args.plan));
    let reply = decide(&client, &path, &json!({"reason": args.reason})).await?;
    print(invocation, &reply, args.output)
}

async fn decide(client: &Client, path: &str, body: &serde_json::Value) -> Result<Reply, Failure> {
    client.post(path).json(body).send().await
}

/// `plans/<id>` or the id alone.
pub fn plan_path(id: &str) -> String {
    let bare = id.strip_prefix("plans/").or_else(|| id.strip_prefix("plan/")).unwrap_or(id);
    format!("/api/v1/plans/{}", segment(bare))
}

fn print(invocation: &Invocation, reply: &Reply, output: Format) -> Result<Exit, Failure> {
    let plan: StoredPlan = reply.json()?;
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(&reply.value()?)?)?,
        Format::Yaml => out.data(&format::yaml(&reply.value()?)?)?,
        Format::Name => out.line(&format!("plans/{}", clean(&plan.id)))?,
        Format::Table | Format::Wide => {
            out.data(&crate::output::plan::describe(&plan, invocation.clock.now(), out.paint()))?;
        }
    }
    Ok(Exit::OK)
}
