//! `qd apply`: documents become working copies and revisions; `--publish` publishes them as well, and waits until they are.
//! `--plan` carries out a plan that was made before, whatever it is about.
//!
//! All documents of one command are one request, so that either all are written or none.

use std::path::PathBuf;

use serde_json::Value;

use crate::client::problem::{Sources, render_violation};
use crate::client::shapes::plan::StoredPlan;
use crate::client::shapes::{Applied, AppliedItem, Job};
use crate::client::{Client, Reply};
use crate::documents::code::CodeSet;
use crate::documents::{self, Bundle};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::live;
use crate::output::format::{self, Format};
use crate::output::paint::Paint;
use crate::output::{changes, clean, object, plan};
use crate::verbs::approve::plan_path;
use crate::verbs::publish::job_of;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("makes_a_job").args(["publish", "plan"]).multiple(true))]
pub struct Args {
    /// A YAML or JSON file, a folder of them, or - for standard input; may be repeated
    #[arg(short, long = "file", required_unless_present = "plan", value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// Carry out this plan, unless something moved since it was made
    #[arg(long, value_name = "PLAN_ID", conflicts_with_all = ["files", "dry_run", "publish", "no_publish", "message"])]
    plan: Option<String>,
    /// Say what would change; stores new code by its digest to check it, and writes nothing else
    #[arg(long, conflicts_with = "no_wait")]
    dry_run: bool,
    /// Publish the new revisions too
    #[arg(long, conflicts_with = "no_publish")]
    publish: bool,
    /// Only cut revisions, which is what happens anyway
    #[arg(long)]
    no_publish: bool,
    /// With --publish or --plan: return as soon as the job is made
    #[arg(long, requires = "makes_a_job")]
    no_wait: bool,
    /// What the new revisions are for
    #[arg(short, long)]
    message: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Use this key instead of a new one: the same key publishes nothing twice
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    if let Some(id) = &args.plan {
        return carry_out(id, args, invocation).await;
    }
    let bundle = documents::read(&args.files)?;
    let client = invocation.client()?;
    let order = Order {
        plan: false,
        dry_run: args.dry_run,
        publish: args.publish,
        message: args.message.as_deref(),
        idempotency_key: args.idempotency_key.as_deref(),
    };
    let reply = send(invocation, &client, &bundle, &order).await?;
    let applied: Applied = reply.json()?;
    print(invocation, &reply.value()?, &applied, args, &bundle.sources)?;
    if applied.items.iter().any(|item| !item.violations.is_empty()) {
        return Ok(Exit::ERROR);
    }
    match &applied.job {
        Some(job) if !args.no_wait => live::job::conclude(invocation, &client, &job.id).await,
        _ => Ok(Exit::OK),
    }
}

/// Carries a kept plan out.
async fn carry_out(id: &str, args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let request = client.post(&format!("{}/apply", plan_path(id)));
    let reply = request.idempotent(args.idempotency_key.as_deref())?.send().await?;
    let PlanApplied { job, plan: applied } = reply.json()?;
    let Some(job) = job else {
        let (out, value) = (&invocation.out, reply.value()?);
        match args.output {
            Format::Json => out.data(&format::json(&value["plan"])?)?,
            Format::Yaml => out.data(&format::yaml(&value["plan"])?)?,
            Format::Name => out.line(&format!("plans/{}", clean(&applied.id)))?,
            Format::Table | Format::Wide => {
                out.data(&plan::describe(&applied, invocation.clock.now(), out.paint()))?;
            }
        }
        out.note("the plan is applied; there was nothing for a job to do");
        return Ok(Exit::OK);
    };
    if args.no_wait {
        invocation.out.note(&format!("applying the plan: `qd jobs watch {}` follows it", clean(&job.id)));
        object::job(invocation, &job_of(&reply.value()?), args.output)?;
        return Ok(Exit::OK);
    }
    live::job::conclude_and_print(invocation, &client, &job.id, args.output).await
}

/// The reply to a plan that was applied.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct PlanApplied {
    job: Option<Job>,
    plan: StoredPlan,
}

/// What is asked of the server.
#[derive(Debug, Default)]
pub struct Order<'a> {
    /// To keep a plan of it, and do nothing.
    pub plan: bool,
    pub dry_run: bool,
    pub publish: bool,
    pub message: Option<&'a str>,
    pub idempotency_key: Option<&'a str>,
}

