//! Where log chunks lie for good: the database, or an object store that is named by one URL.
//!
//! The forms of the URL are those of [`objects`]; a `file:///folder` must be one that all processes see.
//!
//! What is put under a name never changes: a chunk's name is its run and its first line, so that a repeat overwrites itself.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use qd_core::error::{Error, Result};

use crate::objects::{self, Objects, said_shortly};

/// Where an operator wants logs to be kept.
#[derive(Debug, Clone)]
pub struct LogStoreOptions {
    pub url: String,
    /// Key id and secret for S3, where they are not found as its other programs find them.
    pub keys: Option<(String, String)>,
}

/// An object store and what it last said.
pub struct LogPlace {
    store: Box<dyn ObjectStore>,
    prefix: Path,
    /// The address, without what signs in to it.
    pub name: String,
    /// Why the last attempt failed.
    problem: Mutex<Option<String>>,
}

impl LogPlace {
    /// # Errors
    /// `log_store_url` for an address that cannot be one. A store that is away is met later.
    pub fn open(options: &LogStoreOptions) -> Result<Arc<Self>> {
        let objects = objects::open(&options.url, options.keys.as_ref())
            .map_err(|what| Error::malformed("log_store_url", format!("the log store's URL: {what}")))?;
        let Objects { store, prefix, name } = objects;
        Ok(Arc::new(Self { store, prefix, name, problem: Mutex::default() }))
    }

    /// Why it could not be reached the last time; nothing where it could.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn put(&self, name: &str, body: String) -> Result<()> {
        let put = self.store.put(&self.path(name), body.into_bytes().into()).await;
        self.note(put.map(drop))
    }

    /// The lines; nothing where there is no such object.
    pub(super) async fn get(&self, name: &str) -> Result<Option<String>> {
        let got = async {
            match self.store.get(&self.path(name)).await {
                Ok(found) => Ok(Some(found.bytes().await?)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let Some(bytes) = self.note(got.await)? else { return Ok(None) };
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|error| {
            Error::internal("log_chunk_unreadable", format!("the log chunk {name} is no text"))
                .with_source(error)
        })
    }

    /// Also where it is gone already. A name that ends in `/` is everything below it.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let Some(below) = name.strip_suffix('/') else {
            return self.note(gone(self.store.delete(&self.path(name)).await));
        };
        let below = self.path(below);
        let all = self.store.list(Some(&below)).map_ok(|found| found.location);
        let removed = all.map(async |found| gone(self.store.delete(&found?).await)).buffer_unordered(8);
        self.note(removed.try_collect::<()>().await)
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Keeps what the store said, for whoever asks how it is.
    fn note<T>(&self, said: object_store::Result<T>) -> Result<T> {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Ok(value) => {
                if problem.take().is_some() {
                    tracing::info!(store = self.name, "the log store answers again");
                }
                Ok(value)
            }
            Err(error) => {
                let text = said_shortly(&error);
                if problem.is_none() {
                    tracing::warn!(store = self.name, %error, "the log store cannot be reached: logs stay in the database");
                }
                *problem = Some(text.clone());
                Err(Error::unavailable(
                    "log_store_unavailable",
                    format!("the log store {}: {text}", self.name),
                )
                .with_source(error))
            }
        }
    }
}

fn gone(deleted: object_store::Result<()>) -> object_store::Result<()> {
    match deleted {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> LogStoreOptions {
        LogStoreOptions { url: url.to_owned(), keys: None }
    }

    #[test]
    fn what_is_no_place_is_refused_in_words() {
        let said =
            |url: &str| LogPlace::open(&at(url)).err().map(|error| (error.code, error.detail)).unwrap();
        for (url, words) in [
            ("logs", "begins with s3:// or file:///"),
            ("file://logs", "s3://bucket/prefix or file:///folder"),
            ("ftp://host/logs", "s3://bucket/prefix or file:///folder"),
            ("s3:///prefix", "names no bucket"),
            ("s3://bucket?endpont=x", "\"endpont=x\" is unknown"),
        ] {
            let (code, detail) = said(url);
            assert_eq!(code, "log_store_url");
            assert!(detail.contains(words), "{url}: {detail}");
        }
    }

    #[tokio::test]
    async fn a_folder_takes_gives_and_removes() {
        let folder = tempfile::tempdir().unwrap();
        let place = LogPlace::open(&at(&format!("file://{}/logs", folder.path().display()))).unwrap();
        for name in ["a/1", "a/2", "b/1"] {
            place.put(name, format!("in {name}")).await.unwrap();
        }
        place.put("a/1", "again".into()).await.unwrap();
        assert_eq!(place.get("a/1").await.unwrap().as_deref(), Some("again"));
        place.delete("a/1").await.unwrap();
        place.delete("a/1").await.unwrap();
        assert_eq!(place.get("a/1").await.unwrap(), None);
        place.delete("a/").await.unwrap();
        assert_eq!(place.get("a/2").await.unwrap(), None);
        assert_eq!(place.get("b/1").await.unwrap().as_deref(), Some("in b/1"));
        assert_eq!(place.problem(), None);
    }
}
