//! `qd retry`: a new attempt of a run that has ended, with the same revision and parameters.

use serde_json::json;

use crate::args::JobWords;
use crate::client::shapes::Accepted;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live;
use crate::live::run::{Outcome, View, exit_of, follow, tell_detached};
use crate::output::{clean, object};
use crate::targets::{self, run_path};
use crate::verbs::plan;
use crate::verbs::publish::{job_of, without_nulls};

#[derive(Debug, clap::Args)]
#[command(after_help = "With --wait: exit 0 succeeded, 1 failed, 2 error, 3 could not start, 4 stopped.")]
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
    let path = format!("{}/retry", run_path(&run.id));
    let request = client.post(&path).json(&without_nulls(json!({"reason": args.reason})));
    if args.job.dry_run {
        return plan::dry_run(invocation, request, args.job.output).await;
    }
    let reply = request
        .idempotent(args.job.idempotency_key.as_deref())?
        .send()
        .await
        .map_err(|failure| failure.with_exit(Exit::COULD_NOT_START))?;
    let Accepted { job, .. } = reply.json()?;
    if !args.job.wait {
        invocation.out.note(&format!("a new attempt of {0}: `qd watch {0}` follows it", clean(run.label())));
        object::job(invocation, &job_of(&reply.value()?), args.job.output)?;
        return Ok(Exit::OK);
    }
    // Until the job is done the run may still stand where the last attempt left it.
    match live::job::conclude(invocation, &client, &job.id).await? {
        Exit::OK => {}
        Exit::DETACHED => return Ok(Exit::DETACHED),
        _ => return Ok(Exit::COULD_NOT_START),
    }
    match follow(invocation, &client, &run.id, View::Progress, false).await? {
        Outcome::Ended(ended) => {
            object::run(invocation, &client.fetch(&run_path(&run.id)).await?, args.job.output)?;
            Ok(exit_of(&ended))
        }
        Outcome::Detached => {
            tell_detached(invocation, run.label());
            Ok(Exit::DETACHED)
        }
    }
}
