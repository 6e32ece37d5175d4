//! `qd plan`: what a change would do, kept under an id for a second pair of eyes, and applied by it. And the dry run of the
//! verbs that change something: the same plan, kept nowhere.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::shapes::plan::{Plan, Preview, StoredPlan};
use crate::client::{Client, Reply, Request};
use crate::documents;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::{self, Format};
use crate::output::{clean, plan};
use crate::params;
use crate::targets::{self, Target};
use crate::verbs::apply::{self, Order};
use crate::verbs::publish::without_nulls;
use crate::verbs::secrets::RotatedKey;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Plan to apply this: a YAML or JSON file, a folder of them, or - for standard input; may be repeated
    #[arg(short, long = "file", required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// Publish the new revisions too
    #[arg(long)]
    publish: bool,
    /// What the new revisions are for
    #[arg(short, long)]
    message: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Plan to publish a revision
    Publish {
        #[command(flatten)]
        of: Of,
        /// Which revision; the newest if not said
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
        /// Why; kept on the plan, on its job and in the audit
        #[arg(long)]
        reason: Option<String>,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Plan to publish the spec of an older revision again
    Rollback {
        #[command(flatten)]
        of: Of,
        /// The revision whose spec is wanted
        #[arg(long, value_name = "N")]
        to: u64,
        /// Why
        #[arg(long)]
        reason: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Plan to start a run
    Run {
        #[command(flatten)]
        of: Of,
        /// A parameter; may be repeated. The value is JSON if it reads as JSON, else text
        #[arg(short = 'p', long = "param", value_name = "KEY=VALUE", value_parser = params::parse_pair)]
        params: Vec<(String, String)>,
        /// Run this revision instead of the published one
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Plan to stop a run
    Stop(OfRun),
    /// Plan a new attempt of a run
    Retry(OfRun),
    /// Plan to exchange a key of secrets
    Rotate {
        #[command(flatten)]
        key: RotatedKey,
        /// Why; kept on the plan, on its job and in the audit
        #[arg(long)]
        reason: Option<String>,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct OfRun {
    /// The run: curate#42, its id, or pipelines/curate for the newest
    run: String,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let (reply, output) = match &args.what {
        None => {
            let bundle = documents::read(&args.files)?;
            let order = Order {
                plan: true,
                publish: args.publish,
                message: args.message.as_deref(),
                ..Order::default()
            };
            (apply::send(invocation, &client, &bundle, &order).await?, args.output)
        }
        Some(what) => {
            let (body, output) = body_of(&client, what).await?;
            // Sent again, it is at worst a second plan of the same change.
            let request = client.post("/api/v1/plans").json(&without_nulls(body)).idempotent(None)?;
            (request.send().await?, output)
        }
    };
    made(invocation, &reply, output)
}

async fn body_of(client: &Client, what: &What) -> Result<(Value, Format), Failure> {
    Ok(match what {
        What::Publish { of, revision, reason, output } => {
            let Target { kind, name } = Target::parse(client, &of.target).await?;
            let body = json!({"operation": "publish", "kind": kind.plural, "name": name, "revision": revision, "reason": reason});
            (body, *output)
        }
        What::Rollback { of, to, reason, output } => {
            let Target { kind, name } = Target::parse(client, &of.target).await?;
            let body = json!({"operation": "rollback", "kind": kind.plural, "name": name, "to": to, "reason": reason});
            (body, *output)
        }
        What::Run { of, params, revision, output } => {
            let target = Target::parse(client, &of.target).await?;
            let schema =
                if params.is_empty() { None } else { super::run::params_schema(client, &target).await? };
            let params = params::collect(None, params, schema.as_ref());
            let body = json!({"operation": "run", "kind": target.kind.plural, "name": target.name, "params": params, "revision": revision});
            (body, *output)
        }
        What::Stop(of) => of_run(client, "stop", of).await?,
        What::Retry(of) => of_run(client, "retry", of).await?,
        What::Rotate { key, reason, output } => {
            (json!({"operation": "rotate", "key": key.as_str(), "reason": reason}), *output)
        }
    })
}

async fn of_run(client: &Client, operation: &str, of: &OfRun) -> Result<(Value, Format), Failure> {
    let (run, _) = targets::run(client, &of.run).await?;
    Ok((json!({"operation": operation, "run": run.id, "reason": of.reason}), of.output))
}

/// Prints the plan that was made, and says what can be done with it.
fn made(invocation: &Invocation, reply: &Reply, output: Format) -> Result<Exit, Failure> {
    let stored: StoredPlan = reply.json()?;
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(&reply.value()?)?)?,
        Format::Yaml => out.data(&format::yaml(&reply.value()?)?)?,
        Format::Name => out.line(&format!("plans/{}", clean(&stored.id)))?,
        Format::Table | Format::Wide => {
            out.data(&plan::describe(&stored, invocation.clock.now(), out.paint()))?;
        }
    }
    let id = clean(&stored.id);
    match (closed_gate(&stored.plan), stored.needs_approval) {
        (Some(gate), _) => {
            out.note(&format!("gate {gate} is closed: it cannot be applied until it is open"));
        }
        (None, true) => {
            let hash = clean(&stored.hash);
            out.note(&format!(
                "somebody else approves it: `qd approve {id} --hash {hash}`; then `qd apply --plan {id}`"
            ));
        }
        (None, false) => out.note(&format!("`qd apply --plan {id}` carries it out")),
    }
    Ok(Exit::OK)
}

/// The first gate that refuses the plan.
fn closed_gate(plan: &Plan) -> Option<String> {
    plan.gates.iter().find(|gate| gate.state != "pass").map(|gate| clean(&gate.name))
}

/// Sends a change as a dry run and prints its plan. One that would be refused for a gate exits like the refusal.
pub async fn dry_run(invocation: &Invocation, request: Request<'_>, output: Format) -> Result<Exit, Failure> {
    let reply = request.query("dry_run", true).idempotent(None)?.send().await?;
    let out = &invocation.out;
    let Preview { plan: shown, hash, needs_approval } = reply.json()?;
    match output {
        Format::Json => out.data(&format::json(&reply.value()?)?)?,
        Format::Yaml => out.data(&format::yaml(&reply.value()?)?)?,
        Format::Name | Format::Table | Format::Wide => {
            out.data(&plan::render(&shown, &hash, out.paint()))?;
            if needs_approval {
                out.note(
                    "it wants a second person's approval: `qd plan` makes a plan of it that can be approved",
                );
            }
        }
    }
    out.note("a dry run: nothing was written");
    if let Some(gate) = closed_gate(&shown) {
        out.note(&format!("gate {gate} is closed: the change would be refused"));
        return Ok(Exit::ERROR);
    }
    Ok(Exit::OK)
}
