//! Identifiers: one newtype for each noun, over uuid v7, so that a run's id is never passed where a job's is due.
//!
//! v7 because ids then sort by birth, which keeps index pages warm. The ids are *made* elsewhere, by the injected
//! source of ids: this module only carries, prints and reads them, and takes any uuid version when it reads.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};
use uuid::Uuid;

use crate::error::{Error, clip};
use crate::name::Name;

/// Text that is not an id or a run reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct IdError {
    /// What was wanted, with its article and form: `a run id (…)`.
    pub what: &'static str,
    /// What was found, cut to a length fit for a message.
    pub text: String,
}

impl IdError {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: clip(text, 80) }
    }
}

impl From<IdError> for Error {
    fn from(error: IdError) -> Self {
        Error::malformed("malformed_id", error.to_string())
    }
}

/// Reads the hyphenated form only: the other spellings of a uuid would give one object two addresses.
fn parse_hyphenated(text: &str, what: &'static str) -> Result<Uuid, IdError> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(IdError::new(what, text));
    }
    Uuid::try_parse(text).map_err(|_| IdError::new(what, text))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $what:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hyphenated(text, concat!($what, " (a uuid such as 0198c5d8-…, hyphenated)")).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    )+};
}

ids! {
    TenantId = "a tenant id",
    ProjectId = "a project id",
    /// Who acts: a person or a service account.
    PrincipalId = "a principal id",
    TeamId = "a team id",
    ResourceId = "a resource id",
    RevisionId = "a revision id",
    RunId = "a run id",
    JobId = "a job id",
    PlanId = "a plan id",
    EventId = "an event id",
    AuditId = "an audit record id",
}

/// The name people use for a run: `curate#42`, the 42nd run of the resource `curate`.
///
/// Unique within a project and a kind, not beyond: a [`RunId`] is what is unique everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunRef {
    pub resource_name: Name,
    /// Counted from 1 for each resource; signed because both databases' integers are.
    pub number: i64,
}

const RUN_REF: &str = "a run reference (a resource's name, #, and a number from 1, such as curate#42)";

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.resource_name, self.number)
    }
}

impl FromStr for RunRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new(RUN_REF, text);
        let (name, digits) = text.split_once('#').ok_or_else(error)?;
        let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        match (Name::parse(name), digits.parse::<i64>()) {
            (Ok(resource_name), Ok(number)) if canonical => Ok(Self { resource_name, number }),
            _ => Err(error()),
        }
    }
}

impl Serialize for RunRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for RunRef {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RunRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?#[1-9][0-9]*$" })
    }
}
