//! `qd version`: this program, and the server when one answers.

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Do not ask the server
    #[arg(long)]
    client: bool,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let server = if args.client { None } else { Some(ask(invocation).await) };
    let out = &invocation.out;
    let both = || {
        let server = server.as_ref().and_then(|answer| answer.as_ref().ok());
        json!({"client": {"version": own}, "server": server})
    };
    match args.output {
        Format::Json => out.data(&format::json(&both())?)?,
        Format::Yaml => out.data(&format::yaml(&both())?)?,
        Format::Name => out.line(own)?,
        Format::Table | Format::Wide => {
            out.line(&format!("client   {own}"))?;
            match &server {
                Some(Ok(version)) => out.line(&format!("server   {}", describe(version)))?,
                Some(Err(failure)) => out.note(&format!("server   {failure}")),
                None => {}
            }
        }
    }
    Ok(Exit::OK)
}

async fn ask(invocation: &Invocation) -> Result<Value, Failure> {
    invocation.client()?.get("/version").once().send().await?.value()
}

/// `0.1.0 (git 1a2b3c)`.
pub fn describe(version: &Value) -> String {
    let text = |key: &str| version.get(key).and_then(Value::as_str).map(clean);
    let git = text("git_sha").map(|sha| format!(" (git {sha})")).unwrap_or_default();
    format!("{}{git}", text("version").unwrap_or_else(|| "unknown".into()))
}
