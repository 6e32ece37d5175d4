//! `qd approve` and `qd reject`: a second person's yes or no to a plan, or to a revision that is in review. A yes is given to a plan's
//! hash: of a revision, that of the plan that publishes it.

use serde_json::json;

use crate::client::shapes::plan::StoredPlan;
use crate::client::{Client, Reply, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};
use crate::verbs::review::{self, Decision};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan's id, or the resource whose revision is in review (pipelines/curate)
    #[arg(value_name = "PLAN | KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// Of a resource: which revision; the newest if not said
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// The hash of the plan that you looked at; without it, that of the plan as it is
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
    /// The plan's id, or the resource whose revision is in review (pipelines/curate)
    #[arg(value_name = "PLAN | KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// Of a resource: which revision; the newest if not said
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// Why; kept with the plan and in the audit
    #[arg(long)]
    reason: String,
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let reason = args.reason.as_deref().unwrap_or_default();
    let Some(plan) = plan_of(&args.target) else {
        let decision = Decision {
            target: &args.target,
            revision: args.revision,
            hash: args.hash.as_deref(),
            reason,
            output: args.output,
        };
        return review::approve(&decision, invocation).await;
    };
    let client = invocation.client()?;
    let path = plan_path(plan);
    let hash = match &args.hash {
        Some(hash) => hash.clone(),
        None => client.fetch::<StoredPlan>(&path).await?.hash,
    };
    let body = json!({"hash": hash, "reason": reason});
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
    let Some(plan) = plan_of(&args.target) else {
        let (target, reason) = (&args.target, &args.reason);
        let decision = Decision { target, revision: args.revision, hash: None, reason, output: args.output };
        return review::reject(&decision, invocation).await;
    };
    let client = invocation.client()?;
    let path = format!("{}/reject", plan_path(plan));
    let reply = decide(&client, &path, &json!({"reason": args.reason})).await?;
    print(invocation, &reply, args.output)
}

async fn decide(client: &Client, path: &str, body: &serde_json::Value) -> Result<Reply, Failure> {
    client.post(path).json(body).send().await
}

/// A plan is one word that names no resource.
fn plan_of(words: &[String]) -> Option<&str> {
    match words {
        [word] if !word.contains('/') || word.starts_with("plans/") || word.starts_with("plan/") => {
            Some(word)
        }
        _ => None,
    }
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
