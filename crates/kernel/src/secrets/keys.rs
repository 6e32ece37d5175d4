//! Data keys: one in use for each tenant, wrapped by the master key that is in force.
//!
//! Which master key is in force is a row of the database, so that all its processes agree: whoever does not hold that key says so
//! and seals nothing, instead of beginning a second set. A data key is unwrapped once and remembered for a few minutes.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use qd_core::{
    error::{Error, Result},
    id::TenantId,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Secrets, held,
    master::{KEY_VARIABLE, Master, MasterKey},
    seal::{Key, bound},
};
use crate::{params, private_file, store::Tx};

/// The key that a process made for itself, in its data folder.
const KEY_FILE: &str = "secret.key";
/// How long an unwrapped key is remembered.
const REMEMBERED: Duration = Duration::from_mins(5);
const MOST_REMEMBERED: usize = 1000;

/// What a new value is sealed with.
pub(super) struct Sealing {
    pub number: i64,
    pub key: Key,
    /// The tenant has none yet: this one is written with the value.
    pub fresh: Option<Wrapped>,
}

/// A data key that is about to be written.
#[derive(Clone)]
pub(super) struct Wrapped {
    pub id: Uuid,
    pub key: Key,
    pub wrapped: Vec<u8>,
    pub master: String,
}

/// How a process stands to the master key that is in force.
#[derive(Debug, Clone)]
pub struct SecretHealth {
    pub ok: bool,
    pub detail: String,
}

/// What is told of a tenant's keys and of the master key.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KeyReading {
    /// The id of the master key in force; none before the first secret.
    pub master: Option<String>,
    /// The ids of those that this process holds, the one that it would put in force first.
    pub held: Vec<String>,
    /// The tenant's data key in use; none before its first secret.
    pub data_key: Option<DataKeyReading>,
    /// Values of the tenant that an older data key still seals: a rotation has not ended.
    pub values_under_older_keys: i64,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DataKeyReading {
    pub number: i64,
    pub created_at: Timestamp,
    /// The id of the master key that wraps it.
    pub master: String,
}

pub(super) fn of_tenant(tenant: TenantId, key: Uuid) -> Vec<u8> {
    bound(&[b"data key", tenant.uuid().as_bytes(), key.as_bytes()])
}

impl Secrets {
    /// What `/ready` says.
    pub async fn health(&self) -> SecretHealth {
        let told = |ok, detail: String| SecretHealth { ok, detail };
        let in_force = match self.in_force().await {
            Ok(found) => found,
            Err(error) => return told(false, error.detail),
        };
        let first = held(&self.0.masters).first().map(|master| master.id().to_owned());
        match (in_force, first) {
            (None, None) if self.may_make_key() => {
                told(true, "a key is made in the data folder when the first secret comes".into())
            }
            (None, None) => told(
                true,
                format!("no master key: no secret can be kept until {KEY_VARIABLE} or a key file is given"),
            ),
            (None, Some(id)) => told(true, format!("master key {id}, no secret yet")),
            (Some(id), first) => match self.master(&id) {
                Ok(_) => match first.filter(|first| *first != id) {
                    None => told(true, format!("master key {id}")),
                    Some(next) => told(
                        true,
                        format!("master key {id}; `qd secrets rotate --master-key` puts {next} in its place"),
                    ),
                },
                Err(error) => told(false, error.detail),
            },
        }
    }

    /// The id of the master key under which new data keys are wrapped.
    pub(crate) async fn in_force(&self) -> Result<Option<String>> {
        self.0
            .store
            .read(|tx| -> Result<Option<String>> {
                Ok(tx.opt("SELECT id FROM secret_master WHERE one = 1", &[], |row| row.get(0))?)
            })
            .await
    }

    /// The ids of those held here.
    pub(crate) fn held_ids(&self) -> Vec<String> {
        held(&self.0.masters).iter().map(|master| master.id().to_owned()).collect()
    }

