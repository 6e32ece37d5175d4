//! `qd request`: one item through a serving run.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format;
use crate::targets::{self, run_path};
use crate::verbs::publish::without_nulls;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: serve#1, its id, or pipelines/serve for the newest
    run: String,
    /// The item as JSON, or - to read it from standard input
    #[arg(long, value_name = "JSON")]
    item: String,
    /// How long to wait for the result, in milliseconds
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let item = read_item(&args.item)?;
    let client = invocation.client()?;
    let (run, _) = targets::run(&client, &args.run).await?;
    let body = without_nulls(json!({"item": item, "timeout_ms": args.timeout_ms}));
    let body = if item.is_null() { json!({"item": null, "timeout_ms": args.timeout_ms}) } else { body };
    let patience = Duration::from_millis(args.timeout_ms.unwrap_or(60_000)) + Duration::from_secs(10);
    // The run may have the item already: to send it again is its owner's decision.
    let request = client.post(&format!("{}/requests", run_path(&run.id)));
    let reply = request.json(&body).timeout(patience).once().send().await?;
    let answer = reply.value()?;
    let result = answer.get("result").cloned().unwrap_or(answer);
    invocation.out.data(&format::json(&result)?)?;
    Ok(Exit::OK)
}

fn read_item(text: &str) -> Result<Value, Failure> {
    let mut input = String::new();
    let (name, text) = if text == "-" {
        std::io::stdin().lock().read_to_string(&mut input)?;
        ("standard input", input.as_str())
    } else {
        ("--item", text)
    };
    serde_json::from_str(text).map_err(|error| {
        let place = format!("{name}:{}:{}", error.line(), error.column());
        Failure::usage(format!(
            "{place}: the item is not JSON: {error}; text needs quotes of its own: '\"text\"'"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_json() {
        assert_eq!(read_item(r#"{"a": [1]}"#).unwrap(), json!({"a": [1]}));
        assert!(read_item("hello").unwrap_err().to_string().starts_with("--item:1:1: the item is not JSON"));
    }
}
