//! The canonical form of JSON (RFC 8785) and SHA-256 over it: what "the same spec" and "the same plan" mean.
//!
//! Two values with the same canonical form are the same: key order and spellings of a number (`1`, `1.0`, `1e0`) do not
//! count. RFC 8785 numbers are doubles, so an integer beyond 2^53 may be written with other digits, and then hashes like
//! its neighbour: such a number is refused here instead of being rounded in silence.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result, clip};
use crate::violation::{Found, Trail, Violation};

/// The RFC 8785 text. Fails with `inexact_number` (all of them, with pointers).
pub fn canonical_json(value: &Value) -> Result<String> {
    let mut found = Found::default();
    inexact_numbers(value, &Trail::ROOT, &mut found);
    if found.count() > 0 {
        let detail = format!("{} of the numbers would lose digits; write them as strings", found.count());
        return Err(Error::invalid("inexact_number", detail).with_violations(found.into_vec()));
    }
    serde_json_canonicalizer::to_string(value).map_err(|source| {
        Error::internal("canonical_json", "the value has no canonical JSON form").with_source(source)
    })
}

/// The digest of the canonical form. Fails as [`canonical_json`] does.
pub fn hash_json(value: &Value) -> Result<Digest> {
    canonical_json(value).map(|text| Digest::of(text.as_bytes()))
}

/// SHA-256 as 64 hexadecimal digits in lower case.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes.as_ref()))
}

/// A violation for every integer that the canonical form would change; at most
/// [`VIOLATIONS_MAX`](crate::violation::VIOLATIONS_MAX).
pub fn reject_inexact_numbers(value: &Value) -> Vec<Violation> {
    let mut found = Found::default();
    inexact_numbers(value, &Trail::ROOT, &mut found);
    found.into_vec()
}

pub(crate) fn inexact_numbers(value: &Value, at: &Trail<'_>, found: &mut Found) {
    if let Value::Number(number) = value
        && !is_exact(number)
    {
        found.push(at, "inexact_number", || {
            format!("{number} would lose digits, because JSON numbers are doubles; write it as a string")
        });
    }
    for (at, child) in at.children(value) {
        inexact_numbers(child, &at, found);
    }
}

/// True where the canonical form keeps every digit. Floats always pass: their text is the shortest that reads as the
/// same double, and that text, read again, passes too, even where it looks like an integer.
pub(crate) fn is_exact(number: &Number) -> bool {
    let integer = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
    integer.is_none_or(|size| size <= 1 << 53)
        || serde_json_canonicalizer::to_string(number).is_ok_and(|text| text == number.to_string())
}

/// `sha256:` and 64 hexadecimal digits in lower case: the address of a content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a digest: sha256: and 64 hexadecimal digits in lower case are wanted")]
pub struct DigestError {
    pub text: String,
}

impl From<DigestError> for Error {
    fn from(error: DigestError) -> Self {
        Error::malformed("malformed_digest", error.to_string())
    }
}

impl Digest {
    pub const PREFIX: &str = "sha256:";

    /// The digest of `bytes` themselves.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(format!("{}{}", Self::PREFIX, sha256_hex(bytes)))
    }

    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        match text.strip_prefix(Self::PREFIX) {
            Some(digits) if digits.len() == 64 && digits.bytes().all(is_hex) => Ok(Self(text.to_owned())),
            _ => Err(DigestError { text: clip(text, 80) }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits without the prefix: a legal file name.
    pub fn hex(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Digest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}
