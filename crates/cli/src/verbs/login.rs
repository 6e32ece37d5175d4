//! `qd login`: a name and a password become a session of this machine's own, kept in a context; or a one-time code does, which
//! one gets in the browser where one signs in with a provider.
//!
//! What is kept is an access token of ten minutes and the refresh token for the next one, by which the commands that follow
//! renew it ([`crate::client::session`]). It ends by itself when it is not used, and is ended by `qd logout`, or from elsewhere by
//! `qd auth revoke`.

use std::io::{BufRead as _, IsTerminal as _};

use console::Term;
use serde_json::json;
use url::Url;

use crate::client::segment;
use crate::client::session::Granted;
use crate::context::{Access, Entry, parse_server};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of the account
    #[arg(required_unless_present = "provider", conflicts_with = "provider")]
    name: Option<String>,
    /// Sign in with this OpenID provider, in a browser, and paste the code that it shows
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The name of the context that keeps the session
    #[arg(long, value_name = "NAME", default_value = "default")]
    keep: String,
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with = "provider")]
    password_stdin: bool,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let file = invocation.contexts()?;
    let Access { server, cacert, allow_http, .. } = invocation.access()?;
    let server = parse_server(server.as_str())?;
    let anyone = Access { cacert: cacert.clone(), allow_http, ..Access::anonymous(server.clone()) };
    // Before the password is typed.
    anyone.warn_of_http(invocation.out);
    let anybody = invocation.client_as(&anyone)?;
    let body = match (&args.name, &args.provider) {
        (Some(name), _) => {
            json!({ "grant_type": "password", "name": name, "password": password(name, args)? })
        }
        (None, provider) => {
            let provider = provider.as_deref().unwrap_or_default();
            json!({ "grant_type": "sign_in_code", "code": code(&server, provider, invocation)? })
        }
    };
    let asked_at = invocation.clock.now().unix_timestamp();
    let granted: Granted = anybody.post("/api/v1/auth/token").json(&body).once().send().await?.json()?;
    let _lock = file.lock().await?;
    let mut contexts = file.read()?;
    let old = contexts.contexts.remove(&args.keep).unwrap_or_default();
    let address = server.as_str().trim_end_matches('/').to_owned();
    // What another server called its tenants means nothing here.
    let same = old.server == address;
    let entry = Entry {
        server: address,
        token: Some(granted.access_token),
        refresh: Some(granted.refresh_token),
        expires_at: Some(asked_at + granted.expires_in),
        tenant: old.tenant.filter(|_| same),
        project: old.project.filter(|_| same),
        cacert: cacert.or_else(|| old.cacert.filter(|_| same)),
        allow_http: old.allow_http && same,
        ..Entry::default()
    };
    contexts.contexts.insert(args.keep.clone(), entry);
    contexts.current = Some(args.keep.clone());
    file.write(&contexts)?;
    let name = clean(&granted.principal.name);
    invocation.out.note(&format!("signed in as {name}; current context: {}", args.keep));
    Ok(Exit::OK)
}

/// The code that the browser shows at the end of a sign-in with the provider.
fn code(server: &Url, provider: &str, invocation: &Invocation) -> Result<String, Failure> {
    let base = server.as_str().trim_end_matches('/');
    let there = format!("{base}/api/v1/auth/oidc/{}/start?show=code", segment(provider));
    invocation
        .out
        .note(&format!("open this address in a browser and sign in; it ends with a code:\n  {there}"));
    if std::io::stdin().is_terminal() {
        Term::stderr().write_str("code: ")?;
    }
    first_line()
}

fn password(name: &str, args: &Args) -> Result<String, Failure> {
    if args.password_stdin || !std::io::stdin().is_terminal() {
        return first_line();
    }
    let term = Term::stderr();
    term.write_str(&format!("password of {name}: "))?;
    Ok(term.read_secure_line()?)
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
