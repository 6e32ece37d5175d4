//! `qd tenants` and `qd projects`: made, renamed, suspended, limited, exported, deleted.

mod export;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::PublishWords;
use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::{clean, records};
use crate::verbs::publish::{conclude, without_nulls};
use crate::verbs::{get, plan};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List those that one has a role in
    List(ListWords),
    /// Make a tenant with its default project
    Create(CreateWords),
    /// Give it another name
    Rename(RenameWords),
    /// Close it to all but the platform's administrators; everything is kept and runs go on
    Suspend(OpenWords),
    /// Open a suspended tenant again
    Readmit(OpenWords),
    /// Show what it may have and has, or set what it may have
    Quota(QuotaWords),
    /// Write all that it has to an archive and fetch that; of its secrets only the names
    Export(export::Words),
    /// Delete a suspended tenant with all that it has; its audit stays
    Delete(DeleteWords),
}

#[derive(Debug, clap::Args)]
struct OpenWords {
    name: String,
    /// Why; kept in the audit
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct ProjectArgs {
    #[command(subcommand)]
    what: ProjectWhat,
}

#[derive(Debug, Subcommand)]
enum ProjectWhat {
    /// List the projects of the tenant
    List(ListWords),
    /// Make a project in the tenant
    Create(CreateWords),
    /// Give it another name
    Rename(RenameWords),
    /// Say what is published only after somebody else has approved it
    Review(ReviewWords),
    /// Show what it may have and has, or set what it may have, within the tenant's
    Quota(QuotaWords),
    /// Write all that it has to an archive and fetch that; of its secrets only the names
    Export(export::Words),
    /// Delete a project with all that it has; its audit stays
    Delete(DeleteWords),
}

#[derive(Debug, clap::Args)]
struct DeleteWords {
    name: String,
    /// The name once more
    #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
    confirm: Option<String>,
    /// Why; kept in the audit
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    #[command(flatten)]
    job: PublishWords,
}

/// What is not named stays as it is.
#[derive(Debug, clap::Args)]
struct QuotaWords {
    name: String,
    /// Resources that are not archived: a number, or `none` for no limit
    #[arg(long, value_parser = limit, value_name = "N")]
    resources: Option<Limit>,
    /// Runs at once; more wait
    #[arg(long, value_parser = limit, value_name = "N")]
    runs: Option<Limit>,
    /// Bytes of logs that are kept
    #[arg(long, value_parser = limit, value_name = "N")]
    log_bytes: Option<Limit>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// None for no limit.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u64>);

fn limit(word: &str) -> Result<Limit, String> {
    match word {
        "none" => Ok(Limit(None)),
        number => number.parse().map(|n| Limit(Some(n))).map_err(|_| "a limit is a number, or `none`".into()),
    }
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("rule").args(["mode", "approval_from"]).multiple(true).required(true))]
struct ReviewWords {
    name: String,
    /// Whether revisions are published only once somebody else than their authors has approved them
    #[arg(long, value_parser = ["none", "required"])]
    mode: Option<String>,
    /// From which risk on any plan wants a second person
    #[arg(long, value_parser = ["none", "low", "medium", "high"])]
    approval_from: Option<String>,
    /// Why; kept in the audit
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct ListWords {
    /// At most this many; 0 for all
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct CreateWords {
    name: String,
    #[arg(long)]
    display_name: Option<String>,
}

#[derive(Debug, clap::Args)]
struct RenameWords {
    name: String,
    new_name: String,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let columns =
        [("NAME", "name"), ("DISPLAY NAME", "display_name"), ("STATE", "state"), ("CREATED", "created_at")];
    match &args.what {
        What::List(words) => list(invocation, "tenants", &columns, words).await,
        What::Create(words) => create(invocation, "tenants", words).await,
        What::Rename(words) => rename(invocation, "tenants", words).await,
        What::Suspend(words) => open(invocation, words, "suspended").await,
        What::Export(words) => export::run(invocation, "tenants", words).await,
        What::Delete(words) => delete(invocation, "tenants", words).await,
        What::Quota(words) => quota(invocation, "tenants", words).await,
        What::Readmit(words) => open(invocation, words, "active").await,
    }
}

async fn open(
    invocation: &Invocation,
    OpenWords { name, reason }: &OpenWords,
    state: &str,
) -> Result<Exit, Failure> {
    let body = json!({ "state": state, "reason": reason.as_deref().unwrap_or_default() });
    update(invocation, "tenants", name, &body).await
}

pub async fn projects(args: &ProjectArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let columns = [
        ("NAME", "name"),
        ("DISPLAY NAME", "display_name"),
        ("REVIEW", "review"),
        ("APPROVAL FROM", "approval_from"),
        ("CREATED", "created_at"),
    ];
    match &args.what {
        ProjectWhat::List(words) => list(invocation, "projects", &columns, words).await,
        ProjectWhat::Create(words) => create(invocation, "projects", words).await,
        ProjectWhat::Rename(words) => rename(invocation, "projects", words).await,
        ProjectWhat::Export(words) => export::run(invocation, "projects", words).await,
        ProjectWhat::Delete(words) => delete(invocation, "projects", words).await,
        ProjectWhat::Quota(words) => quota(invocation, "projects", words).await,
        ProjectWhat::Review(words) => {
            let ReviewWords { name, mode, approval_from, reason } = words;
            let change =
                without_nulls(json!({ "review": mode, "approval_from": approval_from, "reason": reason }));
            update(invocation, "projects", name, &change).await
        }
    }
}

async fn list(
    invocation: &Invocation,
    plural: &str,
    columns: &[records::Column],
    words: &ListWords,
) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let list = get::pages(&client, &format!("/api/v1/{plural}"), &[], words.limit).await?;
    records::print(invocation, &list, (plural, "name"), columns, words.output)?;
    Ok(Exit::OK)
}

async fn create(invocation: &Invocation, plural: &str, words: &CreateWords) -> Result<Exit, Failure> {
    let body = without_nulls(json!({ "name": words.name, "display_name": words.display_name }));
    let client = invocation.client()?;
    let made: Value = client.post(&format!("/api/v1/{plural}")).json(&body).send().await?.json()?;
    invocation.out.line(&format!("{plural}/{}", clean(&records::text(&made, "name"))))?;
    Ok(Exit::OK)
}

async fn rename(invocation: &Invocation, plural: &str, words: &RenameWords) -> Result<Exit, Failure> {
    update(invocation, plural, &words.name, &json!({ "name": words.new_name })).await
}

async fn delete(invocation: &Invocation, plural: &str, words: &DeleteWords) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let body = without_nulls(json!({ "confirm": words.confirm, "reason": words.reason }));
    let request = client.post(&format!("/api/v1/{plural}/{}/delete", segment(&words.name))).json(&body);
    if words.job.dry_run {
        return plan::dry_run(invocation, request, words.job.output).await;
    }
    let reply = request.idempotent(words.job.idempotency_key.as_deref())?.send().await?;
    conclude(invocation, &client, &reply, &words.job, &format!("deleting {plural}/{}", words.name)).await
}

async fn quota(invocation: &Invocation, plural: &str, words: &QuotaWords) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let path = format!("/api/v1/{plural}/{}/quotas", segment(&words.name));
    let mut quotas: Value = client.get(&path).send().await?.json()?;
    let parts = [("resources", words.resources), ("active_runs", words.runs), ("log_bytes", words.log_bytes)];
    if parts.iter().any(|(_, limit)| limit.is_some()) {
        let limits = parts.map(|(name, limit)| {
            (name.to_owned(), limit.map_or_else(|| quotas[name]["limit"].clone(), |Limit(n)| json!(n)))
        });
        let body = without_nulls(Value::Object(limits.into_iter().collect()));
        let etag = format!("\"{}\"", records::text(&quotas, "version"));
        let request = client.request(Method::PUT, &path).if_match(&etag)?;
        quotas = request.json(&body).send().await?.json()?;
    }
    let items = parts.map(
        |(name, _)| json!({ "name": name, "limit": quotas[name]["limit"], "usage": quotas[name]["usage"] }),
    );
    let list = get::List { items: items.to_vec(), more: false, filtered: false };
    let columns = [("QUOTA", "name"), ("LIMIT", "limit"), ("USAGE", "usage")];
    records::print(invocation, &list, ("quotas", "name"), &columns, words.output)?;
    Ok(Exit::OK)
}

/// There is no route for one of them: its version is read from the list.
async fn update(invocation: &Invocation, plural: &str, name: &str, change: &Value) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let base = format!("/api/v1/{plural}");
    let list = get::pages(&client, &base, &[], 0).await?;
    let found = list.items.iter().find(|item| records::text(item, "name") == name);
    let found = found.ok_or_else(|| Failure::local(format!("there is no {name:?} among the {plural}")))?;
    let etag = format!("\"{}\"", records::text(found, "version"));
    let request = client.request(Method::PATCH, &format!("{base}/{}", segment(name))).if_match(&etag)?;
    let now: Value = request.json(change).send().await?.json()?;
    invocation.out.line(&format!("{plural}/{}", clean(&records::text(&now, "name"))))?;
    Ok(Exit::OK)
}
