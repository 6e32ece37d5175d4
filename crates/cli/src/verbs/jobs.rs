//! `qd jobs`: every change under way, what it waits for, and its steps.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::segment;
use crate::client::shapes::plan::Plan;
use crate::client::shapes::{Job, actor_name};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live::{self, job_table};
use crate::output::age::{age, between};
use crate::output::format::{self, Format};
use crate::output::paint::Paint;
use crate::output::table::Table;
use crate::output::{clean, clean_lines, lists, object, plan};
use crate::targets::Noun;
use crate::verbs::get;
use crate::verbs::publish::{job_of, without_nulls};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List jobs, newest first (the default)
    List(ListArgs),
    /// Show one job with its steps
    Show {
        id: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Follow a job until it ends: exit 0 succeeded, 1 failed, cancelled or undone
    Watch {
        id: String,
        /// How to print the job when it has ended
        #[arg(short, long, value_enum, default_value_t = Format::Name)]
        output: Format,
    },
    /// Ask a job to cancel
    Cancel {
        id: String,
        /// Why; kept in the audit
        #[arg(long)]
        reason: Option<String>,
        /// How to print the job as it is then
        #[arg(short, long, value_enum, default_value_t = Format::Name)]
        output: Format,
    },
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those in this state: queued, running, waiting, succeeded, failed, cancelled, undoing, undone
    #[arg(long)]
    state: Option<String>,
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    match &args.what {
        None => list(&ListArgs { state: None, limit: 50, output: Format::Table }, invocation).await,
        Some(What::List(args)) => list(args, invocation).await,
        Some(What::Show { id, output }) => {
            let value: Value = client.fetch(&path(id)).await?;
            let out = &invocation.out;
            match output {
                Format::Json => out.data(&format::json(&value)?)?,
                Format::Yaml => out.data(&format::yaml(&value)?)?,
                Format::Name => out.line(&format!("jobs/{}", clean(bare(id))))?,
                Format::Table | Format::Wide => {
                    let job: Vec<Job> = get::decode(&[value])?;
                    let now = invocation.clock.now();
                    for job in &job {
                        out.data(&describe(job, now, out.paint()))?;
                    }
                }
            }
            Ok(Exit::OK)
        }
        Some(What::Watch { id, output }) => {
            live::job::conclude_and_print(invocation, &client, bare(id), *output).await
        }
        Some(What::Cancel { id, reason, output }) => {
            let request = client.post(&format!("{}/cancel", path(id)));
            let request = request.json(&without_nulls(json!({ "reason": reason })));
            let reply = request.idempotent(None)?.send().await?;
            invocation
                .out
                .note(&format!("asked job {} to cancel: `qd jobs watch {0}` follows it", clean(bare(id))));
            object::job(invocation, &job_of(&reply.value()?), *output)?;
            Ok(Exit::OK)
        }
    }
}

async fn list(args: &ListArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let query: Vec<(&str, String)> = args.state.iter().map(|state| ("state", state.clone())).collect();
    let list = get::pages(&client, "/api/v1/jobs", &query, args.limit).await?;
    get::print_list(invocation, &Noun::Jobs, &list, args.output)?;
    Ok(Exit::OK)
}

fn bare(id: &str) -> &str {
    id.strip_prefix("jobs/").or_else(|| id.strip_prefix("job/")).unwrap_or(id)
}

fn path(id: &str) -> String {
    format!("/api/v1/jobs/{}", segment(bare(id)))
}

