//! `qd auth`: the bearer token for other tools, and sign-in links for the browser.

use clap::Subcommand;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::verbs::publish::without_nulls;

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
    },
    /// Make a new one-time sign-in link for the browser
    Link,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    match &args.what {
        What::Token { name: Some(name), role } => {
            let client = invocation.client()?;
            let body = without_nulls(json!({"name": name, "role": role}));
            let made: serde_json::Value =
                client.post("/api/v1/auth/tokens").json(&body).send().await?.json()?;
            let token =
                made.get("token").and_then(serde_json::Value::as_str).ok_or_else(|| Failure::Answer {
                    server: client.server().to_string(),
                    detail: "the token is missing in the answer".into(),
                })?;
            invocation.out.line(&crate::output::clean(token))?;
            invocation.out.note(&format!(
                "whoever has it is {}; it is shown once: QD_TOKEN, or `qd context set NAME --server URL --token-stdin`",
                crate::output::clean(name)
            ));
        }
        What::Token { name: None, .. } => {
            let access = invocation.access()?;
            let token = access.token.ok_or_else(|| {
                Failure::local_with_help(
                    format!("there is no token for {}", access.server.as_str().trim_end_matches('/')),
                    "`qd up` stores one, or set QD_TOKEN, or `qd context set NAME --server URL --token-stdin`",
                )
            })?;
            invocation.out.line(&token)?;
        }
        What::Link => {
            let client = invocation.client()?;
            let link: serde_json::Value =
                client.post("/api/v1/auth/links").json(&json!({})).send().await?.json()?;
            let url = link.get("url").and_then(serde_json::Value::as_str).ok_or_else(|| Failure::Answer {
                server: client.server().to_string(),
                detail: "the link is missing in the answer".into(),
            })?;
            invocation.out.line(&crate::output::clean(url))?;
            invocation.out.note("the link signs in once and expires soon; whoever has it is you");
        }
    }
    Ok(Exit::OK)
}
