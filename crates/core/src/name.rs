//! Names of resources: `[a-z]([a-z0-9-]{0,38}[a-z0-9])?`, and no hyphenated uuid, because an address takes a name or an id.
//!
//! The grammar is that of a DNS label, cut to 40 characters, so that a name plus a short hash is a legal name in
//! every engine. What people want to read goes into `display_name`; a name never changes and is never normalised.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

use crate::error::Error;
use crate::violation::Violation;

/// Longest name, in characters.
pub const NAME_MAX: usize = 40;

/// The grammar as an anchored regular expression, for schemas and forms.
pub const NAME_PATTERN: &str = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$";

/// A checked name: one that exists obeys the grammar.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// Which rule of the grammar a text breaks first; positions count characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a name must not be empty")]
    Empty,
    #[error("a name must start with a letter a-z, character 1 is {0:?}")]
    Start(char),
    #[error("a name is made of a-z, 0-9 and '-', character {position} is {found:?}")]
    Character { position: usize, found: char },
    #[error("a name must end with a letter a-z or a digit, character {0} is '-'")]
    End(usize),
    #[error("a name has at most 40 characters, this has {0}")]
    Length(usize),
    #[error("a name must not look like a uuid, which would be taken for an id")]
    Uuid,
}

impl NameError {
    /// The violation at `pointer`, with code `invalid_name`.
    pub fn at(&self, pointer: impl Into<String>) -> Violation {
        Violation::new(pointer, "invalid_name", self.to_string())
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Error::malformed("malformed_name", error.to_string())
    }
}

impl Name {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        if !first.is_ascii_lowercase() {
            return Err(NameError::Start(first));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if let Some((index, found)) = text.chars().enumerate().find(|(_, c)| !allowed(*c)) {
            return Err(NameError::Character { position: index + 1, found });
        }
        match text.len() {
            length if length > NAME_MAX => Err(NameError::Length(length)),
            length if text.ends_with('-') => Err(NameError::End(length)),
            uuid::fmt::Hyphenated::LENGTH if uuid::Uuid::try_parse(text).is_ok() => Err(NameError::Uuid),
            _ => Ok(Self(text.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": NAME_PATTERN, "maxLength": NAME_MAX })
    }
}
