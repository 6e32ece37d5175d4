//! `qd logout`: ends the session that `qd login` opened, on the server first and then in the context that keeps it.
//!
//! A session that is only forgotten here goes on being one there, for whoever has a copy of the file. So nothing is forgotten
//! unless the server has ended it, has no such session, or the user says that he means it.

use crate::client::Client;
use crate::context::{Access, ContextFile, Contexts, Entry};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ask no server: forget the session here, and leave it to end by itself, after 30 days without use
    #[arg(long)]
    local: bool,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let file = invocation.contexts()?;
    let access = invocation.access()?;
    let server = access.server.as_str().trim_end_matches('/').to_owned();
    let Some(name) = access.context.clone() else {
        return Err(Failure::usage(format!(
            "no context keeps a session at {server}: name one with --context"
        )));
    };
    let access = session(&file.read()?, &name, file, access)?;
    let out = &invocation.out;
    if args.local {
        forget(file, &name, access.token).await?;
        out.note(&format!(
            "context {name} has forgotten its session; at {server} it ends after 30 days without use"
        ));
        return Ok(Exit::OK);
    }
    let client = invocation.client_as(&access)?;
    let ended = end(&client).await?;
    forget(file, &name, client.bearer()).await?;
    match ended {
        true => out.note(&format!("signed out at {server}; context {name} keeps no token any more")),
        false => out.note(&format!("the session had ended already; context {name} keeps no token any more")),
    }
    Ok(Exit::OK)
}

/// What to end the session of a context with. The token is the one that is kept, whatever QD_TOKEN says.
fn session(contexts: &Contexts, name: &str, file: &ContextFile, access: Access) -> Result<Access, Failure> {
    let Entry { token, refresh, expires_at, .. } = contexts.contexts.get(name).cloned().unwrap_or_default();
    match (token, refresh) {
        (token, Some(_)) => {
            let renewal = Some((file.clone(), name.to_owned(), expires_at.unwrap_or(0)));
            Ok(Access { token, renewal, ..access })
        }
        (Some(_), None) => Err(Failure::usage(format!(
            "the token of context {name:?} is not of `qd login`: `qd auth revoke ID` ends it for everybody who has it, `qd context remove {}` forgets it here",
            clean(name)
        ))),
        (None, None) => Err(Failure::usage(format!("context {name:?} keeps no session"))),
    }
}

/// Whether there was one to end. An access token may be refused while its session lives: that is over where the refresh token is,
/// too.
async fn end(client: &Client) -> Result<bool, Failure> {
    let sign_out = || client.post("/api/v1/auth/sign-out").send();
    let mut answer = sign_out().await;
    if answer.as_ref().is_err_and(|failure| failure.status() == Some(401)) {
        answer = match client.renew_now().await {
            Ok(()) => sign_out().await,
            Err(failure) => Err(failure),
        };
    }
    match answer {
        Ok(_) => Ok(true),
        Err(Failure::SessionEnded) => Ok(false),
        Err(failure @ Failure::Unreachable { .. }) => Err(Failure::local_with_help(
            failure.to_string(),
            "you are still signed in: try again when it answers, or forget the session here alone with `qd logout --local`",
        )),
        Err(failure) => Err(failure),
    }
}

/// Whoever signed in meanwhile keeps his session: the one with `token` is forgotten.
async fn forget(file: &ContextFile, name: &str, token: Option<String>) -> Result<(), Failure> {
    let _lock = file.lock().await?;
    let mut contexts = file.read()?;
    let Some(entry) = contexts.contexts.get_mut(name).filter(|entry| entry.token == token) else {
        return Ok(());
    };
    (entry.token, entry.refresh, entry.expires_at) = (None, None, None);
    file.write(&contexts)
}
