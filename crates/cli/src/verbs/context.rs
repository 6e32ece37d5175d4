//! `qd context`: the servers that this machine knows.

use std::io::BufRead;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::context::{Contexts, Entry, parse_server};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};
use crate::output::table::Table;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the contexts; a star marks the current one
    List {
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Make a context the current one
    Use { name: String },
    /// Make or change a context
    Set(Set),
    /// Forget a context and its token
    Remove { name: String },
}

#[derive(Debug, clap::Args)]
struct Set {
    name: String,
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Read the token from the first line of standard input (other users can see the words of a command)
    #[arg(long)]
    token_stdin: bool,
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long)]
    project: Option<String>,
    /// Do not warn that the token goes to this server without TLS
    #[arg(long)]
    allow_http: bool,
    /// Make it the current one
    #[arg(long = "use")]
    make_current: bool,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let file = invocation.contexts()?;
    let token = match &args.what {
        What::Set(set) if set.token_stdin => Some(read_token()?),
        _ => None,
    };
    let _lock = match &args.what {
        What::List { .. } => None,
        _ => Some(file.lock().await?),
    };
    let mut contexts = file.read()?;
    match &args.what {
        What::List { output } => {
            if let Some(text) = machine(&contexts, *output)? {
                invocation.out.data(&text)?;
                return Ok(Exit::OK);
            }
            let mut table = Table::new(&["", "NAME", "SERVER", "TENANT", "PROJECT", "TOKEN"]);
            for (name, entry) in &contexts.contexts {
                let current = contexts.current.as_deref() == Some(name);
                table.row([
                    if current { "*" } else { " " }.into(),
                    name.as_str().into(),
                    entry.server.as_str().into(),
                    entry.tenant.as_deref().unwrap_or_default().into(),
                    entry.project.as_deref().unwrap_or_default().into(),
                    if entry.token.is_some() { "stored" } else { "none" }.into(),
                ]);
            }
            if table.is_empty() {
                invocation.out.note("no contexts yet; `qd up` makes one");
            } else {
                invocation.out.data(&table.render(invocation.out.paint()))?;
            }
            return Ok(Exit::OK);
        }
        What::Use { name } => {
            if !contexts.contexts.contains_key(name) {
                return Err(contexts.no_such(name));
            }
            contexts.current = Some(name.clone());
        }
        What::Set(set) => {
            let known = contexts.contexts.get(&set.name).cloned();
            let mut entry = changed(known.clone(), set, token)?;
            if entry.refresh.is_none() {
                lives_on(invocation, &set.name, known.as_ref());
            }
            if let Some(cacert) = &invocation.overrides.cacert {
                entry.cacert = Some(cacert.clone());
            }
            contexts.contexts.insert(set.name.clone(), entry);
            if set.make_current || contexts.current.is_none() {
                contexts.current = Some(set.name.clone());
            }
        }
        What::Remove { name } => {
            let removed = contexts.contexts.remove(name);
            if removed.is_none() {
                return Err(contexts.no_such(name));
            }
            lives_on(invocation, name, removed.as_ref());
            if contexts.current.as_deref() == Some(name) {
                contexts.current = None;
            }
        }
    }
    file.write(&contexts)?;
    match &contexts.current {
        Some(current) => invocation.out.note(&format!("current context: {current}")),
        None => invocation.out.note("there is no current context now"),
    }
    Ok(Exit::OK)
}

/// Whoever has a copy of the file has the session that is no longer in it.
fn lives_on(invocation: &Invocation, name: &str, gone: Option<&Entry>) {
    let Some(entry) = gone.filter(|entry| entry.refresh.is_some()) else { return };
    let (name, server) = (clean(name), clean(&entry.server));
    invocation.out.note(&format!(
        "the session that {name} kept lives on at {server} until it ends by itself; `qd logout` ends one beforehand"
    ));
}

/// The contexts for a program; tokens stay in the file.
fn machine(contexts: &Contexts, output: Format) -> Result<Option<String>, Failure> {
    let items: Vec<Value> = contexts
        .contexts
        .iter()
        .map(|(name, entry)| {
            json!({
                "name": name, "current": contexts.current.as_deref() == Some(name), "server": entry.server,
                "tenant": entry.tenant, "project": entry.project, "has_token": entry.token.is_some(),
            })
        })
        .collect();
    Ok(match output {
        Format::Json => Some(format::json(&items)?),
        Format::Yaml => Some(format::yaml(&items)?),
        Format::Name => Some(contexts.contexts.keys().map(|name| format!("{name}\n")).collect()),
        Format::Table | Format::Wide => None,
    })
}

fn changed(known: Option<Entry>, set: &Set, token: Option<String>) -> Result<Entry, Failure> {
    let mut entry = match (known, &set.server) {
        (None, None) => {
            return Err(Failure::usage(format!("context {:?} is new: say its --server", set.name)));
        }
        (known, _) => known.unwrap_or_default(),
    };
    if let Some(server) = &set.server {
        let server = parse_server(server)?.to_string().trim_end_matches('/').to_owned();
        if server != entry.server {
            // A token must not follow to another server.
            (entry.token, entry.refresh, entry.expires_at) = (None, None, None);
            entry.allow_http = false;
        }
        entry.server = server;
    }
    if token.is_some() {
        (entry.token, entry.refresh, entry.expires_at) = (token, None, None);
    }
    entry.allow_http |= set.allow_http;
    entry.tenant = set.tenant.clone().or(entry.tenant);
    entry.project = set.project.clone().or(entry.project);
    Ok(entry)
}

fn read_token() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let token = line.trim();
    if token.is_empty() { Err(Failure::usage("standard input holds no token")) } else { Ok(token.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(server: Option<&str>) -> Set {
        Set {
            name: "x".into(),
            server: server.map(Into::into),
            token_stdin: false,
            tenant: Some("acme".into()),
            project: None,
            allow_http: false,
            make_current: false,
        }
    }

    #[test]
    fn a_program_reads_the_contexts_without_their_tokens() {
        let entry =
            Entry { server: "http://a:1".into(), token: Some("qd_secret".into()), ..Entry::default() };
        let contexts = Contexts { current: Some("a".into()), contexts: [("a".to_owned(), entry)].into() };
        let text = machine(&contexts, Format::Json).unwrap().unwrap();
        let items: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&items[0]["name"], &items[0]["current"], &items[0]["has_token"]),
            (&json!("a"), &json!(true), &json!(true))
        );
        assert!(!text.contains("qd_secret"));
        assert_eq!(machine(&contexts, Format::Name).unwrap().as_deref(), Some("a\n"));
    }

    #[test]
    fn a_token_does_not_follow_to_another_server() {
        let known = Entry { server: "http://a:1".into(), token: Some("qd_a".into()), ..Entry::default() };
        let same = changed(Some(known.clone()), &set(Some("http://a:1/")), None).unwrap();
        assert_eq!((same.token.as_deref(), same.tenant.as_deref()), (Some("qd_a"), Some("acme")));
        assert_eq!(changed(Some(known.clone()), &set(None), None).unwrap().token.as_deref(), Some("qd_a"));
        let meant = changed(Some(known.clone()), &Set { allow_http: true, ..set(None) }, None).unwrap();
        assert!(meant.allow_http && changed(Some(meant.clone()), &set(None), None).unwrap().allow_http);
        assert!(!changed(Some(meant), &set(Some("http://b:1")), None).unwrap().allow_http);
        assert_eq!(changed(Some(known), &set(Some("http://b:1")), None).unwrap().token, None);
        assert!(changed(None, &set(None), None).is_err());
    }
}