/// A job for reading: what, why, by whom, each step, and all that belongs to it.
pub fn describe(job: &Job, now: time::OffsetDateTime, paint: Paint) -> String {
    let titles = |state: &str| {
        let titles = job.steps.iter().filter(|step| step.state == state);
        titles.map(|step| step.title.as_deref().unwrap_or(&step.name)).collect::<Vec<_>>().join(", ")
    };
    let over = matches!(job.state.as_str(), "failed" | "cancelled" | "undone" | "undoing");
    let mut rows = vec![
        ("job", job.id.clone()),
        ("operation", job.operation.clone()),
        ("object", job.resource.as_ref().map(|resource| resource.name.clone()).unwrap_or_default()),
        ("run", job.run_id.clone().unwrap_or_default()),
        ("state", job.state.clone()),
        ("waits for", job.waiting_for.clone().unwrap_or_default()),
        ("undone", titles("undone")),
        ("still done", if over { titles("succeeded") } else { String::new() }),
        ("reason", job.reason.clone().unwrap_or_default()),
        ("by", actor_name(job.created_by.as_ref())),
        ("made", age(job.created_at.as_deref(), now)),
        ("took", between(job.started_at.as_deref(), job.ended_at.as_deref(), now)),
        ("plan", job.plan_id.as_ref().map(|id| format!("plans/{id}")).unwrap_or_default()),
        ("correlation", job.correlation_id.clone().unwrap_or_default()),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    let mut text: String = rows
        .iter()
        .map(|(name, value)| {
            let value = if *name == "state" { paint.state(&clean(value)) } else { clean(value) };
            format!("{name:<12} {value}\n")
        })
        .collect();
    if let Some(error) = &job.error {
        text.push_str(&format!(
            "{:<12} {} ({})\n",
            paint.bad("error"),
            clean_lines(&error.message),
            clean(&error.code)
        ));
    }
    if !job.steps.is_empty() {
        text.push_str(&format!("\n{}\n", job_table::steps(job, now, paint).join("\n")));
    }
    if !job.plan.operation.is_empty() {
        let hash = job.plan_hash.as_deref().unwrap_or_default();
        // Who has the locks stands below.
        let shown = Plan { locks: vec![], ..job.plan.clone() };
        text.push_str(&format!("\n{}\n{}", paint.bold("plan"), plan::render(&shown, hash, paint)));
    }
    let mut locks = Table::new(&["LOCK", "HOLDER"]);
    for lock in &job.locks {
        let holder = match (&lock.holder, lock.held) {
            (_, true) => "this job".to_owned(),
            (Some(holder), false) => format!("jobs/{holder}"),
            (None, false) => "free".into(),
        };
        locks.row([lock.key.as_str().into(), holder.into()]);
    }
    section(&mut text, "locks", &locks, paint);
    section(&mut text, "audit", &lists::audit(&job.audit, false), paint);
    if !job.events.is_empty() {
        text.push_str(&format!("\n{}\n", paint.bold("events")));
        job.events.iter().for_each(|event| text.push_str(&format!("{}\n", lists::event_line(event))));
    }
    text
}

fn section(text: &mut String, title: &str, table: &Table, paint: Paint) {
    if !table.is_empty() {
        text.push_str(&format!("\n{}\n{}", paint.bold(title), table.render(paint)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn a_job_is_described_with_its_steps() {
        let job: Job = serde_json::from_value(json!({
            "id": "0193", "operation": "run.start", "state": "failed", "resource": {"kind": "Pipeline", "id": "x", "name": "curate"}, "run_id": "r1",
            "created_by": "owner", "created_at": "2026-11-20T11:58:00Z", "started_at": "2026-11-20T11:58:00Z", "ended_at": "2026-11-20T11:58:04.5Z",
            "error": {"code": "engine_unavailable", "message": "the environment could not be made"},
            "steps": [
                {"name": "environment", "title": "Prepare the environment", "state": "failed", "attempts": 3, "started_at": "2026-11-20T11:58:00Z", "ended_at": "2026-11-20T11:58:04Z", "error": {"message": "pip ended with 1"}},
                {"name": "submit", "state": "skipped", "attempts": 0},
            ],
        })).unwrap();
        insta::assert_snapshot!(describe(&job, datetime!(2026-11-20 12:00:00 UTC), Paint::plain()), @r"
        job          0193
        operation    run.start
        object       curate
        run          r1
        state        failed
        by           owner
        made         2m
        took         4.5s
        error        the environment could not be made (engine_unavailable)

        STEP                      STATE     TRIES   TOOK
        Prepare the environment   failed    3       4.0s   pip ended with 1
        submit                    skipped   -       -
        ");
    }

    #[test]
    fn a_job_is_described_with_all_that_belongs_to_it() {
        let plan = json!({
            "operation": "documents.apply",
            "steps": [
                {"name": "publish:pipelines/a", "title": "Publish revision 2", "target": "pipelines/a", "risk": "medium", "changes": [
                    {"pointer": "/published", "op": "replace", "before": 1, "after": 2},
                ]},
                {"name": "publish:pipelines/b", "title": "Publish revision 1", "target": "pipelines/b", "risk": "medium", "changes": []},
            ],
            "gates": [{"name": "spec", "state": "pass", "evidence": "the spec has no violations"}],
            "locks": ["pipelines/a", "pipelines/b"],
        });
        let job: Job = serde_json::from_value(json!({
            "id": "0193", "operation": "documents.apply", "state": "undone", "created_by": "owner",
            "created_at": "2026-11-20T11:58:00Z", "started_at": "2026-11-20T11:58:00Z", "ended_at": "2026-11-20T11:58:04.5Z",
            "error": {"code": "spec_invalid", "message": "the spec is no good"},
            "steps": [
                {"name": "publish:pipelines/a", "title": "Publish revision 2", "state": "undone", "attempts": 1, "started_at": "2026-11-20T11:58:00Z", "ended_at": "2026-11-20T11:58:04Z"},
                {"name": "publish:pipelines/b", "title": "Publish revision 1", "state": "failed", "attempts": 1, "started_at": "2026-11-20T11:58:01Z", "ended_at": "2026-11-20T11:58:02Z", "error": "the spec is no good"},
            ],
            "plan_id": "0192", "plan_hash": "sha256:ab", "plan": plan,
            "locks": [{"key": "pipelines/a", "held": false, "holder": "0195"}, {"key": "pipelines/b", "held": false, "holder": null}],
            "audit": [{"id": "1", "at": "2026-11-20T11:58:00Z", "actor": "owner", "action": "documents.apply", "outcome": "success", "object": {"kind": "Pipeline", "name": "a"}}],
            "events": [{"pos": 7, "type": "job.queued", "at": "2026-11-20T11:58:00Z", "actor": "owner", "job_id": "0193", "data": {"operation": "documents.apply"}}],
        }))
        .unwrap();
        insta::assert_snapshot!(describe(&job, datetime!(2026-11-20 12:00:00 UTC), Paint::plain()));
    }
}
