//! The test of a connection: what it leads to is called once, with its secrets, within a time limit.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result, clip},
    time::Timestamp,
};
use serde_json::Value;
use uuid::Uuid;

use super::SecretRef;
use crate::{
    clock::Source,
    outbound::Outbound,
    secrets::{Secret, SecretUse, Secrets, redact},
};

/// Characters of what was said outside that are repeated.
const SHOWN: usize = 300;

/// What a type of connections does to see whether one works.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// Calls what the spec leads to, in the way in which it is used, and changes nothing there. Answers in one sentence what
    /// answered.
    ///
    /// # Errors
    /// Why it does not work. What the other side said may be part of it: secrets are taken out by whoever called.
    async fn probe(&self, call: &Call<'_>) -> Result<String>;
}

/// One call for a test.
pub struct Call<'a> {
    /// As a revision keeps it.
    pub spec: &'a Value,
    pub outbound: &'a Outbound,
    /// How long it may take in all.
    pub within: Duration,
    secrets: &'a Secrets,
    usage: &'a SecretUse,
    source: &'a Source,
    read: Mutex<Vec<Secret>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        spec: &'a Value,
        outbound: &'a Outbound,
        within: Duration,
        secrets: &'a Secrets,
        usage: &'a SecretUse,
        source: &'a Source,
    ) -> Self {
        Self { spec, outbound, within, secrets, usage, source, read: Mutex::default() }
    }

    pub fn now(&self) -> Timestamp {
        self.source.now()
    }

    pub fn id(&self) -> Uuid {
        self.source.uuid()
    }

    /// A secret of the connection.
    pub async fn secret(&self, reference: &SecretRef) -> Result<Secret> {
        let secret = reference.read(self.secrets, self.usage).await?;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).push(secret.clone());
        Ok(secret)
    }

    /// The same as a header carries it.
    pub async fn word(&self, reference: &SecretRef) -> Result<Secret> {
        self.secret(reference).await?.one_word(reference)
    }

    /// What came of it, without the secrets that were used.
    pub(crate) fn clean(&self, came: Result<String>) -> Result<String> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Redacted before it is cut, so that no cut leaves half a secret.
        let clean = |said: &str| clip(&redact(said, &read).replace('\0', " "), SHOWN);
        came.map(|said| clean(&said))
            .map_err(|error| Error::new(error.kind, error.code, clean(&error.detail)))
    }
}
