//! Where a secret is found, and the secret itself, which nothing prints.
//!
//! The reference may be shown: it is a name. What it leads to is read each time that it is needed, so that a rotated
//! token is used at once, and is kept nowhere.

use std::{env, fmt, path::PathBuf};

use qd_core::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

/// Bytes; a token is far shorter.
const LONGEST: u64 = 64 * 1024;

/// Where the server finds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SecretRef {
    /// A variable of the server's environment.
    Env(String),
    /// An absolute path on the server's machine; the file holds the secret and nothing else.
    File(PathBuf),
}

/// A secret that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// For the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl SecretRef {
    /// # Errors
    /// `secret_missing`: there is nothing there now, or nothing that can be a token. It may come.
    pub async fn read(&self) -> Result<Secret> {
        let missing = |why: String| Error::unavailable("secret_missing", format!("{self} {why}"));
        let text = match self {
            Self::Env(name) => env::var(name).map_err(|_| missing("is not set".into()))?,
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(|error| missing(unread(&error)))?;
                let mut text = String::new();
                let read = file.take(LONGEST + 1).read_to_string(&mut text).await;
                if read.map_err(|error| missing(unread(&error)))? as u64 > LONGEST {
                    return Err(missing(format!("is longer than {LONGEST} bytes")));
                }
                text
            }
        };
        match text.trim() {
            "" => Err(missing("is empty".into())),
            secret if secret.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Secret(secret.to_owned())),
            _ => Err(missing("holds more than one word of ASCII".into())),
        }
    }
}

/// Without what was read: an error of decoding would quote it.
fn unread(error: &std::io::Error) -> String {
    format!("cannot be read ({})", error.kind())
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the server's variable {name}"),
            Self::File(path) => write!(f, "the server's file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_read_where_it_lies_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let file = SecretRef::File(path.clone());
        assert_eq!(file.read().await.unwrap_err().code, "secret_missing");
        std::fs::write(&path, "canary-4711\n").unwrap();
        let secret = file.read().await.unwrap();
        assert_eq!(secret.expose(), "canary-4711");
        assert!(!format!("{secret:?}").contains("canary"));
        for wrong in ["", " \n", "canary one", "canary\nX-Other: 1", "canaryé"] {
            std::fs::write(&path, wrong).unwrap();
            let error = file.read().await.unwrap_err();
            assert!(!format!("{error:?} {error}").contains("canary"), "{wrong:?}: {error:?}");
        }
        std::fs::write(&path, [0x63, 0x61, 0xff]).unwrap();
        assert!(!format!("{:?}", file.read().await.unwrap_err()).contains("ca\\"));
        let unset = SecretRef::Env("QD_TEST_NO_SUCH_VARIABLE".into()).read().await.unwrap_err();
        assert!(unset.detail.contains("QD_TEST_NO_SUCH_VARIABLE is not set"), "{unset}");
    }

    #[test]
    fn it_is_written_as_one_member() {
        let read = |text: &str| serde_json::from_str::<SecretRef>(text).ok();
        assert_eq!(read(r#"{"env": "TOKEN"}"#), Some(SecretRef::Env("TOKEN".into())));
        assert_eq!(read(r#"{"file": "/run/token"}"#), Some(SecretRef::File("/run/token".into())));
        assert_eq!(read(r#"{"env": "A", "file": "/b"}"#), None);
    }
}
