//! `qd submit`, `qd withdraw`, `qd comment`, and what `qd approve` and `qd reject` do of a revision: a review, step by step.

use serde_json::{Value, json};

use crate::client::shapes::Change;
use crate::client::{Client, Reply};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::{self, Format};
use crate::output::{changes, clean, records};
use crate::targets::Target;
use crate::verbs::publish::without_nulls;

#[derive(Debug, clap::Args)]
pub struct SubmitArgs {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// Which revision; the newest if not said
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// What the reviewer should know
    #[arg(short, long)]
    message: Option<String>,
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct WithdrawArgs {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// Which revision; the newest if not said
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// Why; kept with the review and in the audit
    #[arg(long)]
    reason: String,
    #[arg(short, long, value_enum, default_value_t = Format::Name)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct CommentArgs {
    /// The resource (pipelines/curate)
    #[arg(value_name = "KIND/NAME", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// Which revision; the newest if not said
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// What there is to say; without it, what was said is listed
    #[arg(short, long)]
    message: Option<String>,
    /// The place in the spec that it is about (/stages/0/uses)
    #[arg(long, requires = "message")]
    at: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub async fn submit(args: &SubmitArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let of = Revision::find(&client, &args.target, args.revision).await?;
    let body = without_nulls(json!({ "message": args.message }));
    let reply = client.post(&of.path("/submit")).json(&body).send().await?;
    let (label, number) = (clean(&of.target.label()), of.number);
    invocation.out.note(&format!(
        "it waits for somebody else: `qd approve {label} --revision {number}`, then `qd publish {label} --revision {number}`"
    ));
    of.print(invocation, &reply, args.output)
}

pub async fn withdraw(args: &WithdrawArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let of = Revision::find(&client, &args.target, args.revision).await?;
    let reply = client.post(&of.path("/withdraw")).json(&json!({ "reason": args.reason })).send().await?;
    of.print(invocation, &reply, args.output)
}

pub async fn comment(args: &CommentArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let of = Revision::find(&client, &args.target, args.revision).await?;
    let path = of.path("/comments");
    let Some(message) = &args.message else {
        let list = super::get::pages(&client, &path, &[], 0).await?;
        let columns = [("AUTHOR", "author"), ("AT", "created_at"), ("PLACE", "pointer"), ("COMMENT", "body")];
        records::print(invocation, &list, ("comments", "id"), &columns, args.output)?;
        return Ok(Exit::OK);
    };
    let body = without_nulls(json!({ "body": message, "pointer": args.at }));
    let made: Value = client.post(&path).json(&body).send().await?.json()?;
    let out = &invocation.out;
    match args.output {
        Format::Json => out.data(&format::json(&made)?)?,
        Format::Yaml => out.data(&format::yaml(&made)?)?,
        Format::Name | Format::Table | Format::Wide => {
            out.line(&format!("comments/{}", clean(&records::text(&made, "id"))))?;
        }
    }
    Ok(Exit::OK)
}

/// What is decided: the words of `qd approve` and `qd reject`.
pub struct Decision<'a> {
    pub target: &'a [String],
    pub revision: Option<u64>,
    /// Of the plan that was looked at.
    pub hash: Option<&'a str>,
    pub reason: &'a str,
    pub output: Format,
}

/// Shows what is approved before it is: without `--hash` that is what the reviewer sees.
pub async fn approve(decision: &Decision<'_>, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let of = Revision::find(&client, decision.target, decision.revision).await?;
    let hash = match decision.hash {
        Some(hash) => hash.to_owned(),
        None => {
            let seen: Seen = client.fetch(&of.path("/review")).await?;
            invocation.out.note(changes::render(&seen.changes, invocation.out.paint()).trim_end());
            seen.hash.unwrap_or_default()
        }
    };
    let body = json!({ "hash": hash, "reason": decision.reason });
    let reply = client.post(&of.path("/approve")).json(&body).send().await?;
    let (label, number) = (clean(&of.target.label()), of.number);
    invocation.out.note(&format!("approved: `qd publish {label} --revision {number}` publishes it"));
    of.print(invocation, &reply, decision.output)
}

pub async fn reject(decision: &Decision<'_>, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let of = Revision::find(&client, decision.target, decision.revision).await?;
    let reply = client.post(&of.path("/reject")).json(&json!({ "reason": decision.reason })).send().await?;
    of.print(invocation, &reply, decision.output)
}

/// As far as it is looked into.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Seen {
    hash: Option<String>,
    changes: Vec<Change>,
}

/// A revision as a command addresses it.
struct Revision {
    target: Target,
    number: u64,
}

impl Revision {
    async fn find(client: &Client, words: &[String], number: Option<u64>) -> Result<Self, Failure> {
        let target = Target::parse(client, words).await?;
        let number = match number {
            Some(number) => number,
            None => {
                let resource: Value = client.fetch(&target.path("")).await?;
                resource["latest_revision"]["number"]
                    .as_u64()
                    .ok_or_else(|| Failure::local(format!("{} has no revision yet", target.label())))?
            }
        };
        Ok(Self { target, number })
    }

    fn path(&self, rest: &str) -> String {
        self.target.path(&format!("/revisions/{}{rest}", self.number))
    }

    fn print(&self, invocation: &Invocation, reply: &Reply, output: Format) -> Result<Exit, Failure> {
        let (out, value) = (&invocation.out, reply.value()?);
        match output {
            Format::Json => out.data(&format::json(&value)?)?,
            Format::Yaml => out.data(&format::yaml(&value)?)?,
            Format::Name | Format::Table | Format::Wide => {
                let state = clean(&records::text(&value, "state"));
                out.line(&format!("{} revision {} {state}", clean(&self.target.label()), self.number))?;
            }
        }
        Ok(Exit::OK)
    }
}
