//! One run or one job in the format that was asked for: what commands print that start, change or wait for one.

use serde_json::Value;

use super::format::{self, Format};
use super::table::Table;
use super::{clean, lists};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::verbs::get;

pub fn run(invocation: &Invocation, run: &Value, output: Format) -> Result<(), Failure> {
    let now = invocation.clock.now();
    one(invocation, run, output, &format!("runs/{}", clean(run_label(run))), |wide| {
        Ok(lists::runs(&get::decode(std::slice::from_ref(run))?, wide, now))
    })
}

pub fn job(invocation: &Invocation, job: &Value, output: Format) -> Result<(), Failure> {
    let now = invocation.clock.now();
    let id = job.get("id").and_then(Value::as_str).unwrap_or_default();
    one(invocation, job, output, &format!("jobs/{}", clean(id)), |wide| {
        Ok(lists::jobs(&get::decode(std::slice::from_ref(job))?, wide, now))
    })
}

/// The run as people name it: its reference, or its id.
pub fn run_label(run: &Value) -> &str {
    let text = |key: &str| run.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("ref").or_else(|| text("id")).unwrap_or_default()
}

fn one(
    invocation: &Invocation,
    value: &Value,
    output: Format,
    name: &str,
    table: impl FnOnce(bool) -> Result<Table, Failure>,
) -> Result<(), Failure> {
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(value)?),
        Format::Yaml => out.data(&format::yaml(value)?),
        Format::Name => out.line(name),
        Format::Table | Format::Wide => out.data(&table(output == Format::Wide)?.render(out.paint())),
    }
}
