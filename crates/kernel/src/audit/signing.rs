//! Signing: the key that the processes of a database agree on, and checkpoints made with it.
//!
//! The database names one key. A process that was given another (`--audit-key`) refuses to start, so that two never sign beside
//! each other by mistake; one that was given none uses the key in its data folder if it is the one, makes one where there is none
//! yet, and else seals without signing, which `/ready` shows. That is the least that is safe: nobody must hand a key around before
//! a second process can start, and no secret lies in the database, whose owner is the one who must not be able to sign. Another key
//! takes over by `--audit-key-rotate` alone; whoever still has the old one notices at its next signature, by the row that every
//! checkpoint and pruning is made under, and stops.
//!
//! Before it signs, the signer folds the seals since what it vouched for last, by its own memory ([`super::marks`]), so that it does
//! not vouch for a chain that does not follow from that. A chain that does not is left alone, and the others are signed.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use qd_core::audit::{Checkpoint, Hash, PublicKey, Signed, SigningKey, line_text};
use qd_core::error::{Error, Result};
use qd_core::time::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    KeySource, NewRecord, SYSTEM, append_record,
    list::hash,
    marks::{BROKEN, Mark},
    object, tenant_of,
};
use crate::{
    context::RequestIds,
    kernel::Kernel,
    params, private_file,
    store::{Row, StoreResult, Tx},
};

/// The file in the data folder.
pub const KEY_FILE: &str = "audit.key";
const DUTY: &str = "audit_checkpoints";
/// The longest sleep, so that a stop is never waited for and a new chain is not forgotten.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a key is the one that signs.
enum Agreed {
    Ours,
    /// The one that signs instead.
    Theirs(String),
}

/// A chain with records behind its last checkpoint.
struct Unchecked {
    chain: Uuid,
    seq: i64,
    hash: Hash,
}

impl Kernel {
    /// Finds the key and whether it is the one that signs for this database.
    ///
    /// # Errors
    /// `audit_key` where the file cannot be read; `audit_key_mismatch` where another key signs.
    pub(crate) async fn audit_key_agree(&self) -> Result<()> {
        let options = &self.options.audit;
        let (key, given) = match &options.key {
            None if options.rotate => {
                return Err(Error::malformed(
                    "audit_key",
                    "another key for the audit is named by --audit-key",
                ));
            }
            None => return Ok(()),
            Some(KeySource::Key(key)) => (key.clone(), true),
            Some(KeySource::File(path)) => (key_in(path)?, true),
            Some(KeySource::Folder(_)) if options.rotate => {
                return Err(Error::malformed(
                    "audit_key",
                    "another key for the audit is named by --audit-key",
                ));
            }
            Some(KeySource::Folder(folder)) => match self.key_of_folder(folder).await? {
                Some(key) => (key, false),
                None => return Ok(()),
            },
        };
        match self.key_register(key.public(), options.rotate).await? {
            Agreed::Ours => self.audit.signs(key),
            Agreed::Theirs(other) if given => {
                return Err(Error::conflict(
                    "audit_key_mismatch",
                    format!(
                        "the audit of this database is signed by the key {other}, and --audit-key is {}: give every process the same \
                         key, or make this the new one with --audit-key-rotate",
                        key.public().key_id
                    ),
                ));
            }
            Agreed::Theirs(other) => self.audit.falls_silent(not_ours(&other)),
        }
        Ok(())
    }

    /// The key in the data folder. Makes one where the database has none either.
    async fn key_of_folder(&self, folder: &Path) -> Result<Option<SigningKey>> {
        let path = folder.join(KEY_FILE);
        match key_in(&path) {
            Err(error) if error.code == "audit_key_missing" => {}
            found => return found.map(Some),
        }
        if let Some(other) = self.store.read(current).await? {
            self.audit.falls_silent(not_ours(&other));
            return Ok(None);
        }
        let mut seed = [0; 32];
        self.source.random(&mut seed);
        let key = SigningKey::from_seed(&seed);
        key_write(&path, &key)?;
        match self.key_register(key.public(), false).await? {
            Agreed::Ours => {
                tracing::info!(key = key.public().key_id, file = %path.display(), "made the key that signs the audit; keep a copy of it");
                Ok(Some(key))
            }
            Agreed::Theirs(other) => {
                // Another process was first, and this key has signed nothing.
                fs::remove_file(&path).map_err(|error| no_key(&path, &error))?;
                self.audit.falls_silent(not_ours(&other));
                Ok(None)
            }
        }
    }

