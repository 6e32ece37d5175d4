//! `qd teams`: the teams of the tenant, and who is in them.

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
    /// List the teams
    List {
        /// At most this many; 0 for all
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Who is in a team
    Show {
        name: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Make a team
    Create {
        name: String,
        #[arg(long)]
        display_name: Option<String>,
    },
    /// Change how a team is shown; its name stays, because documents refer to it
    Rename { name: String, display_name: String },
    /// Remove a team; its members lose what came from it
    Delete { name: String },
    /// Put somebody in a team
    Add { name: String, person: String },
    /// Take somebody out of a team
    Remove { name: String, person: String },
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let path = |name: &str| format!("/api/v1/teams/{}", segment(name));
    let member = |name: &str, person: &str| format!("{}/members/{}", path(name), segment(person));
    match &args.what {
        What::List { limit, output } => {
            let list = get::pages(&client, "/api/v1/teams", &[], *limit).await?;
            let columns = [
                ("NAME", "name"),
                ("DISPLAY NAME", "display_name"),
                ("MEMBERS", "members"),
                ("CREATED", "created_at"),
            ];
            records::print(invocation, &list, ("teams", "name"), &columns, *output)?;
        }
        What::Show { name, output } => {
            let team: Value = client.fetch(&path(name)).await?;
            let items = team.get("people").and_then(Value::as_array).cloned().unwrap_or_default();
            let list = get::List { items, more: false, filtered: false };
            let columns =
                [("NAME", "name"), ("KIND", "kind"), ("ADDED BY", "added_by"), ("ADDED", "added_at")];
            records::print(invocation, &list, ("users", "name"), &columns, *output)?;
            for role in team.get("roles").and_then(Value::as_array).into_iter().flatten() {
                let at = records::text(role, "project");
                let at = if at.is_empty() { "the tenant".to_owned() } else { format!("the project {at}") };
                invocation.out.note(&clean(&format!("holds {} in {at}", records::text(role, "role"))));
            }
        }
        What::Create { name, display_name } => {
            let body = without_nulls(json!({ "name": name, "display_name": display_name }));
            let made: Value = client.post("/api/v1/teams").json(&body).send().await?.json()?;
            invocation.out.line(&format!("teams/{}", clean(&records::text(&made, "name"))))?;
        }
        What::Rename { name, display_name } => {
            let team: Value = client.fetch(&path(name)).await?;
            let etag = format!("\"{}\"", records::text(&team, "version"));
            let request = client.request(Method::PATCH, &path(name)).if_match(&etag)?;
            request.json(&json!({ "display_name": display_name })).send().await?;
            invocation.out.line(&format!("teams/{}", clean(name)))?;
        }
        What::Delete { name } => {
            client.request(Method::DELETE, &path(name)).send().await?;
            invocation.out.note(&format!("there is no team {} any more", clean(name)));
        }
        What::Add { name, person } => {
            client.request(Method::PUT, &member(name, person)).send().await?;
            invocation.out.note(&format!("{} is in {}", clean(person), clean(name)));
        }
        What::Remove { name, person } => {
            client.request(Method::DELETE, &member(name, person)).send().await?;
            invocation.out.note(&format!("{} is no longer in {}", clean(person), clean(name)));
        }
    }
    Ok(Exit::OK)
}
