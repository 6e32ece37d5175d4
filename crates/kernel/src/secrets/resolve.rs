//! A value for its use: opened for an engine or a worker, after it was written down who reads it for what.
//!
//! The record is committed before the value is handed out. One record covers what the same purpose reads of the same version
//! within ten minutes, and says until when: an engine that looks at a run every second would else write nothing but
//! records. So every use lies behind a record that names it, also the last one before a crash.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{JobId, PrincipalId, ProjectId},
};
use serde_json::json;
use uuid::Uuid;

use super::{Secret, Secrets, StoredRef, bound_to, held};
use crate::{
    audit::{self, NewRecord, append_record},
    context::{Context, RequestIds, Scope},
    params,
};

/// How long one record covers.
const COVERS: Duration = Duration::from_mins(10);
const MOST_COVERED: usize = 10_000;
/// How often a value is looked for while a rotation seals it anew.
const TRIES: usize = 5;

/// What is covered: one thing, read by one for one purpose, or refused.
pub(super) type Cover = (ProjectId, What, String, String, bool);

/// What was read, as long as it is the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// A secret by its id, in one version: another one at the same path is another.
    Stored(Uuid, i64),
    Variable(String),
    File(PathBuf),
}

/// A use as it is written down.
pub(super) struct Used {
    /// Kind, id and name.
    pub object: (&'static str, Option<Uuid>, String),
    pub what: What,
}

/// On whose behalf a value is read, and for what.
#[derive(Debug, Clone)]
pub struct SecretUse {
    pub scope: Scope,
    /// Who asked, or the engine that works.
    pub by: String,
    /// Of who asked; none of an engine.
    pub principal_id: Option<PrincipalId>,
    /// `run curate#4`, `test of connections/warehouse`
    pub purpose: String,
    /// Where the work is done: an engine, a worker.
    pub source: String,
    pub correlation_id: String,
    pub job_id: Option<JobId>,
    /// Whether one record covers further uses for some minutes; what a person asks for is recorded each time.
    pub covers: bool,
}

struct Found {
    id: Uuid,
    version: i64,
    key_number: i64,
    sealed: Vec<u8>,
}

impl Secrets {
    /// Whether there is such a secret, in that version where one is named.
    pub async fn exists(&self, scope: Scope, reference: &StoredRef) -> Result<bool> {
        Ok(self.find(scope, reference).await?.is_some())
    }

    /// The value, for the one place that needs it.
    ///
    /// # Errors
    /// `secret_missing` where it is not there, `secret_key_missing` and `secret_key_wrong` where it cannot be opened here,
    /// `secret_unreadable` where its row was changed.
    pub async fn resolve(&self, reference: &StoredRef, usage: &SecretUse) -> Result<Secret> {
        let tenant = usage.scope.tenant_id;
        for _ in 0..TRIES {
            let found = self
                .find(usage.scope, reference)
                .await?
                .ok_or_else(|| Error::unavailable("secret_missing", format!("{reference} is not there")))?;
            let key = match self.data_key(tenant, found.key_number).await {
                Ok(key) => key,
                Err(error) if error.code == "secret_key_gone" => continue,
                Err(error) => return Err(error),
            };
            let aad =
                bound_to(tenant, usage.scope.project_id, found.id, reference.path.as_str(), found.version);
            let text = key.open(&aad, &found.sealed).and_then(|plain| String::from_utf8(plain.to_vec()).ok());
            let text = text.ok_or_else(|| unreadable(reference.path.as_str(), found.version))?;
            let secret = Secret::new(text);
            let object = ("Secret", Some(found.id), reference.path.as_str().to_owned());
            self.record(Used { object, what: What::Stored(found.id, found.version) }, usage).await?;
            return Ok(secret);
        }
        Err(Error::unavailable("secret_key_gone", "the value is being sealed anew; try again"))
    }

    async fn find(&self, scope: Scope, reference: &StoredRef) -> Result<Option<Found>> {
        let (path, version) = (reference.path.clone(), reference.version);
        self.0
            .store
            .read(move |tx| -> Result<Option<Found>> {
                Ok(tx.opt(
                    "SELECT s.id, v.version, v.key_number, v.sealed FROM secret s
                     JOIN secret_version v ON v.secret_id = s.id AND v.version = COALESCE($4, s.version)
                     WHERE s.tenant_id = $1 AND s.project_id = $2 AND s.path = $3",
                    params![scope.tenant_id, scope.project_id, path.as_str(), version],
                    |row| {
                        Ok(Found {
                            id: row.get(0)?,
                            version: row.get(1)?,
                            key_number: row.get(2)?,
                            sealed: row.get(3)?,
                        })
                    },
                )?)
            })
            .await
    }

    /// Writes down the use, unless a record covers it.
    pub(super) async fn record(&self, used: Used, usage: &SecretUse) -> Result<()> {
        self.record_as(used, usage, None).await
    }

    /// The same of one that was refused.
    pub(super) async fn record_refused(&self, used: Used, usage: &SecretUse, why: &str) -> Result<()> {
        self.record_as(used, usage, Some(why.to_owned())).await
    }

    async fn record_as(&self, used: Used, usage: &SecretUse, refused: Option<String>) -> Result<()> {
        let cover: Cover = (
            usage.scope.project_id,
            used.what.clone(),
            usage.by.clone(),
            usage.purpose.clone(),
            refused.is_some(),
        );
        let now = Instant::now();
        if usage.covers && held(&self.0.covered).get(&cover).is_some_and(|until| now < *until) {
            return Ok(());
        }
        let (at, record) = (self.0.source.now(), self.0.source.uuid());
        let ids = RequestIds {
            request_id: record.to_string(),
            correlation_id: usage.correlation_id.clone(),
            trace_id: None,
        };
        let mut context = Context::system(usage.by.clone(), usage.scope, ids, &usage.source);
        if let Some(id) = usage.principal_id {
            context.principal.id = id;
        }
        let mut changes = vec![];
        if let What::Stored(_, version) = used.what {
            changes.push(Change::add("/version", version.into()));
        }
        if usage.covers {
            changes.push(Change::add("/covers_uses_until", json!(at.checked_add(COVERS))));
        }
        let (kind, id, name) = used.object;
        let mut resolved = NewRecord::of(&context, "secrets.resolve", audit::object(kind, id, &name));
        resolved = match refused {
            None => resolved.because(&usage.purpose),
            Some(why) => resolved.denied(&format!("{}: {why}", usage.purpose)),
        };
        resolved.job_id = usage.job_id;
        let resolved = resolved.with_changes(&changes);
        self.0.store.write(move |tx| -> Result<()> { append_record(tx, at, record, &resolved) }).await?;
        if usage.covers {
            let mut covered = held(&self.0.covered);
            if covered.len() >= MOST_COVERED {
                covered.retain(|_, until| now < *until);
            }
            covered.insert(cover, now + COVERS);
        }
        Ok(())
    }
}

pub(super) fn unreadable(path: &str, version: i64) -> Error {
    let detail =
        format!("version {version} of the secret {path} does not open: its row was changed or moved");
    Error::internal("secret_unreadable", detail)
}