/// Packs and stores code, then sends the documents. Violations come back in the places of the files.
pub async fn send(
    invocation: &Invocation,
    client: &Client,
    bundle: &Bundle,
    order: &Order<'_>,
) -> Result<Reply, Failure> {
    let code = CodeSet::pack(bundle)?;
    code.upload(client, |line| invocation.out.note(line)).await?;
    let mut request = client
        .post(if order.plan { "/api/v1/plans" } else { "/api/v1/apply" })
        .body(code.text(bundle).into_bytes(), "application/yaml")
        .maybe_query("message", order.message);
    if order.dry_run {
        request = request.query("dry_run", true);
    }
    if order.publish {
        request = request.query("publish", true);
    }
    let request = request.idempotent(order.idempotency_key)?;
    request.send().await.map_err(|failure| failure.in_sources(bundle.sources.clone()))
}

fn print(
    invocation: &Invocation,
    value: &Value,
    applied: &Applied,
    args: &Args,
    sources: &Sources,
) -> Result<(), Failure> {
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(value)?),
        Format::Yaml => out.data(&format::yaml(value)?),
        Format::Name => {
            let names: String = applied.items.iter().map(|item| format!("{}\n", label(item))).collect();
            out.data(&names)
        }
        Format::Table | Format::Wide => {
            let detailed = args.dry_run || args.output == Format::Wide;
            for item in &applied.items {
                out.data(&describe(item, args.dry_run, detailed, sources, out.paint()))?;
            }
            if let Some(preview) = applied.plan.as_ref().filter(|_| args.publish) {
                out.data(&format!("\n{}", plan::render(&preview.plan, &preview.hash, out.paint())))?;
            }
            if let Some(job) = applied.job.as_ref().filter(|_| args.no_wait) {
                out.note(&format!("publishing: `qd jobs watch {}` follows it", clean(&job.id)));
            }
            Ok(())
        }
    }
}

fn label(item: &AppliedItem) -> String {
    clean(&format!("{}/{}", item.kind.to_lowercase(), item.name))
}

/// `pipeline/curate changed, revision 4`, with the changes below when they are wanted.
pub fn describe(
    item: &AppliedItem,
    dry_run: bool,
    detailed: bool,
    sources: &Sources,
    paint: Paint,
) -> String {
    let outcome = match (item.outcome.as_str(), dry_run) {
        ("unchanged", _) => paint.dim("unchanged"),
        ("created", false) => paint.good("created"),
        ("created", true) => paint.good("would be created"),
        ("changed", false) => paint.warn("changed"),
        ("changed", true) => paint.warn("would change"),
        (other, _) => clean(other),
    };
    let revision = match item.revision_number() {
        Some(number) if !dry_run => format!(", revision {number}"),
        _ => String::new(),
    };
    let waits = if item.waits_for_review { ", waits for review" } else { "" };
    let mut text = format!("{} {outcome}{revision}{waits}\n", label(item));
    if detailed && item.outcome != "unchanged" {
        text.push_str(&changes::render(&item.changes, paint));
    }
    for violation in &item.violations {
        text.push_str(render_violation(violation, sources, paint).trim_start_matches('\n'));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(value: Value) -> AppliedItem {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_outcome_is_a_line_and_a_dry_run_shows_changes() {
        let changed = item(json!({
            "kind": "Pipeline", "name": "curate", "outcome": "changed", "revision": 4,
            "changes": [{"pointer": "/spec/stages/1/workers", "op": "replace", "before": 1, "after": 2}],
        }));
        let fresh = item(
            json!({"kind": "StageTemplate", "name": "load", "outcome": "created", "revision": {"number": 1}}),
        );
        let same = item(json!({"kind": "Pipeline", "name": "other", "outcome": "unchanged", "revision": 7}));
        let wrong = item(json!({
            "kind": "Pipeline", "name": "bad", "outcome": "created",
            "violations": [{"pointer": "/spec/stages", "detail": "is empty", "code": "no_stages"}],
        }));
        let sources = Sources::default();
        let mut text = String::new();
        for item in [&changed, &fresh, &same] {
            text.push_str(&describe(item, false, false, &sources, Paint::plain()));
        }
        for item in [&changed, &wrong] {
            text.push_str(&describe(item, true, true, &sources, Paint::plain()));
        }
        insta::assert_snapshot!(text, @r"
        pipeline/curate changed, revision 4
        stagetemplate/load created, revision 1
        pipeline/other unchanged, revision 7
        pipeline/curate would change
          ~ /spec/stages/1/workers  1 → 2
        pipeline/bad would be created
          /spec/stages
              is empty (no_stages)
        ");
    }
}
