//! Exchanging keys: a tenant gets a new data key, every value is sealed anew with it, and the older keys are removed.
//!
//! Values are sealed anew in small transactions. A value that is still under an older key is what is left to do, so that is the
//! cursor: whoever comes after a crash goes on with what is left, and a batch that is made twice changes nothing the second
//! time. Reading goes on all the while, because both keys are there.
//!
//! A master key is exchanged in the same way, for every tenant: wrapping the old data keys anew would leave the values readable to
//! who once had the old master key and a copy of the database.

use qd_core::{
    error::{Error, Result},
    id::{JobId, ProjectId, TenantId},
};
use uuid::Uuid;

use super::{
    Secrets, bound_to,
    keys::{self, Wrapped},
    resolve::unreadable,
};
use crate::{context::Context, kernel::Kernel, mutation::Mutation, params};

/// Values that are sealed anew in one transaction.
const BATCH: i64 = 200;

/// A value under an older key.
struct Old {
    secret: Uuid,
    version: i64,
    key_number: i64,
    sealed: Vec<u8>,
    project: ProjectId,
    path: String,
}

/// A value as it is to be.
struct New {
    secret: Uuid,
    version: i64,
    old_key: i64,
    sealed: Vec<u8>,
}

/// A data key that was made for a tenant and is not written yet.
#[derive(Clone)]
pub(crate) struct Made(TenantId, Wrapped);

impl Secrets {
    /// A new data key for the tenant, wrapped by the master key in force.
    pub(crate) async fn key_make(&self, tenant: TenantId) -> Result<Made> {
        Ok(Made(tenant, self.fresh(tenant, None).await?))
    }

    /// The id of the master key that a rotation puts in force: the first of those that this process was given.
    ///
    /// # Errors
    /// `secret_key_missing`, `secret_key_wrong` where this process could not open what there is.
    pub(crate) async fn master_change(&self) -> Result<String> {
        if let Some(id) = self.in_force().await? {
            self.master(&id)?;
        }
        Ok(self.master_to_come()?.id().to_owned())
    }

    /// Whether this process can put that master key in force: it holds it, and what there is.
    ///
    /// # Errors
    /// `secret_key_missing`, `secret_key_wrong` where it does not.
    pub(crate) async fn master_ready(&self, to: &str) -> Result<()> {
        if let Some(id) = self.in_force().await? {
            self.master(&id)?;
        }
        self.master(to).map(drop).map_err(|error| {
            let held = self.held_ids().join(", ");
            Error::unavailable(
                error.code,
                format!("the master key {to} is to come, and this server holds {held}"),
            )
        })
    }

    /// The next tenant behind `after` that has a data key and none that this job made, or older ones beside it.
    pub(crate) async fn tenant_left(&self, job: JobId, after: Option<TenantId>) -> Result<Option<TenantId>> {
        let after = after.map_or(Uuid::nil(), TenantId::uuid);
        self.0
            .store
            .read(move |tx| -> Result<Option<TenantId>> {
                Ok(tx.opt(
                    "SELECT tenant_id FROM secret_key WHERE tenant_id > $2 GROUP BY tenant_id
                     HAVING count(*) > 1 OR max(CASE WHEN job_id = $1 THEN 1 ELSE 0 END) = 0
                     ORDER BY tenant_id LIMIT 1",
                    params![job, after],
                    |row| row.get(0),
                )?)
            })
            .await
    }

    /// Values of the tenant that are under an older key than the newest.
    pub(crate) async fn values_left(&self, tenant: TenantId) -> Result<i64> {
        Ok(self.key_reading(tenant).await?.values_under_older_keys)
    }
}

