//! The `-o` choice and the two machine formats.

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned columns for people
    #[default]
    Table,
    /// The table with more columns
    Wide,
    /// The API's own objects
    Json,
    /// YAML; of a single resource, the document that `qd apply` takes back
    Yaml,
    /// Only kind/name, one a line
    Name,
}

pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::local(format!("write JSON: {error}")))?;
    text.push('\n');
    Ok(text)
}

pub fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let mut text =
        serde_saphyr::to_string(value).map_err(|error| Failure::local(format!("write YAML: {error}")))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
