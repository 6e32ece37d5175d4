//! Where a secret lies, and how a spec refers to it: `secret://warehouse/password`, or `secret://warehouse/password#3` for
//! that version and no later one.
//!
//! A path belongs to a project, as a resource's name does: the same path in two projects is two secrets.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize, de};

/// What a reference in a spec begins with.
pub const SCHEME: &str = "secret://";

const MOST_PARTS: usize = 6;
const LONGEST_PART: usize = 64;

/// One to six parts of letters, digits, `.`, `_` and `-` with `/` between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SecretPath(String);

impl SecretPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretPath {
    type Err = Error;

    /// Nothing of the text is repeated: somebody may have pasted the secret itself.
    fn from_str(text: &str) -> Result<Self> {
        let fits = |part: &str| {
            part.len() <= LONGEST_PART
                && part.starts_with(|first: char| first.is_ascii_alphanumeric())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let parts = text.split('/').count();
        if parts <= MOST_PARTS && text.split('/').all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::malformed(
            "bad_secret_path",
            "a secret's path is one to six parts with / between, such as warehouse/password; a part begins with a letter or a digit, has letters, digits, '.', '_' and '-', and at most 64 of them",
        ))
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret as a spec refers to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredRef {
    pub path: SecretPath,
    /// The newest where none is named.
    pub version: Option<i64>,
}

impl FromStr for StoredRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(SCHEME).unwrap_or_default();
        let (path, version) = match rest.split_once('#') {
            None => (rest, None),
            Some((path, digits)) => {
                let version = digits.parse().ok().filter(|version: &i64| *version > 0);
                let version = version.ok_or_else(|| {
                    Error::malformed(
                        "bad_secret_path",
                        "a version is a number from 1, such as secret://warehouse/password#3",
                    )
                })?;
                (path, Some(version))
            }
        };
        Ok(Self { path: path.parse()?, version })
    }
}

impl fmt::Display for StoredRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.path)?;
        self.version.map_or(Ok(()), |version| write!(f, "#{version}"))
    }
}

impl Serialize for StoredRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoredRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|error: Error| de::Error::custom(error.detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_path_and_perhaps_a_version() {
        for text in ["secret://a", "secret://warehouse/DB_PASSWORD", "secret://a/b/c/d/e/f#12"] {
            assert_eq!(text.parse::<StoredRef>().unwrap().to_string(), text);
        }
        let long = format!("secret://{}", "x".repeat(65));
        for wrong in [
            "",
            "a",
            "secret://",
            "secret://a/",
            "secret:///a",
            "secret://a//b",
            "secret://../a",
            "secret://a#0",
            "secret://a#x",
            "secret://a b",
            "secret://a/b/c/d/e/f/g",
            "env://a",
            &long,
        ] {
            let error = wrong.parse::<StoredRef>().unwrap_err();
            assert_eq!(error.code, "bad_secret_path", "{wrong}");
        }
        let error = "secret://hunter two".parse::<StoredRef>().unwrap_err();
        assert!(!error.detail.contains("hunter"), "{error}");
    }
}