    /// The key with this id, where it is held.
    ///
    /// # Errors
    /// `secret_key_missing` where this process has none at all, `secret_key_wrong` where it has others.
    pub(super) fn master(&self, id: &str) -> Result<Arc<Master>> {
        let find = |masters: &[Arc<Master>]| masters.iter().find(|master| master.id() == id).cloned();
        if let Some(found) = find(&held(&self.0.masters)) {
            return Ok(found);
        }
        if let Some(made) = self.own_file().filter(|file| file.exists()) {
            self.hold(MasterKey::read(&made)?);
            if let Some(found) = find(&held(&self.0.masters)) {
                return Ok(found);
            }
        }
        let others = self.held_ids();
        if others.is_empty() {
            let detail = format!(
                "the secrets here are sealed under the master key {id}, and this server was given none: set {KEY_VARIABLE}, or name its file"
            );
            return Err(Error::unavailable("secret_key_missing", detail));
        }
        let detail = format!(
            "the secrets here are sealed under the master key {id}; this server holds {}",
            others.join(", ")
        );
        Err(Error::unavailable("secret_key_wrong", detail))
    }

    /// The one to wrap a new data key with: that in force, or the first that there is.
    pub(super) async fn master_to_seal(&self) -> Result<Arc<Master>> {
        if let Some(id) = self.in_force().await? {
            return self.master(&id);
        }
        if let Some(first) = held(&self.0.masters).first() {
            return Ok(first.clone());
        }
        let Some(file) = self.own_file().filter(|_| self.may_make_key()) else {
            let detail = format!(
                "this server has no master key, so it keeps no secrets: set {KEY_VARIABLE}, or name a key file"
            );
            return Err(Error::unavailable("secret_key_missing", detail));
        };
        let made = self.make_key(&file)?;
        tracing::info!(file = %file.display(), master = made.id(), "made a master key for secrets; without that file they are lost");
        Ok(self.hold(made))
    }

    /// The first of those that were given: what a rotation puts in force.
    pub(super) fn master_to_come(&self) -> Result<Arc<Master>> {
        held(&self.0.masters).first().cloned().ok_or_else(|| {
            let detail = format!("this server has no master key: set {KEY_VARIABLE}, or name a key file");
            Error::unavailable("secret_key_missing", detail)
        })
    }

    /// Only of who is alone: several processes would each make another.
    fn may_make_key(&self) -> bool {
        self.own_file().is_some() && self.0.options.masters.is_empty()
    }

    fn own_file(&self) -> Option<std::path::PathBuf> {
        let folder = self.0.options.folder.as_ref().filter(|_| !self.0.store.is_shared())?;
        Some(folder.join(KEY_FILE))
    }

    fn hold(&self, key: MasterKey) -> Arc<Master> {
        let mut masters = held(&self.0.masters);
        if let Some(found) = masters.iter().find(|master| master.id() == key.id()) {
            return found.clone();
        }
        let made = Arc::new(Master::Local(key));
        masters.push(made.clone());
        made
    }

    /// Makes the key file, or reads the one that another made first.
    fn make_key(&self, file: &Path) -> Result<MasterKey> {
        let failed = |error: std::io::Error| {
            Error::unavailable(
                "secret_key_missing",
                format!("make the key file in the data folder: {}", error.kind()),
            )
        };
        if file.exists() {
            return MasterKey::read(file);
        }
        let key = MasterKey::of(Key::draw(&self.0.source));
        // Never in place of another's.
        match private_file::create(file, &key.text()) {
            Ok(()) => Ok(key),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => MasterKey::read(file),
            Err(error) => Err(failed(error)),
        }
    }

    /// What a new value of the tenant is sealed with.
    pub(super) async fn sealing(&self, tenant: TenantId) -> Result<Sealing> {
        let newest: Option<i64> =
            self.0.store.read(move |tx| -> Result<Option<i64>> { newest(tx, tenant) }).await?;
        match newest {
            Some(number) => {
                let key = self.data_key(tenant, number).await?;
                Ok(Sealing { number, key, fresh: None })
            }
            None => {
                let fresh = self.fresh(tenant, None).await?;
                Ok(Sealing { number: 1, key: fresh.key.clone(), fresh: Some(fresh) })
            }
        }
    }

    /// A new data key for a tenant, wrapped by the key in force, or by `master`.
    pub(super) async fn fresh(&self, tenant: TenantId, master: Option<Arc<Master>>) -> Result<Wrapped> {
        let master = match master {
            Some(master) => master,
            None => self.master_to_seal().await?,
        };
        let (id, key) = (self.0.source.uuid(), Key::draw(&self.0.source));
        let wrapped = master.wrap(&self.0.source, &of_tenant(tenant, id), &key).await?;
        Ok(Wrapped { id, key, wrapped, master: master.id().to_owned() })
    }

