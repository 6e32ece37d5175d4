//! `qd tenants export` and `qd projects export`: an archive of all that a tenant or a project has, made and fetched.
//!
//! What is followed is the export and not its job, which lives where the caller's context need not be. The archive stands beside its
//! place until it is whole and has the digest that the server said.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::shapes::Accepted;
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::age::bytes;
use crate::output::file::Place;
use crate::output::{clean, records};
use crate::verbs::publish::without_nulls;

/// How often it is looked whether the archive is there.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct Words {
    name: String,
    /// Write the archive to this file instead of NAME.tar.gz
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over the file that is there
    #[arg(long)]
    force: bool,
    /// Why; kept in the audit
    #[arg(long)]
    reason: Option<String>,
    /// Return as soon as the job is made, with the id of the export
    #[arg(long, conflicts_with_all = ["output", "force"])]
    no_wait: bool,
    /// Fetch this export instead of making one
    #[arg(long, value_name = "ID", conflicts_with_all = ["reason", "no_wait", "idempotency_key"])]
    fetch: Option<String>,
    /// Use this key instead of a new one: the same key starts nothing twice
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

pub async fn run(invocation: &Invocation, plural: &str, words: &Words) -> Result<Exit, Failure> {
    let to = words.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.tar.gz", words.name)));
    // Nothing is written where nobody waits.
    let place = Place::new(&to, words.force || words.no_wait)?;
    let client = invocation.client()?;
    let id = match &words.fetch {
        Some(id) => id.clone(),
        None => {
            let body = without_nulls(json!({ "reason": words.reason }));
            let request =
                client.post(&format!("/api/v1/{plural}/{}/export", segment(&words.name))).json(&body);
            let reply = request.idempotent(words.idempotency_key.as_deref())?.send().await?;
            let Accepted { job, .. } = reply.json()?;
            job.id
        }
    };
    let again = format!("`qd {plural} export {} --fetch {}`", clean(&words.name), clean(&id));
    if words.no_wait {
        invocation.out.note(&format!("exporting {plural}/{}: {again} fetches it", clean(&words.name)));
        invocation.out.line(&clean(&id))?;
        return Ok(Exit::OK);
    }
    // The exports of a project are among its tenant's.
    let tenant = match plural {
        "tenants" => words.name.clone(),
        _ => records::text(&client.fetch::<Value>("/api/v1/me").await?["tenant"], "name"),
    };
    let path = format!("/api/v1/tenants/{}/exports/{}", segment(&tenant), segment(&id));
    let export = tokio::select! {
        export = ended(invocation, &client, &path) => export?,
        _ = tokio::signal::ctrl_c() => {
            invocation.out.error_line(&format!("detached: the export goes on. {again} fetches it."));
            return Ok(Exit::DETACHED);
        }
    };
    if export["state"] != "ready" {
        let error = &export["error"];
        let why = match error["code"].as_str() {
            Some(code) => format!(": {} ({})", clean(&records::text(error, "message")), clean(code)),
            None => String::new(),
        };
        let how = if export["state"] == "cancelled" { "was cancelled" } else { "has failed" };
        let text = format!("{} the export {how}{why}", invocation.out.error_paint().bad("error:"));
        invocation.out.error_line(&text);
        return Ok(Exit::FAILED);
    }
    let digest = fetch(&client, &format!("{path}/archive"), &export, &place, invocation).await?;
    // As sha256sum prints it, and takes it back.
    invocation.out.line(&format!("{digest}  {place}"))?;
    Ok(Exit::OK)
}

/// The export once its job has ended.
async fn ended(invocation: &Invocation, client: &Client, path: &str) -> Result<Value, Failure> {
    let mut told = String::new();
    loop {
        let export: Value = client.fetch(path).await?;
        if export["state"] != "preparing" {
            return Ok(export);
        }
        let now = match export["waiting_for"].as_str() {
            Some(what) => format!("preparing the archive: waits for {}", clean(what)),
            None => "preparing the archive".to_owned(),
        };
        if now != told {
            invocation.out.note(&now);
            told = now;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Answers the digest of what was written.
async fn fetch(
    client: &Client,
    path: &str,
    export: &Value,
    place: &Place<'_>,
    invocation: &Invocation,
) -> Result<String, Failure> {
    let part = place.part();
    let whole = into(client, path, export, &part).await;
    match whole {
        Ok((size, digest)) => {
            place.take()?;
            invocation.out.note(&format!("{place}: {}", bytes(size)));
            Ok(digest)
        }
        Err(failure) => {
            // There is none where it could not be made.
            let _ = std::fs::remove_file(&part);
            Err(failure)
        }
    }
}

async fn into(client: &Client, path: &str, export: &Value, part: &Path) -> Result<(u64, String), Failure> {
    let file = private(part).map_err(|error| Failure::local(format!("write {}: {error}", part.display())))?;
    let mut hashing = Hashing { inner: BufWriter::new(file), hasher: Sha256::new() };
    let size = client.download(path, &[], &mut hashing).await?;
    hashing.inner.get_ref().sync_all()?;
    let digest: String = hashing.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let said = records::text(export, "digest");
    if said != format!("sha256:{digest}") {
        return Err(Failure::local_with_help(
            format!("what was fetched has the digest sha256:{digest}, and not {}", clean(&said)),
            "fetch it again with --fetch",
        ));
    }
    Ok((size, digest))
}

/// For its owner alone: it holds all that a tenant has.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = std::fs::remove_file(path);
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Passes bytes on and hashes them.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
