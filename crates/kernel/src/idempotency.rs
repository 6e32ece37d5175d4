//! The same request twice makes one job: the key, the project, the caller and a fingerprint of the body are written with the job.

use qd_core::{
    error::{Error, Result},
    id::JobId,
};

use crate::{
    context::Context,
    kernel::Kernel,
    mutation::Mutation,
    params,
    store::{Row, StoreResult},
};

/// A client's `Idempotency-Key` with the fingerprint of what it came with.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// 1 to 255 visible characters.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub fingerprint: String,
}

impl IdempotencyKey {
    pub fn new(key: &str, fingerprint: String) -> Result<Self> {
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::malformed(
                "bad_idempotency_key",
                "Idempotency-Key must be 1 to 255 visible ASCII characters; a UUID is a good one",
            ));
        }
        Ok(Self { key: key.to_owned(), fingerprint })
    }
}

/// What the key turned out to be.
pub(crate) enum Claimed {
    /// First seen: the job with the id that was handed in is to be made.
    New,
    /// Seen before with the same body: this is its job.
    Replay(JobId),
}

impl Kernel {
    /// The job that the key made before. What a repeat would be refused for today does not matter then.
    pub(crate) async fn job_of_key(&self, context: &Context, key: &IdempotencyKey) -> Result<Option<JobId>> {
        let (scope, principal_id, key) = (context.scope, context.principal.id, key.clone());
        self.store
            .read(move |tx| -> Result<Option<JobId>> {
                let found = tx.opt(FIND, params![scope.project_id, principal_id, key.key], stored)?;
                found
                    .map(|(fingerprint, job_id)| same_request(&key, &fingerprint).map(|()| job_id))
                    .transpose()
            })
            .await
    }
}

const FIND: &str =
    "SELECT fingerprint, job_id FROM idempotency WHERE project_id = $1 AND principal_id = $2 AND key = $3";

fn stored(row: &Row<'_>) -> StoreResult<(String, JobId)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn same_request(key: &IdempotencyKey, fingerprint: &str) -> Result<()> {
    if fingerprint == key.fingerprint {
        return Ok(());
    }
    Err(Error::invalid(
        "idempotency_mismatch",
        "this Idempotency-Key was used with another request; take a new key for a new request",
    ))
}

/// Claims the key for a job. A racing request with the same key waits here for the first to commit.
pub(crate) fn claim(m: &mut Mutation<'_, '_>, key: &IdempotencyKey, job_id: JobId) -> Result<Claimed> {
    let inserted = m.tx.exec(
        "INSERT INTO idempotency (tenant_id, project_id, principal_id, key, fingerprint, job_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project_id, principal_id, key) DO NOTHING",
        params![
            m.context.scope.tenant_id,
            m.context.scope.project_id,
            m.context.principal.id,
            key.key,
            key.fingerprint,
            job_id,
            m.now
        ],
    )?;
    if inserted == 1 {
        return Ok(Claimed::New);
    }
    let (fingerprint, job_id) =
        m.tx.one(FIND, params![m.context.scope.project_id, m.context.principal.id, key.key], stored)?;
    same_request(key, &fingerprint)?;
    m.unchanged();
    Ok(Claimed::Replay(job_id))
}
