//! An export: lines of RFC 8785 JSON. First a signed header, then each record with its place in the chain, and behind the record
//! that it is of each checkpoint; last a checkpoint of the last record.
//!
//! Every byte counts: a line that is not the canonical form of itself is refused, so that nothing can be hidden in spelling.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Chain, Checkpoint, Hash, Pruning, PublicKey, Signed, Statement};
use crate::canonical::canonical_json;
use crate::error::Result;
use crate::time::Timestamp;

/// What the lines that follow are, as the server that wrote them says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    pub version: i64,
    pub chain: Chain,
    /// The first and the last record; an export of none has `to` = `from` - 1.
    pub from: i64,
    pub to: i64,
    /// The chain hash before the first record.
    pub prev_hash: Hash,
    /// The newest pruning of the chain, where the export begins behind it.
    pub pruned: Option<Signed<Pruning>>,
    /// How many checkpoints stand between the records, the last line not counted.
    pub checkpoints: i64,
    /// Every key that ever signed for this audit, the present one among them.
    pub keys: Vec<PublicKey>,
    pub at: Timestamp,
}

impl Header {
    pub const VERSION: i64 = 1;
}

impl Statement for Header {
    const TYPE: &'static str = "export";
}

/// A record at its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    #[serde(rename = "type")]
    pub line_type: String,
    pub seq: i64,
    /// The chain hash of the record before.
    pub prev_hash: Hash,
    pub record_hash: Hash,
    pub chain_hash: Hash,
    /// As it is hashed.
    pub record: Value,
}

impl RecordLine {
    pub const TYPE: &'static str = "record";

    pub fn new(seq: i64, prev_hash: Hash, record_hash: Hash, chain_hash: Hash, record: Value) -> Self {
        Self { line_type: Self::TYPE.to_owned(), seq, prev_hash, record_hash, chain_hash, record }
    }
}

/// One line of an export, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    Header(Box<Signed<Header>>),
    Record(Box<RecordLine>),
    Checkpoint(Box<Signed<Checkpoint>>),
}

impl Line {
    /// # Errors
    /// In words: no JSON, not the canonical form of itself, of no known type, or with members that its type does not have.
    pub fn read(line: &[u8]) -> std::result::Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        if canonical_json(&value).map_err(|error| error.detail)? != text {
            return Err("it is not written in the canonical form (RFC 8785)".into());
        }
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            Header::TYPE => signed(value).map(|header| Self::Header(Box::new(header))),
            Checkpoint::TYPE => signed(value).map(|checkpoint| Self::Checkpoint(Box::new(checkpoint))),
            RecordLine::TYPE => {
                let record = serde_json::from_value(value).map_err(|error| error.to_string())?;
                Ok(Self::Record(Box::new(record)))
            }
            _ => Err("it is no line of an export".into()),
        }
    }
}

impl<T: Statement + DeserializeOwned> Signed<T> {
    /// A statement that stands alone, as a sink gets it.
    ///
    /// # Errors
    /// In words, where it is none of this sort, or has members besides.
    pub fn read(text: &[u8]) -> std::result::Result<Self, String> {
        let value: Value =
            serde_json::from_slice(text).map_err(|error| format!("it is not JSON: {error}"))?;
        if value.get("type").and_then(Value::as_str) != Some(T::TYPE) {
            return Err(format!("it is no {}", T::TYPE));
        }
        signed(value)
    }
}

fn signed<T: Statement + DeserializeOwned>(value: Value) -> std::result::Result<Signed<T>, String> {
    let read = Signed::<T>::deserialize(&value).map_err(|error| error.to_string())?;
    // What a type does not know must not hide beside what it knows.
    match read.value() {
        Ok(again) if crate::diff::same(&again, &value) => Ok(read),
        _ => Err("it has members that it should not have".into()),
    }
}

/// The line without its line break.
///
/// # Errors
/// Those of [`canonical_json`].
pub fn line_text(line: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(line).map_err(|error| {
        crate::error::Error::internal("canonical_json", "write a line of an export").with_source(error)
    })?;
    canonical_json(&value)
}