    async fn key_register(&self, key: PublicKey, rotate: bool) -> Result<Agreed> {
        let (now, id) = (self.source.now(), self.source.uuid());
        let agreed = self
            .store
            .write(move |tx| -> Result<Agreed> {
                tx.exec(
                    "INSERT INTO audit_key (key_id, public_key, since, retired_at) VALUES ($1, $2, $3, $3)
                     ON CONFLICT (key_id) DO NOTHING",
                    params![key.key_id, key.public_key, now],
                )?;
                let first = tx.exec(
                    "INSERT INTO audit_signer (one, key_id, number) VALUES (1, $1, 0) ON CONFLICT (one) DO NOTHING",
                    params![key.key_id],
                )?;
                let for_update = tx.backend().for_update();
                let sql = format!("SELECT key_id FROM audit_signer WHERE one = 1{for_update}");
                let signer: String = tx.one(&sql, &[], |row| row.get(0))?;
                if signer != key.key_id && !rotate {
                    // It never signed: it is not listed.
                    tx.exec(
                        "DELETE FROM audit_key WHERE key_id = $1 AND since = retired_at AND since = $2",
                        params![key.key_id, now],
                    )?;
                    return Ok(Agreed::Theirs(signer));
                }
                if signer != key.key_id {
                    tx.exec(
                        "UPDATE audit_key SET retired_at = $2 WHERE key_id = $1",
                        params![signer, now],
                    )?;
                    tx.exec("UPDATE audit_signer SET key_id = $1 WHERE one = 1", params![key.key_id])?;
                }
                if signer != key.key_id || first == 1 {
                    tx.exec("UPDATE audit_key SET retired_at = NULL WHERE key_id = $1", params![key.key_id])?;
                    let ids = RequestIds {
                        request_id: id.to_string(),
                        correlation_id: id.to_string(),
                        trace_id: None,
                    };
                    let change = match first {
                        1 => qd_core::diff::Change::add("/key_id", key.key_id.clone().into()),
                        _ => qd_core::diff::Change::replace("/key_id", signer.into(), key.key_id.clone().into()),
                    };
                    let about = object("AuditKey", None, &key.key_id);
                    let record = NewRecord::platform(SYSTEM, "start", ids, "audit.rotate", about).with_changes(&[change]);
                    append_record(tx, now, id, &record)?;
                }
                Ok(Agreed::Ours)
            })
            .await?;
        self.bus.audit_written();
        Ok(agreed)
    }

