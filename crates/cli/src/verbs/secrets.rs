//! `qd secrets`: values go in, from a file or from standard input, and never come out.
//!
//! A value is no word on the command line: there it would stand in the shell's history and in the list of processes.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use qd_core::secret_ref::SecretPath;
use serde_json::{Value, json};

use crate::args::PublishWords;
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};
use crate::output::table::{Cell, Table, Tone};
use crate::verbs::publish::{conclude, without_nulls};
use crate::verbs::{get, plan};

/// The server takes no more.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write the next version of a secret, from standard input unless a file is named
    Set {
        /// Such as warehouse/password
        path: String,
        /// The file that holds the value; a line's end after it does not belong to it
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        #[arg(short, long, value_enum, default_value_t = Format::Name)]
        output: Format,
    },
    /// List secrets: their paths, versions and who refers to them
    List {
        /// At most this many; 0 for all
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Remove a secret that nothing refers to, with all its versions
    Delete {
        path: String,
        /// Why; kept in the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Which keys seal the secrets, by their ids
    Keys {
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Exchange a key, by a job that survives a kill
    Rotate(RotateArgs),
}

/// Which key is exchanged.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct RotatedKey {
    /// The tenant's data key: every value of the tenant is sealed anew
    #[arg(long)]
    data_key: bool,
    /// The master key: the first that the servers were given comes in force, and every tenant gets a new data key
    #[arg(long)]
    master_key: bool,
}

impl RotatedKey {
    /// As the API names it.
    pub fn as_str(&self) -> &'static str {
        if self.master_key { "master" } else { "data" }
    }
}

#[derive(Debug, clap::Args)]
struct RotateArgs {
    #[command(flatten)]
    key: RotatedKey,
    /// Why; kept on the job and in the audit
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    job: PublishWords,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    match &args.what {
        What::Set { path, from_file, output } => {
            let address = address(path)?;
            let value = value(from_file.as_deref(), invocation)?;
            let request = client.request(reqwest::Method::PUT, &address).json(&json!({ "value": value }));
            // Each PUT is a version of its own, so an answer that was lost is not asked for again.
            let secret = request.once().send().await?.value()?;
            invocation.out.note(&format!(
                "secret://{} is version {} now; no command shows it again",
                clean(path),
                secret["version"]
            ));
            print(invocation, &secret, *output)?;
        }
        What::List { limit, output } => list(&client, *limit, *output, invocation).await?,
        What::Delete { path, reason } => {
            let request = client.request(reqwest::Method::DELETE, &address(path)?);
            request.maybe_query("reason", reason.as_ref()).send().await?;
            invocation.out.note(&format!("removed {} with all its versions", clean(path)));
        }
        What::Keys { output } => keys(&client, *output, invocation).await?,
        What::Rotate(args) => return rotate(&client, args, invocation).await,
    }
    Ok(Exit::OK)
}

/// What is no path of a secret is not sent: `../members` would lead to another route. Nor is it repeated, because somebody
/// may have pasted the secret itself.
fn address(path: &str) -> Result<String, Failure> {
    let path = path.parse::<SecretPath>().map_err(|error| Failure::usage(error.detail))?;
    let parts: Vec<String> = path.as_str().split('/').map(segment).collect();
    Ok(format!("/api/v1/secrets/{}", parts.join("/")))
}

fn value(file: Option<&Path>, invocation: &Invocation) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = match file {
        Some(file) => {
            std::fs::File::open(file).and_then(|file| file.take(LONGEST + 2).read_to_end(&mut bytes))
        }
        None => {
            let input = std::io::stdin();
            if input.is_terminal() {
                invocation.out.note(
                    "the value, then Ctrl-D; it is shown while it is typed: a file or a pipe shows nothing",
                );
            }
            input.lock().take(LONGEST + 2).read_to_end(&mut bytes)
        }
    };
    read.map_err(|error| Failure::local(format!("read the value: {}", error.kind())))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::usage("a secret is text in UTF-8; encode anything else, in base64 for instance")
    })?;
    Ok(text
        .strip_suffix('\n')
        .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text))
        .to_owned())
}