    /// A tenant's data key.
    ///
    /// # Errors
    /// `secret_key_gone` where a rotation has removed it meanwhile: what it sealed is sealed by another now.
    pub(super) async fn data_key(&self, tenant: TenantId, number: i64) -> Result<Key> {
        let now = Instant::now();
        if let Some((since, key)) = held(&self.0.keys).get(&(tenant, number))
            && now.duration_since(*since) < REMEMBERED
        {
            return Ok(key.clone());
        }
        let found: Option<(Uuid, Vec<u8>, String)> = self
            .0
            .store
            .read(move |tx| -> Result<_> {
                Ok(tx.opt(
                    "SELECT id, wrapped, master FROM secret_key WHERE tenant_id = $1 AND number = $2",
                    params![tenant, number],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )?)
            })
            .await?;
        let Some((id, wrapped, master)) = found else {
            return Err(Error::unavailable("secret_key_gone", "the value is being sealed anew; try again"));
        };
        let key = self.master(&master)?.unwrap(&of_tenant(tenant, id), &wrapped).await?;
        let mut keys = held(&self.0.keys);
        if keys.len() >= MOST_REMEMBERED {
            keys.clear();
        }
        keys.insert((tenant, number), (now, key.clone()));
        let inner = Arc::downgrade(&self.0);
        // Also where nobody asks for one again.
        tokio::spawn(async move {
            tokio::time::sleep(REMEMBERED).await;
            if let Some(inner) = inner.upgrade() {
                held(&inner.keys).retain(|_, (since, _)| since.elapsed() < REMEMBERED);
            }
        });
        Ok(key)
    }

    /// What is told of the keys; none of them is.
    pub async fn key_reading(&self, tenant: TenantId) -> Result<KeyReading> {
        let held = self.held_ids();
        let (master, data_key, values_under_older_keys) = self
            .0
            .store
            .read(move |tx| -> Result<_> {
                let master: Option<String> = tx.opt("SELECT id FROM secret_master WHERE one = 1", &[], |row| row.get(0))?;
                let key = tx.opt(
                    "SELECT number, created_at, master FROM secret_key WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1",
                    params![tenant],
                    |row| Ok(DataKeyReading { number: row.get(0)?, created_at: row.get(1)?, master: row.get(2)? }),
                )?;
                let number = key.as_ref().map_or(0, |key| key.number);
                let older: i64 = tx.one(
                    "SELECT count(*) FROM secret_version WHERE tenant_id = $1 AND key_number < $2",
                    params![tenant, number],
                    |row| row.get(0),
                )?;
                Ok((master, key, older))
            })
            .await?;
        Ok(KeyReading { master, held, data_key, values_under_older_keys })
    }
}

/// The number of the tenant's data key in use.
pub(super) fn newest(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Option<i64>> {
    Ok(tx.one("SELECT max(number) FROM secret_key WHERE tenant_id = $1", params![tenant], |row| row.get(0))?)
}

/// Holds the tenant's data key in use for the rest of the transaction, and says which it is: who makes the next one, and who
/// seals with this one, wait for each other.
pub(super) fn hold_newest(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Option<i64>> {
    let sql = format!(
        "SELECT number FROM secret_key WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1{}",
        tx.backend().for_update()
    );
    let _: Option<i64> = tx.opt(&sql, params![tenant], |row| row.get(0))?;
    // Asked again: who waited for the lock saw the rows as they were before.
    newest(tx, tenant)
}

/// Writes a data key behind those that the tenant has.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    number: i64,
    new: &Wrapped,
    job: Option<qd_core::id::JobId>,
    now: Timestamp,
) -> Result<bool> {
    let inserted = tx.exec(
        "INSERT INTO secret_key (tenant_id, number, id, wrapped, master, job_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, number) DO NOTHING",
        params![tenant, number, new.id, new.wrapped, new.master, job, now],
    )?;
    Ok(inserted == 1)
}

/// Puts the first master key in force, and says whether it is the one in force.
pub(super) fn put_in_force(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<bool> {
    tx.exec(
        "INSERT INTO secret_master (one, id, since) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING",
        params![id, now],
    )?;
    // Held: a key that is wrapped under the one in force is written before another is put in force, or not at all.
    let sql = format!("SELECT id FROM secret_master WHERE one = 1{}", tx.backend().for_update());
    let in_force: String = tx.one(&sql, &[], |row| row.get(0))?;
    Ok(in_force == id)
}
