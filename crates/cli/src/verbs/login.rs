//! `qd login`: a name and a password become a token of this machine's own, kept in a context.
//!
//! The session that the password opens lives only as long as this command: what stays is a token that expires, which is
//! revoked by itself (`qd auth sessions`, `qd auth revoke`).

use std::io::{BufRead as _, IsTerminal as _};

use console::Term;
use serde_json::{Value, json};

use crate::context::{Access, Entry, parse_server};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::records;

const DAYS: u64 = 30;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of the account
    name: String,
    /// The name of the context that keeps the token
    #[arg(long, value_name = "NAME", default_value = "default")]
    keep: String,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Days that the token works
    #[arg(long, default_value_t = DAYS)]
    days: u64,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let server = invocation.access()?.server;
    let server = parse_server(server.as_str())?;
    let anybody = invocation.client_as(&Access::anonymous(server.clone()))?;
    let password = password(args)?;
    let body = json!({ "name": args.name, "password": password });
    let reply = anybody.post("/api/v1/auth/sign-in").json(&body).once().send().await?;
    let session = reply
        .header("set-cookie")
        .and_then(|cookie| cookie.split(';').next()?.split_once('=').map(|(_, value)| value.to_owned()))
        .ok_or_else(|| Failure::Answer {
            server: server.to_string(),
            detail: "the answer has no session".into(),
        })?;
    let signed_in =
        invocation.client_as(&Access { token: Some(session), ..Access::anonymous(server.clone()) })?;
    let wanted = crate::verbs::users::token_body("qd login", Some(args.days), &[]);
    let made: Value = signed_in
        .post("/api/v1/auth/tokens")
        .json(&crate::verbs::publish::without_nulls(wanted))
        .send()
        .await?
        .json()?;
    signed_in.post("/api/v1/auth/sign-out").json(&json!({})).send().await?;
    let mut contexts = invocation.contexts.read()?;
    let old = contexts.contexts.remove(&args.keep).unwrap_or_default();
    let address = server.as_str().trim_end_matches('/').to_owned();
    // What another server called its tenants means nothing here.
    let same = old.server == address;
    let entry = Entry {
        server: address,
        token: Some(records::text(&made, "token")),
        tenant: old.tenant.filter(|_| same),
        project: old.project.filter(|_| same),
        ..Entry::default()
    };
    contexts.contexts.insert(args.keep.clone(), entry);
    contexts.current = Some(args.keep.clone());
    invocation.contexts.write(&contexts)?;
    invocation.out.note(&format!("signed in as {}; current context: {}", args.name, args.keep));
    Ok(Exit::OK)
}

fn password(args: &Args) -> Result<String, Failure> {
    if args.password_stdin || !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let term = Term::stderr();
    term.write_str(&format!("password of {}: ", args.name))?;
    Ok(term.read_secure_line()?)
}
