//! `qd connections test`: calls what a connection leads to, from the server, and says what came of it.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::format::{self, Format};
use crate::verbs::publish::without_nulls;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Call what a connection leads to: exit 0 where it works, 1 where it does not
    Test {
        /// The connection, by name or id
        name: String,
        /// Which revision; the published one if not said, or the newest
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let What::Test { name, revision, output } = &args.what;
    let bare = name.strip_prefix("connections/").unwrap_or(name);
    let client = invocation.client()?;
    let body = without_nulls(json!({ "revision": revision }));
    let request = client.post(&format!("/api/v1/connections/{}/test", segment(bare))).json(&body);
    let reading = request.send().await?.value()?;
    let works = reading["ok"] == true;
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(&reading)?)?,
        Format::Yaml => out.data(&format::yaml(&reading)?)?,
        Format::Name => out.line(&format!("connections/{}", clean(bare)))?,
        Format::Table | Format::Wide => out.line(&sentence(bare, &reading))?,
    }
    Ok(if works { Exit::OK } else { Exit::FAILED })
}

fn sentence(name: &str, reading: &Value) -> String {
    let text = |key: &str| clean(reading[key].as_str().unwrap_or_default());
    let works = if reading["ok"] == true { "works" } else { "does not work" };
    let ms = reading["latency_ms"].as_f64().unwrap_or_default();
    let code = reading["code"].as_str().map(|code| format!(" [{}]", clean(code))).unwrap_or_default();
    format!("connections/{} {works}: {}{code} ({ms:.0} ms)", clean(name), text("detail"))
}