    /// Runs until cancelled, in a process that has the key.
    pub(crate) async fn audit_checkpoints_run(self, stop: CancellationToken) {
        if self.audit.signer().is_none() {
            return;
        }
        let every = self.options.audit.checkpoint_every;
        let mut failing = false;
        while self.audit.signer().is_some() && !stop.is_cancelled() {
            let looked = async {
                if self.audit_unchecked(every).await?.is_empty() || !self.duty_take(DUTY).await? {
                    return Ok(());
                }
                self.audit_checkpoint_due(every).await.map(drop)
            };
            let looked: Result<()> = looked.await;
            match &looked {
                Err(error) if !failing => tracing::warn!(%error, "sign audit checkpoints: will try again"),
                _ => {}
            }
            failing = looked.is_err();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(every.min(LOOK)) => {}
            }
        }
        self.duties_leave().await;
    }

    /// Signs every chain that has grown since its last checkpoint; answers how many.
    pub async fn audit_checkpoint(&self) -> Result<usize> {
        self.audit_checkpoint_due(Duration::ZERO).await
    }

    async fn audit_checkpoint_due(&self, every: Duration) -> Result<usize> {
        let (mut made, mut broken) = (0, None);
        for grown in self.audit_unchecked(every).await? {
            match self.checkpoint_make(&grown).await {
                Ok(new) => made += usize::from(new),
                // The others are not left unsigned for it. Tried again at each look: the database may be put right from a copy.
                Err(error) if error.code == BROKEN => broken = Some(error),
                Err(error) => return Err(error),
            }
        }
        if made > 0 {
            self.audit.checked.notify_waiters();
        }
        broken.map_or(Ok(made), Err)
    }

    async fn checkpoint_make(&self, grown: &Unchecked) -> Result<bool> {
        let Some(key) = self.audit.signer() else { return Ok(false) };
        let chain = self.audit_chain(tenant_of(grown.chain)).await?;
        let mark = Mark { seq: grown.seq, chain_hash: grown.hash };
        self.audit.found(&chain, self.audit_follows(&key, &chain, None, mark).await)?;
        let (row, seq, now) = (grown.chain, grown.seq, self.source.now());
        let checkpoint = Checkpoint { chain, seq, chain_hash: grown.hash, at: now };
        let body = line_text(&Signed::sign(checkpoint, &key)?)?;
        let key_id = key.public().key_id;
        let made = self
            .store
            .write(move |tx| -> Result<bool> {
                if !signer_is(tx, &key_id)? {
                    return Err(Error::conflict(
                        "audit_key_mismatch",
                        "another key signs the audit now: this process signs nothing more",
                    ));
                }
                // Another process may have made it, or a later one.
                let grown = tx.exec(
                    "UPDATE audit_chain SET checked_seq = $2, checked_at = $3 WHERE chain = $1 AND checked_seq < $2",
                    params![row, seq, now],
                )?;
                if grown == 0 {
                    return Ok(false);
                }
                let number: i64 = tx.one(
                    "UPDATE audit_signer SET number = number + 1 WHERE one = 1 RETURNING number",
                    &[],
                    |row| row.get(0),
                )?;
                tx.exec_later(
                    "INSERT INTO audit_checkpoint (chain, seq, number, body) VALUES ($1, $2, $3, $4)",
                    params![row, seq, number, body],
                )?;
                Ok(true)
            })
            .await;
        match made {
            Err(error) if error.code == "audit_key_mismatch" => {
                *self.audit.signer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
                self.audit.falls_silent(error.detail.clone());
                Err(error)
            }
            Ok(true) => {
                self.audit.marks.put(&chain, mark);
                Ok(true)
            }
            made => made,
        }
    }

    /// Chains that have grown, where the last checkpoint is older than `every`, or dated by a clock that was ahead.
    async fn audit_unchecked(&self, every: Duration) -> Result<Vec<Unchecked>> {
        let now = self.source.now();
        let before = now.checked_sub(every).unwrap_or(Timestamp::MIN);
        self.store
            .read(move |tx| -> Result<Vec<Unchecked>> {
                Ok(tx.rows(
                    "SELECT chain, seq, chain_hash FROM audit_chain
                     WHERE seq > checked_seq AND (checked_at IS NULL OR checked_at <= $1 OR checked_at > $2) ORDER BY chain",
                    params![before, now],
                    |row| {
                        let hash = hash(row, 2)?;
                        Ok(Unchecked { chain: row.get(0)?, seq: row.get(1)?, hash })
                    },
                )?)
            })
            .await
    }

    /// Every key that ever signed, the oldest first.
    pub(crate) async fn audit_keys(&self) -> Result<Vec<PublicKey>> {
        self.store
            .read(|tx| -> Result<Vec<PublicKey>> {
                Ok(tx.rows("SELECT key_id, public_key FROM audit_key ORDER BY since, key_id", &[], public)?)
            })
            .await
    }
}

/// Whether this key signs, with the row held until the end of the transaction.
pub(super) fn signer_is(tx: &mut Tx<'_>, key_id: &str) -> Result<bool> {
    let for_update = tx.backend().for_update();
    let sql = format!("SELECT key_id FROM audit_signer WHERE one = 1{for_update}");
    Ok(tx.opt(&sql, &[], |row| row.get::<String>(0))?.as_deref() == Some(key_id))
}

fn current(tx: &mut Tx<'_>) -> Result<Option<String>> {
    Ok(tx.opt("SELECT key_id FROM audit_signer WHERE one = 1", &[], |row| row.get(0))?)
}

pub(super) fn public(row: &Row<'_>) -> StoreResult<PublicKey> {
    Ok(PublicKey { key_id: row.get(0)?, public_key: row.get(1)? })
}

fn not_ours(other: &str) -> String {
    format!(
        "the key {other} signs for this database, and this process does not have it: give it the same --audit-key"
    )
}

fn no_key(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::malformed("audit_key", format!("the audit's key {}: {error}", path.display()))
}

/// Reads a key that nobody else on this machine may read.
fn key_in(path: &Path) -> Result<SigningKey> {
    use std::os::unix::fs::PermissionsExt as _;
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Error::malformed("audit_key_missing", format!("there is no audit key at {}", path.display()))
        }
        _ => no_key(path, &error),
    })?;
    let mode = fs::metadata(path).map_err(|error| no_key(path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others on this machine can read the audit's key; chmod 600 it");
    }
    SigningKey::from_pem(&text).map_err(|error| no_key(path, &error))
}

/// Writes a key for its owner alone, whole or not at all. Never over another one.
///
/// # Errors
/// `audit_key` where the file is there already, or cannot be written.
pub fn key_write(path: &Path, key: &SigningKey) -> Result<()> {
    let pem = key.to_pem().map_err(|error| no_key(path, &error))?;
    private_file::create(path, pem.as_bytes()).map_err(|error| no_key(path, &error))
}
