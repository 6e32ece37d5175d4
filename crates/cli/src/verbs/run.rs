//! `qd run`: starts a run; with `--wait` its end is the exit code.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::client::shapes::{Accepted, Run};
use crate::client::{Client, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live::run::{Outcome, View, exit_of, follow, tell_detached};
use crate::output::clean;
use crate::output::format::Format;
use crate::output::object::{self, run_label};
use crate::params;
use crate::targets::Target;
use crate::verbs::plan;
use crate::verbs::publish::without_nulls;

#[derive(Debug, clap::Args)]
#[command(after_help = "With --wait: exit 0 succeeded, 1 failed, 2 error, 3 could not start, 4 stopped.")]
pub struct Args {
    /// What to run (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// A parameter; may be repeated. The value is JSON if it reads as JSON, else text
    #[arg(short = 'p', long = "param", value_name = "KEY=VALUE", value_parser = params::parse_pair)]
    params: Vec<(String, String)>,
    /// A YAML or JSON file of parameters; -p goes before it
    #[arg(long, value_name = "FILE")]
    params_file: Option<PathBuf>,
    /// Run this revision instead of the published one
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// Wait until the run has ended
    #[arg(long)]
    wait: bool,
    /// Print the run's log on standard output while waiting (implies --wait)
    #[arg(long)]
    logs: bool,
    /// Say what would happen, and write nothing
    #[arg(long, conflicts_with_all = ["wait", "logs", "idempotency_key"])]
    dry_run: bool,
    /// How to print the run that was started
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    output: Format,
    /// Use this key instead of a new one: the same key starts nothing twice
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    if args.dry_run {
        let client = invocation.client()?;
        let request = request(args, &client).await?;
        return plan::dry_run(invocation, request, args.output).await;
    }
    let (client, run) =
        start(args, invocation).await.map_err(|failure| failure.with_exit(Exit::COULD_NOT_START))?;
    if !(args.wait || args.logs) {
        object::run(invocation, &run, args.output)?;
        invocation.out.note(&format!("`qd watch {}` follows it", clean(run_label(&run))));
        return Ok(Exit::OK);
    }
    invocation.out.note(&format!("started {}", clean(run_label(&run))));
    let id = run.get("id").and_then(Value::as_str).unwrap_or_default();
    match follow(invocation, &client, id, View::Progress, args.logs).await? {
        Outcome::Ended(ended) => {
            if !args.logs {
                let value = match args.output {
                    Format::Name => run,
                    _ => client.fetch(&crate::targets::run_path(id)).await?,
                };
                object::run(invocation, &value, args.output)?;
            }
            Ok(exit_of(&ended))
        }
        Outcome::Detached => {
            tell_detached(invocation, run_label(&run));
            Ok(Exit::DETACHED)
        }
    }
}

async fn start(args: &Args, invocation: &Invocation) -> Result<(Client, Value), Failure> {
    let client = invocation.client()?;
    let request = request(args, &client).await?;
    let reply = request.idempotent(args.idempotency_key.as_deref())?.send().await?;
    let Accepted { run, .. } = reply.json()?;
    let value = reply
        .value()?
        .get("run")
        .cloned()
        .filter(|_| run.as_ref().is_some_and(|run: &Run| !run.id.is_empty()));
    let value = value.ok_or_else(|| Failure::Answer {
        server: client.server().to_string(),
        detail: "the run is missing in the answer".into(),
    })?;
    Ok((client, value))
}

async fn request<'c>(args: &Args, client: &'c Client) -> Result<Request<'c>, Failure> {
    let target = Target::parse(client, &args.target).await?;
    let file = args.params_file.as_deref().map(params::read_file).transpose()?;
    let schema = if args.params.is_empty() { None } else { params_schema(client, &target).await? };
    let params = params::collect(file, &args.params, schema.as_ref());
    let body = without_nulls(json!({"params": params, "revision": args.revision}));
    Ok(client.post(&target.path("/runs")).json(&body))
}

/// The schema of the parameters, to read `-p` by; without a published spec the server decides alone.
pub async fn params_schema(client: &Client, target: &Target) -> Result<Option<Value>, Failure> {
    let resource: Value = client.fetch(&target.path("")).await?;
    Ok(resource.get("params_schema").cloned())
}