impl Made {
    /// Writes the key, unless the job has made one for the tenant before.
    pub(crate) fn write(&self, m: &mut Mutation<'_, '_>, job: JobId) -> Result<()> {
        let Self(tenant, wrapped) = self;
        let newest = keys::hold_newest(m.tx, *tenant)?.unwrap_or(0);
        let before: i64 = m.tx.one(
            "SELECT count(*) FROM secret_key WHERE tenant_id = $1 AND job_id = $2",
            params![*tenant, job],
            |row| row.get(0),
        )?;
        if before > 0 {
            return Ok(());
        }
        if !keys::put_in_force(m.tx, &wrapped.master, m.now)?
            || !keys::insert(m.tx, *tenant, newest + 1, wrapped, Some(job), m.now)?
        {
            return Err(Error::unavailable("secret_key_gone", "another key was made meanwhile"));
        }
        Ok(())
    }
}

/// Puts a master key in force. Data keys that another one wraps stay as they are.
pub(crate) fn master_put(m: &mut Mutation<'_, '_>, id: &str) -> Result<()> {
    if !keys::put_in_force(m.tx, id, m.now)? {
        m.tx.exec("UPDATE secret_master SET id = $1, since = $2 WHERE one = 1", params![id, m.now])?;
    }
    Ok(())
}

/// Removes the tenant's data keys that seal nothing any more; whether one is left beside the newest.
pub(crate) fn keys_retire(m: &mut Mutation<'_, '_>, tenant: TenantId) -> Result<bool> {
    let Some(newest) = keys::hold_newest(m.tx, tenant)? else { return Ok(false) };
    m.tx.exec(
        "DELETE FROM secret_key WHERE tenant_id = $1 AND number < $2 AND NOT EXISTS
           (SELECT 1 FROM secret_version v WHERE v.tenant_id = secret_key.tenant_id AND v.key_number = secret_key.number)",
        params![tenant, newest],
    )?;
    let left: i64 = m.tx.one(
        "SELECT count(*) FROM secret_key WHERE tenant_id = $1 AND number < $2",
        params![tenant, newest],
        |row| row.get(0),
    )?;
    Ok(left > 0)
}

impl Kernel {
    /// Seals the next values of the tenant with its newest data key; how many, zero where none is left.
    ///
    /// # Errors
    /// `secret_unreadable` for a value that does not open: nothing is thrown away that somebody may yet put right.
    pub(crate) async fn values_reseal(&self, context: &Context, tenant: TenantId) -> Result<usize> {
        let secrets = &self.secrets;
        let Some(newest) =
            self.store.read(move |tx| -> Result<Option<i64>> { keys::newest(tx, tenant) }).await?
        else {
            return Ok(0);
        };
        let old: Vec<Old> = self
            .store
            .read(move |tx| -> Result<Vec<Old>> {
                Ok(tx.rows(
                    "SELECT v.secret_id, v.version, v.key_number, v.sealed, s.project_id, s.path
                     FROM secret_version v JOIN secret s ON s.id = v.secret_id
                     WHERE v.tenant_id = $1 AND v.key_number < $2
                     ORDER BY v.key_number, v.secret_id, v.version LIMIT $3",
                    params![tenant, newest, BATCH],
                    |row| {
                        Ok(Old {
                            secret: row.get(0)?,
                            version: row.get(1)?,
                            key_number: row.get(2)?,
                            sealed: row.get(3)?,
                            project: row.get(4)?,
                            path: row.get(5)?,
                        })
                    },
                )?)
            })
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let key = secrets.data_key(tenant, newest).await?;
        let mut new = Vec::with_capacity(old.len());
        for old in &old {
            let before = secrets.data_key(tenant, old.key_number).await?;
            let aad = bound_to(tenant, old.project, old.secret, &old.path, old.version);
            let plain = before.open(&aad, &old.sealed).ok_or_else(|| unreadable(&old.path, old.version))?;
            let sealed = key.seal(&self.source, &aad, &plain)?;
            new.push(New { secret: old.secret, version: old.version, old_key: old.key_number, sealed });
        }
        let done = new.len();
        self.carry_out(context, move |m| {
            for new in &new {
                m.tx.exec_later(
                    "UPDATE secret_version SET sealed = $4, key_number = $5 WHERE secret_id = $1 AND version = $2 AND key_number = $3",
                    params![new.secret, new.version, new.old_key, new.sealed, newest],
                )?;
            }
            Ok(())
        })
        .await?;
        Ok(done)
    }
}
