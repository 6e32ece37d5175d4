//! What a key signs about a chain: how far it was and what its hash was there; and what was removed from its beginning.
//!
//! The signature is Ed25519 over `quarterdeck-audit/1`, a line break, and the RFC 8785 JSON of the statement without its member
//! `signature`. The member `type` is part of it, so that no statement passes for one of another sort.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Chain, Hash, PublicKey, SigningKey};
use crate::canonical::canonical_json;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Something that can be signed: its `type` and its members.
pub trait Statement: Serialize {
    const TYPE: &'static str;
}

/// Record `seq` of the chain had this chain hash at that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    pub chain: Chain,
    /// 0 is before the first record.
    pub seq: i64,
    pub chain_hash: Hash,
    pub at: Timestamp,
}

impl Statement for Checkpoint {
    const TYPE: &'static str = "checkpoint";
}

/// Everything up to record `seq` was removed; the next record follows this chain hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pruning {
    pub chain: Chain,
    pub seq: i64,
    pub chain_hash: Hash,
    /// How many this removed, beyond those that were removed before.
    pub count: i64,
    pub why: String,
    pub at: Timestamp,
}

impl Statement for Pruning {
    const TYPE: &'static str = "pruning";
}

/// A statement with who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Signed{T}")]
pub struct Signed<T> {
    #[serde(rename = "type")]
    pub statement_type: String,
    #[serde(flatten)]
    pub statement: T,
    pub key_id: String,
    /// 64 bytes as 128 hexadecimal digits.
    pub signature: String,
}

impl<T: Statement> Signed<T> {
    pub fn sign(statement: T, key: &SigningKey) -> Result<Self> {
        let mut signed = Self {
            statement_type: T::TYPE.to_owned(),
            statement,
            key_id: key.public().key_id,
            signature: String::new(),
        };
        signed.signature = key.sign(&signed.text()?);
        Ok(signed)
    }

    /// Whether this key signed it, under this key's name and as this sort of statement.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        self.statement_type == T::TYPE
            && self.key_id == key.key_id
            && self.text().is_ok_and(|text| key.has_signed(&text, &self.signature))
    }

    fn text(&self) -> Result<String> {
        let mut value = self.value()?;
        if let Some(members) = value.as_object_mut() {
            members.shift_remove("signature");
        }
        canonical_json(&value)
    }

    pub fn value(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|error| Error::internal("canonical_json", "write a statement").with_source(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_differs_anywhere_is_not_the_one_that_was_signed() {
        let key = SigningKey::from_seed(&[1; 32]);
        let chain: Chain = "0198c5d8-0000-7000-8000-000000000001/platform".parse().unwrap();
        let statement = Checkpoint { chain, seq: 5, chain_hash: Hash([1; 32]), at: Timestamp::EPOCH };
        let signed = Signed::sign(statement.clone(), &key).unwrap();
        assert!(signed.is_by(&key.public()));
        let text = signed.value().unwrap().to_string();
        let read: Signed<Checkpoint> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, signed);
        let moved = Signed { statement: Checkpoint { seq: 6, ..statement.clone() }, ..signed.clone() };
        assert!(!moved.is_by(&key.public()));
        let other_sort = Signed { statement_type: "pruning".into(), ..signed.clone() };
        assert!(!other_sort.is_by(&key.public()));
        let renamed = Signed { key_id: "ed25519:00".into(), ..signed };
        assert!(!renamed.is_by(&key.public()));
    }
}
