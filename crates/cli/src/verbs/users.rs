//! `qd users`: people and services, made, invited, suspended.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, segment};
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
    /// List people and services
    List {
        /// At most this many; 0 for all
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Make a person and print an invitation, or with --service a program
    Create {
        name: String,
        #[arg(long)]
        display_name: Option<String>,
        /// A program, which has tokens and no password
        #[arg(long)]
        service: bool,
    },
    /// Print a new invitation, to choose another password
    Invite { name: String },
    /// Print a new token for a service
    Token {
        name: String,
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
        /// Days that it works; without, until it is revoked
        #[arg(long)]
        days: Option<u64>,
        /// Limit it to actions: read, jobs.cancel, jobs.*; may be repeated
        #[arg(long, value_name = "PATTERN")]
        allow: Vec<String>,
    },
    /// List the tokens of a person or a service that still work
    Tokens {
        name: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Revoke a token of a person or a service
    RevokeToken {
        name: String,
        /// As `qd users tokens` shows it
        id: String,
    },
    /// Let an account in no longer
    Suspend { name: String },
    /// Let a suspended account in again
    Readmit { name: String },
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    match &args.what {
        What::List { limit, output } => {
            let list = get::pages(&client, "/api/v1/users", &[], *limit).await?;
            let columns = [
                ("NAME", "name"),
                ("DISPLAY NAME", "display_name"),
                ("KIND", "kind"),
                ("STATE", "state"),
                ("PASSWORD", "has_password"),
            ];
            records::print(invocation, &list, ("users", "name"), &columns, *output)?;
        }
        What::Create { name, display_name, service } => {
            let body =
                without_nulls(json!({ "name": name, "display_name": display_name, "service": service }));
            let made: Value = client.post("/api/v1/users").json(&body).send().await?.json()?;
            match made.pointer("/invitation/url") {
                Some(url) => invitation(invocation, url)?,
                None => invocation.out.note(&format!("made; `qd users token {}` makes a token", clean(name))),
            }
        }
        What::Invite { name } => {
            let made: Value =
                client.post(&format!("{}/invite", path(name))).json(&json!({})).send().await?.json()?;
            invitation(invocation, &made["url"])?;
        }
        What::Token { name, label, days, allow } => {
            let body = without_nulls(token_body(label, *days, allow));
            let made: Value =
                client.post(&format!("{}/tokens", path(name))).json(&body).send().await?.json()?;
            invocation.out.line(&clean(&records::text(&made, "token")))?;
            invocation.out.note("it is shown once");
        }
        What::Tokens { name, output } => {
            let list = get::pages(&client, &format!("{}/tokens", path(name)), &[], 0).await?;
            let columns = [
                ("ID", "id"),
                ("LABEL", "label"),
                ("FROM", "source"),
                ("ALLOWS", "allows"),
                ("CREATED", "created_at"),
                ("EXPIRES", "expires_at"),
            ];
            records::print(invocation, &list, ("tokens", "id"), &columns, *output)?;
        }
        What::RevokeToken { name, id } => {
            let path = format!("{}/tokens/{}", path(name), segment(id));
            client.request(reqwest::Method::DELETE, &path).send().await?;
            invocation.out.note("revoked");
        }
        What::Suspend { name } => set_state(&client, invocation, name, "suspended").await?,
        What::Readmit { name } => set_state(&client, invocation, name, "active").await?,
    }
    Ok(Exit::OK)
}

/// What a token is asked for with.
pub fn token_body(label: &str, days: Option<u64>, allow: &[String]) -> Value {
    json!({
        "label": label,
        "expires_in_s": days.map(|days| days.saturating_mul(24 * 60 * 60)),
        "allows": (!allow.is_empty()).then_some(allow),
    })
}

fn path(name: &str) -> String {
    format!("/api/v1/users/{}", segment(name))
}

fn invitation(invocation: &Invocation, url: &Value) -> Result<(), Failure> {
    invocation.out.line(&clean(url.as_str().unwrap_or_default()))?;
    invocation.out.note("it is shown once and works for seven days; whoever opens it chooses the password");
    Ok(())
}

async fn set_state(client: &Client, invocation: &Invocation, name: &str, state: &str) -> Result<(), Failure> {
    let read = client.get(&path(name)).send().await?;
    let etag = read.header("etag").unwrap_or_default().to_owned();
    let request = client.request(reqwest::Method::PATCH, &path(name)).if_match(&etag)?;
    request.json(&json!({ "state": state })).send().await?;
    invocation.out.note(&format!("{} is {state}", clean(name)));
    Ok(())
}
