//! `qd stop`: asks for the end of a run; a serving run answers what is outstanding first.

use serde_json::json;

use crate::args::JobWords;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live::run::{Outcome, View, follow, tell_detached};
use crate::output::{clean, object};
use crate::targets::{self, run_path};
use crate::verbs::plan;
use crate::verbs::publish::{job_of, without_nulls};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: curate#42, its id, or pipelines/curate for the newest
    run: String,
    /// Why; kept on the job and in the audit
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    job: JobWords,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let (run, _) = targets::run(&client, &args.run).await?;
    let path = format!("{}/stop", run_path(&run.id));
    let request = client.post(&path).json(&without_nulls(json!({"reason": args.reason})));
    if args.job.dry_run {
        return plan::dry_run(invocation, request, args.job.output).await;
    }
    let reply = request.idempotent(args.job.idempotency_key.as_deref())?.send().await?;
    if !args.job.wait {
        invocation.out.note(&format!("stopping {}: `qd watch {0}` follows it", clean(run.label())));
        object::job(invocation, &job_of(&reply.value()?), args.job.output)?;
        return Ok(Exit::OK);
    }
    match follow(invocation, &client, &run.id, View::Progress, false).await? {
        // The command was to stop it; that it was faster and succeeded is no error either.
        Outcome::Ended(_) => {
            object::run(invocation, &client.fetch(&run_path(&run.id)).await?, args.job.output)?;
            Ok(Exit::OK)
        }
        Outcome::Detached => {
            tell_detached(invocation, run.label());
            Ok(Exit::DETACHED)
        }
    }
}
