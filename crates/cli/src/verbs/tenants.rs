//! `qd tenants` and `qd projects`: made, renamed, suspended.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::{clean, records};
use crate::verbs::get;
use crate::verbs::publish::without_nulls;

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
    Suspend { name: String },
    /// Open a suspended tenant again
    Readmit { name: String },
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
        What::Suspend { name } => update(invocation, "tenants", name, &json!({ "state": "suspended" })).await,
        What::Readmit { name } => update(invocation, "tenants", name, &json!({ "state": "active" })).await,
    }
}

pub async fn projects(args: &ProjectArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let columns = [("NAME", "name"), ("DISPLAY NAME", "display_name"), ("CREATED", "created_at")];
    match &args.what {
        ProjectWhat::List(words) => list(invocation, "projects", &columns, words).await,
        ProjectWhat::Create(words) => create(invocation, "projects", words).await,
        ProjectWhat::Rename(words) => rename(invocation, "projects", words).await,
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
