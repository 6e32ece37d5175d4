//! Where a secret is found: in the store of secrets, in a variable of the server's, in a file of it.
//!
//! The reference may be shown: it is a name. What it leads to is read each time that it is needed, so that a rotated
//! token is used at once, and is kept nowhere.

use std::{
    borrow::Cow,
    fmt,
    path::{Component, Path, PathBuf},
};

use qd_core::{
    error::Result,
    violation::{Pointer, Violation},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};
use serde_json::Value;

use crate::secrets::{Secret, SecretUse, Secrets, StoredRef};

/// What a person reads who wrote something else where a reference is wanted. Nothing of it is repeated: it may be the secret.
pub const WANTED: &str =
    "`secret://PATH`, `{env: NAME}` or `{file: PATH}` is wanted: no secret stands in a spec";

/// Where the server finds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// A variable of the server's environment.
    Env(String),
    /// An absolute path on the server's machine; the file holds the secret and nothing else.
    File(PathBuf),
    /// A secret of the project.
    Stored(StoredRef),
}

impl SecretRef {
    /// What is there now, without the line's end of a file.
    ///
    /// # Errors
    /// `secret_missing`: there is nothing there now; it may come. `secret_place_refused`: the operator does not let connections name
    /// it. Of a stored one also what [`Secrets::resolve`] says.
    pub async fn read(&self, secrets: &Secrets, usage: &SecretUse) -> Result<Secret> {
        match self {
            Self::Stored(reference) => secrets.resolve(reference, usage).await,
            Self::Env(name) => secrets.resolve_variable(name, usage).await,
            Self::File(path) => secrets.resolve_file(path, usage).await,
        }
    }

    /// The same as a header carries it.
    pub async fn read_word(&self, secrets: &Secrets, usage: &SecretUse) -> Result<Secret> {
        self.read(secrets, usage).await?.one_word(self)
    }

    /// What is wrong with the name alone, under the place where it stands.
    pub fn violations(&self, at: &Pointer) -> Vec<Violation> {
        match self {
            Self::Env(name) if !is_variable(name) => {
                let detail = "the name of a variable is wanted; the secret itself never stands here";
                vec![Violation::new(at.key("env"), "invalid_name", detail)]
            }
            Self::File(path) if !is_plain_absolute(path) => {
                let detail = "an absolute path without `..` is wanted";
                vec![Violation::new(at.key("file"), "invalid_format", detail)]
            }
            Self::Env(_) | Self::File(_) | Self::Stored(_) => vec![],
        }
    }
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// An absolute path that says where it leads.
#[must_use]
pub fn is_plain_absolute(path: &Path) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute() && path.components().all(plain)
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the server's variable {name}"),
            Self::File(path) => write!(f, "the server's file {}", path.display()),
            Self::Stored(reference) => write!(f, "{reference}"),
        }
    }
}

/// As it lies on the server.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lying {
    Env(String),
    File(PathBuf),
}

impl Serialize for SecretRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Env(name) => Lying::Env(name.clone()).serialize(serializer),
            Self::File(path) => Lying::File(path.clone()).serialize(serializer),
            Self::Stored(reference) => reference.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = || de::Error::custom(WANTED);
        match Value::deserialize(deserializer)? {
            Value::String(text) => text.parse().map(Self::Stored).map_err(|_| wanted()),
            other => match Lying::deserialize(other) {
                Ok(Lying::Env(name)) => Ok(Self::Env(name)),
                Ok(Lying::File(path)) => Ok(Self::File(path)),
                Err(_) => Err(wanted()),
            },
        }
    }
}

impl JsonSchema for SecretRef {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |name: &str, what: &str| {
            serde_json::json!({
                "description": what, "type": "object", "properties": { name: { "type": "string" } },
                "required": [name], "additionalProperties": false,
            })
        };
        json_schema!({
            "oneOf": [
                { "description": "A secret of the project: `secret://warehouse/password`, or `…#3` for that version alone.",
                  "type": "string", "pattern": "^secret://[A-Za-z0-9]" },
                one("env", "A variable of the server's environment."),
                one("file", "An absolute path on the server's machine; the file holds the secret and nothing else."),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_one_member_or_as_a_reference() {
        let read = |text: &str| serde_json::from_str::<SecretRef>(text).ok();
        assert_eq!(read(r#"{"env": "TOKEN"}"#), Some(SecretRef::Env("TOKEN".into())));
        assert_eq!(read(r#"{"file": "/run/token"}"#), Some(SecretRef::File("/run/token".into())));
        let stored = read(r#""secret://ray/token#2""#).unwrap();
        assert_eq!(serde_json::json!(stored), "secret://ray/token#2");
        for wrong in [
            r#"{"env": "A", "file": "/b"}"#,
            r#""canary""#,
            r#"{"value": "canary"}"#,
            "7",
            r#""secret://can ary""#,
        ] {
            let error = serde_json::from_str::<SecretRef>(wrong).unwrap_err();
            assert!(
                !error.to_string().contains("canary") && !error.to_string().contains("can ary"),
                "{error}"
            );
        }
    }
}
