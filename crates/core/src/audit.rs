//! What makes an audit that can be proved: a record's canonical form, the chain that records are sealed into, what a key
//! signs about it, and how an export of it is verified.
//!
//! `docs/audit.md` says the same for somebody who writes a verifier of his own; what stands here is what runs. Everything is a
//! pure function of its bytes: the database, the clock and the randomness of keys are elsewhere.

mod export;
mod key;
mod redact;
mod statement;
mod verify;

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::canonical::{Digest, canonical_json};
use crate::error::{Error, Result};
use crate::id::{AuditId, JobId, PrincipalId, ProjectId, TenantId};
use crate::time::Timestamp;

pub use export::{Header, Line, RecordLine, line_text};
pub use key::{KeyError, PublicKey, SigningKey};
pub use redact::{make_exact, redact};
pub use statement::{Checkpoint, Pruning, Signed, Statement};
pub use verify::{Finding, FindingKind, Proof, Verifier, verify};

/// Before everything that is hashed or signed here, so that no other signature of the same key can be taken for one of these.
const DOMAIN: &str = "quarterdeck-audit/1\n";

/// What became of what somebody tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Success,
    /// Allowed, and did not come about.
    Failure,
    /// Not allowed.
    Denied,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Denied];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// The thing that a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordObject {
    pub kind: String,
    /// Absent where there is no such thing: a name that nobody has was tried.
    pub id: Option<Uuid>,
    pub name: String,
}

/// Who did what to what, when, from where and why, with the difference it made.
///
/// What is hashed is the RFC 8785 form of exactly these members, absent ones as `null`: a member that is added here makes
/// another form, and needs another [`Header::VERSION`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    pub id: AuditId,
    pub at: Timestamp,
    /// None for what belongs to the platform.
    pub tenant_id: Option<TenantId>,
    pub project_id: Option<ProjectId>,
    /// The name of who acted.
    pub actor: String,
    /// Records from before accounts had ids have none.
    pub principal_id: Option<PrincipalId>,
    /// Whose wish the system carried out, where it was the system that acted.
    pub on_behalf_of: Option<String>,
    /// Socket address or internal task.
    pub source: String,
    /// `<plural>.<verb>`
    pub action: String,
    pub object: RecordObject,
    pub outcome: Outcome,
    pub reason: String,
    pub changes: Value,
    pub job_id: Option<JobId>,
    /// Of the plan that it made, decided on or carried out.
    pub plan_hash: Option<String>,
    pub request_id: String,
    pub correlation_id: String,
    pub trace_id: Option<String>,
}

impl Record {
    /// As it is hashed and exported.
    ///
    /// # Errors
    /// `inexact_number` where `changes` holds an integer that JSON's numbers cannot carry; [`redact`] leaves none.
    pub fn value(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|error| Error::internal("canonical_json", "write an audit record").with_source(error))
    }
}

/// 32 bytes, written as `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        Self(hasher.finalize().into())
    }

    /// # Errors
    /// `malformed_digest` where it is another length: what a database gave that was tampered with.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.try_into().map_err(|_| {
            Error::malformed("malformed_digest", format!("a hash has 32 bytes, not {}", bytes.len()))
        })?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Digest::PREFIX, hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digest = Digest::parse(text)?;
        let mut bytes = [0; 32];
        // A digest's digits are checked: there are 64, all hexadecimal.
        hex::decode_to_slice(digest.hex(), &mut bytes)
            .map_err(|error| Error::malformed("malformed_digest", error.to_string()))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Hash {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

/// The hash of a record: SHA-256 of its canonical JSON.
///
/// # Errors
/// Those of [`canonical_json`].
pub fn record_hash(record: &Value) -> Result<Hash> {
    Ok(Hash::of(&[canonical_json(record)?.as_bytes()]))
}

/// The chain hash before the first record: it binds the chain's name, so that no record fits into another chain.
pub fn genesis(chain: &Chain) -> Hash {
    Hash::of(&[DOMAIN.as_bytes(), chain.to_string().as_bytes()])
}

/// The chain hash of record `seq`: SHA-256 of the hash before it, the record's, and its number as 8 bytes, big-endian.
pub fn link(before: Hash, record: Hash, seq: i64) -> Hash {
    Hash::of(&[&before.0, &record.0, &seq.to_be_bytes()])
}

/// Which chain: `<installation>/<tenant>`, or `<installation>/platform` for records of no tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain {
    pub installation: Uuid,
    pub tenant: Option<TenantId>,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant {
            Some(tenant) => write!(f, "{}/{tenant}", self.installation.as_hyphenated()),
            None => write!(f, "{}/platform", self.installation.as_hyphenated()),
        }
    }
}

impl FromStr for Chain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let what = crate::error::clip(text, 80);
            Error::malformed(
                "bad_audit_chain",
                format!("{what:?} is no chain: an installation, / and a tenant"),
            )
        };
        let (installation, tenant) = text.split_once('/').ok_or_else(wrong)?;
        let chain = Self {
            installation: installation.parse().map_err(|_| wrong())?,
            tenant: match tenant {
                "platform" => None,
                id => Some(id.parse().map_err(|_| wrong())?),
            },
        };
        // One chain has one spelling.
        if chain.to_string() == text { Ok(chain) } else { Err(wrong()) }
    }
}

impl Serialize for Chain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Chain {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Chain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