fn print(invocation: &Invocation, secret: &Value, output: Format) -> Result<(), Failure> {
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(secret)?),
        Format::Yaml => out.data(&format::yaml(secret)?),
        Format::Name => out.line(&text(&secret["path"])),
        Format::Table | Format::Wide => out.data(&table(std::slice::from_ref(secret)).render(out.paint())),
    }
}

async fn list(client: &Client, limit: usize, output: Format, invocation: &Invocation) -> Result<(), Failure> {
    let list = get::pages(client, "/api/v1/secrets", &[], limit).await?;
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(&json!({ "items": list.items }))?)?,
        Format::Yaml => out.data(&format::yaml(&json!({ "items": list.items }))?)?,
        Format::Name => {
            for item in &list.items {
                out.line(&text(&item["path"]))?;
            }
        }
        Format::Table | Format::Wide if list.items.is_empty() => {
            out.note("no secrets: `qd secrets set PATH` writes one")
        }
        Format::Table | Format::Wide => out.data(&table(&list.items).render(out.paint()))?,
    }
    if list.more {
        out.note("there is more: --limit says how many are shown, 0 shows all");
    }
    Ok(())
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&["PATH", "VERSION", "WRITTEN", "BY", "REFERRED TO BY"]);
    for item in items {
        let referrers: Vec<String> = item["referred_by"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| format!("{} {}", text(&one["kind"]), text(&one["name"])))
            .collect();
        let row: [Cell; 5] = [
            text(&item["path"]).into(),
            text(&item["version"]).into(),
            Cell::toned(text(&item["updated_at"]), Tone::Dim),
            text(&item["updated_by"]).into(),
            referrers.join(", ").into(),
        ];
        table.row(row);
    }
    table
}

async fn keys(client: &Client, output: Format, invocation: &Invocation) -> Result<(), Failure> {
    let keys: Value = client.fetch("/api/v1/secret-keys").await?;
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(&keys)?),
        Format::Yaml => out.data(&format::yaml(&keys)?),
        Format::Name => out.line(&text(&keys["master"])),
        Format::Table | Format::Wide => {
            let held: Vec<String> = keys["held"].as_array().into_iter().flatten().map(text).collect();
            out.line(&format!("master key in force   {}", shown(&keys["master"])))?;
            out.line(&format!(
                "held by this server   {}",
                if held.is_empty() { "none".into() } else { held.join(", ") }
            ))?;
            out.line(&format!(
                "data key              {}",
                match &keys["data_key"] {
                    Value::Null => "none yet".to_owned(),
                    key => format!(
                        "{} since {}, under {}",
                        key["number"],
                        text(&key["created_at"]),
                        text(&key["master"])
                    ),
                }
            ))?;
            out.line(&format!("under older data keys {} values", keys["values_under_older_keys"]))
        }
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() { "none yet".to_owned() } else { text(value) }
}

fn text(value: &Value) -> String {
    clean(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

async fn rotate(client: &Client, args: &RotateArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let key = args.key.as_str();
    let what = format!("exchanging the {key} key");
    let body = without_nulls(json!({ "key": key, "reason": args.reason }));
    let request = client.post("/api/v1/secret-keys/rotate").json(&body);
    if args.job.dry_run {
        return plan::dry_run(invocation, request, args.job.output).await;
    }
    let reply = request.idempotent(args.job.idempotency_key.as_deref())?.send().await?;
    conclude(invocation, client, &reply, &args.job, &what).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_secret_has_an_address() {
        assert_eq!(address("warehouse/password").unwrap(), "/api/v1/secrets/warehouse/password");
        assert_eq!(address("a.b/DB_PASSWORD-2").unwrap(), "/api/v1/secrets/a.b/DB_PASSWORD-2");
        for wrong in [
            "",
            ".",
            "..",
            "../members/carl/AIOPS_ENGINEER",
            "a/../../members/carl/viewer",
            "a/./b",
            "a//b",
            "/a",
            "a/",
            "%2e%2e/members/carl/viewer",
            "a b",
            "a?b",
            "a\\..\\b",
        ] {
            let failure = address(wrong).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{wrong}");
            assert!(failure.to_string().contains("such as warehouse/password"), "{failure}");
        }
        assert!(!address("hunter two").unwrap_err().to_string().contains("hunter"));
    }
}
