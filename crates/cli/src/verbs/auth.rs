//! `qd auth`: one's bearer tokens for other tools, sessions, password and sign-in links, and what one may do.

mod can;

use std::io::{BufRead as _, IsTerminal as _};

use clap::Subcommand;
use console::Term;
use serde_json::{Value, json};

use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::Format;
use crate::output::{clean, records};
use crate::verbs::publish::without_nulls;
use crate::verbs::{get, users};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the bearer token of the current context, for curl; with --as, a new one for somebody else
    Token {
        /// Make a token for this principal, who is made where there is none; only the owner may
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        /// Of a new principal: PLATFORM_ADMIN (the default) or viewer
        #[arg(long, requires = "name")]
        role: Option<String>,
        /// Make a token of one's own and print it
        #[arg(long, conflicts_with = "name")]
        new: bool,
        /// What the new token is for
        #[arg(long, requires = "new", default_value = "")]
        label: String,
        /// Days that the new token works; without, until it is revoked
        #[arg(long, requires = "new")]
        days: Option<u64>,
        /// Limit the new token to actions: read, jobs.cancel, jobs.*; may be repeated
        #[arg(long, requires = "new", value_name = "PATTERN")]
        allow: Vec<String>,
    },
    /// Whether one may do an action, and what decides it: exit 0 where one may, 2 where one may not
    CanI {
        /// Like pipelines.publish
        action: String,
        /// One resource (pipelines/curate), and not the project as a whole
        object: Option<String>,
        /// Whether somebody else may
        #[arg(long = "as", value_name = "NAME")]
        somebody: Option<String>,
        /// What would change for whom if this policy document were published
        #[arg(long, value_name = "FILE")]
        policy: Option<std::path::PathBuf>,
    },
    /// Everybody who may do an action, with why
    WhoCan {
        /// Like pipelines.publish
        action: String,
        /// One resource (pipelines/curate), and not the project as a whole
        object: Option<String>,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// One's own tokens and sessions
    Sessions {
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Revoke one's own token, or end one's own session
    Revoke {
        /// As `qd auth sessions` shows it
        id: String,
    },
    /// Change one's own password: the present one and the new one are asked for, or read as two lines of standard input
    Password,
    /// Make a new one-time sign-in link for the browser
    Link,
    /// The keys that access tokens are signed with
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// List the public keys that are published, the one that signs first
    List {
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Let a new key sign; tokens of the one before stay good for as long as they live
    Rotate,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    match &args.what {
        What::Token { name: Some(name), role, .. } => {
            let client = invocation.client()?;
            let body = without_nulls(json!({"name": name, "role": role}));
            let made: Value = client.post("/api/v1/auth/tokens").json(&body).send().await?.json()?;
            let token = made.get("token").and_then(Value::as_str).ok_or_else(|| Failure::Answer {
                server: client.server().to_string(),
                detail: "the token is missing in the answer".into(),
            })?;
            invocation.out.line(&clean(token))?;
            invocation.out.note(&format!(
                "whoever has it is {}; it is shown once: QD_TOKEN, or `qd context set NAME --server URL --token-stdin`",
                clean(name)
            ));
        }
        What::Token { new: true, label, days, allow, .. } => {
            let body = without_nulls(users::token_body(label, *days, allow));
            let client = invocation.client()?;
            let made: Value = client.post("/api/v1/auth/tokens").json(&body).send().await?.json()?;
            invocation.out.line(&clean(&records::text(&made, "token")))?;
            invocation.out.note("it is shown once");
        }
        What::CanI { action, object, somebody, policy: None } => {
            return can::can_i(invocation, action, object.as_ref(), somebody.as_ref()).await;
        }
        What::CanI { action, object, somebody, policy: Some(file) } => {
            return can::what_if(invocation, action, object.as_deref(), somebody.as_deref(), file).await;
        }
        What::WhoCan { action, object, output } => {
            return can::who_can(invocation, action, object.as_ref(), *output).await;
        }
        What::Sessions { output } => {
            let client = invocation.client()?;
            let list = get::pages(&client, "/api/v1/auth/credentials", &[], 0).await?;
            let columns = [
                ("ID", "id"),
                ("KIND", "kind"),
                ("CURRENT", "current"),
                ("LABEL", "label"),
                ("FROM", "source"),
                ("ALLOWS", "allows"),
                ("CREATED", "created_at"),
                ("EXPIRES", "expires_at"),
            ];
            records::print(invocation, &list, ("credentials", "id"), &columns, *output)?;
        }
        What::Revoke { id } => {
            let client = invocation.client()?;
            let path = format!("/api/v1/auth/credentials/{}", segment(id));
            client.request(reqwest::Method::DELETE, &path).send().await?;
            invocation.out.note("revoked");
        }
        What::Password => {
            let (present, chosen) = passwords()?;
            let client = invocation.client()?;
            let body = json!({ "present": present, "chosen": chosen });
            client.request(reqwest::Method::PUT, "/api/v1/auth/password").json(&body).once().send().await?;
            invocation.out.note("changed; other sessions have ended");
        }
        What::Token { name: None, .. } => {
            let access = invocation.access()?;
            let token = invocation.client()?.token().await?.ok_or_else(|| {
                Failure::local_with_help(
                    format!("there is no token for {}", access.server.as_str().trim_end_matches('/')),
                    "`qd up` stores one, or set QD_TOKEN, or `qd context set NAME --server URL --token-stdin`",
                )
            })?;
            invocation.out.line(&token)?;
        }
        What::Keys(Keys::List { output }) => {
            let client = invocation.client()?;
            let keys: Value = client.fetch("/.well-known/jwks.json").await?;
            let items = keys["keys"].as_array().cloned().unwrap_or_default();
            let list = get::List { items, more: false, filtered: false };
            let columns = [("KID", "kid"), ("ALGORITHM", "alg"), ("CURVE", "crv"), ("X", "x")];
            records::print(invocation, &list, ("keys", "kid"), &columns, *output)?;
        }
        What::Keys(Keys::Rotate) => {
            let client = invocation.client()?;
            let made: Value =
                client.post("/api/v1/auth/keys/rotate").json(&json!({})).send().await?.json()?;
            invocation.out.line(&clean(&records::text(&made, "kid")))?;
            invocation.out.note("signs from now on");
        }
        What::Link => {
            let client = invocation.client()?;
            let link: Value = client.post("/api/v1/auth/links").json(&json!({})).send().await?.json()?;
            let url = link.get("url").and_then(Value::as_str).ok_or_else(|| Failure::Answer {
                server: client.server().to_string(),
                detail: "the link is missing in the answer".into(),
            })?;
            invocation.out.line(&clean(url))?;
            invocation.out.note("the link signs in once and expires soon; whoever has it is you");
        }
    }
    Ok(Exit::OK)
}

/// The present password and the new one, which is typed twice.
fn passwords() -> Result<(String, String), Failure> {
    if !std::io::stdin().is_terminal() {
        let mut lines = std::io::stdin().lock().lines();
        let mut next = || lines.next().transpose().map(Option::unwrap_or_default);
        return Ok((next()?, next()?));
    }
    let term = Term::stderr();
    let ask = |what: &str| -> Result<String, Failure> {
        term.write_str(what)?;
        Ok(term.read_secure_line()?)
    };
    let (present, chosen) = (ask("present password: ")?, ask("new password: ")?);
    if ask("new password again: ")? != chosen {
        return Err(Failure::usage("the two new passwords differ"));
    }
    Ok((present, chosen))
}
