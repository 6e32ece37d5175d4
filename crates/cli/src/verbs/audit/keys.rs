//! `qd audit keygen`, `keys` and `checkpoint`: what a proof needs besides the export, each to be kept where the server's operator
//! cannot change it.

use std::path::PathBuf;

use qd_core::audit::SigningKey;
use qd_kernel::audit::signing::key_write;
use qd_kernel::clock;
use serde::Deserialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::{self, Format};

#[derive(Debug, clap::Args)]
pub struct KeygenArgs {
    /// Where the private key is written, for its owner alone; never over a file that is there
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    /// How to print them; without, as PEM
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    /// Of the platform's chain instead of the tenant's
    #[arg(long)]
    platform: bool,
}

#[derive(Debug, Deserialize)]
struct Chain {
    keys: Vec<Key>,
    checkpoint: Option<Value>,
}

#[derive(Debug, Deserialize, serde::Serialize)]
struct Key {
    key_id: String,
    pem: String,
    since: String,
    retired_at: Option<String>,
}

pub fn keygen(args: &KeygenArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let mut seed = [0; 32];
    clock::system().random(&mut seed);
    let key = SigningKey::from_seed(&seed);
    key_write(&args.file, &key)?;
    let public = key.public();
    let pem = public.to_pem().map_err(|error| Failure::local(error.to_string()))?;
    invocation.out.line(pem.trim_end())?;
    invocation.out.note(&format!(
        "{}: {}; start every server of the database with --audit-key, and keep the public key above where verifiers find it",
        args.file.display(),
        public.key_id
    ));
    Ok(Exit::OK)
}

pub async fn keys(args: &KeysArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let chain: Chain = invocation.client()?.fetch("/api/v1/audit/chain").await?;
    let out = &invocation.out;
    match args.output {
        Some(Format::Json) => out.data(&format::json(&chain.keys)?)?,
        Some(Format::Yaml) => out.data(&format::yaml(&chain.keys)?)?,
        Some(Format::Name) => {
            for key in &chain.keys {
                out.line(&key.key_id)?;
            }
        }
        _ => {
            for key in &chain.keys {
                let until = key.retired_at.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
                out.line(&format!("# {} since {}{until}\n{}", key.key_id, key.since, key.pem.trim_end()))?;
            }
        }
    }
    Ok(Exit::OK)
}

pub async fn checkpoint(args: &CheckpointArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let mut request = client.get("/api/v1/audit/chain");
    if args.platform {
        request = request.query("reach", "platform");
    }
    let chain: Chain = request.send().await?.json()?;
    match chain.checkpoint {
        Some(checkpoint) => {
            invocation.out.line(&checkpoint.to_string())?;
            Ok(Exit::OK)
        }
        None => Err(Failure::local(
            "there is no checkpoint yet: the first is made a minute after the first record",
        )),
    }
}
