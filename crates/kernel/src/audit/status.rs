//! How the audit is: what waits for its seal, what is signed and by whom, how far each place outside is.

use qd_core::audit::{Chain, Checkpoint, Hash, Pruning, Signed, genesis};
use qd_core::error::Result;
use qd_core::id::TenantId;
use qd_core::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{list::hash, row_of, signing::public};
use crate::{kernel::Kernel, params, store::StoreError};

/// For operators.
#[derive(Debug, Clone, Default)]
pub struct AuditReading {
    /// Records without a seal, and since when the oldest of them is there.
    pub unsealed: i64,
    pub unsealed_since: Option<Timestamp>,
    /// Since when the oldest record waits that is sealed and that no checkpoint covers.
    pub unchecked_since: Option<Timestamp>,
    /// Why this process signs nothing; none where it does.
    pub silent: Option<String>,
    pub sinks: Vec<SinkReading>,
}

#[derive(Debug, Clone)]
pub struct SinkReading {
    pub name: String,
    /// Checkpoints that it does not have.
    pub behind: i64,
    pub failing_since: Option<Timestamp>,
    pub error: Option<String>,
}

/// A chain, for whoever reads it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AuditChain {
    pub chain: Chain,
    /// The last record that is sealed, and the chain hash there.
    pub seq: i64,
    pub chain_hash: Hash,
    pub sealed_at: Option<Timestamp>,
    /// Records before this one were removed, and this takes their place.
    pub pruned: Option<Signed<Pruning>>,
    /// The newest checkpoint, as sinks get it: kept elsewhere, it shows later whether the chain's tail was cut off.
    pub checkpoint: Option<Signed<Checkpoint>>,
    /// Every key that ever signed, the oldest first.
    pub keys: Vec<AuditKey>,
    /// Why the process that answers signs nothing; none where it does.
    pub unsigned: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AuditKey {
    pub key_id: String,
    /// 64 hexadecimal digits.
    pub public_key: String,
    /// The same for `qd audit verify --key`.
    pub pem: String,
    pub since: Timestamp,
    /// None for the one that signs now.
    pub retired_at: Option<Timestamp>,
}

impl Kernel {
    pub async fn audit_reading(&self) -> Result<AuditReading> {
        let known: Vec<String> = self.audit.sinks.iter().map(|sink| sink.name.clone()).collect();
        let silent = self.audit.silent();
        self.store
            .read(move |tx| -> Result<AuditReading> {
                let (unsealed, unsealed_since) = tx.one(
                    "SELECT COUNT(*), MIN(a.at) FROM audit_unsealed u LEFT JOIN audit a ON a.id = u.audit_id",
                    &[],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
                let unchecked_since = tx.one(
                    "SELECT MIN(a.at) FROM audit_chain c JOIN audit_seal s ON s.chain = c.chain AND s.seq = c.checked_seq + 1
                     JOIN audit a ON a.id = s.audit_id WHERE c.seq > c.checked_seq",
                    &[],
                    |row| row.get(0),
                )?;
                let mut sinks = vec![];
                for name in &known {
                    let sink = tx.opt(
                        "SELECT (SELECT COUNT(*) FROM audit_checkpoint c WHERE c.number > s.number), s.failing_since, s.error
                         FROM audit_sink s WHERE s.name = $1",
                        params![name],
                        |row| Ok((row.get::<i64>(0)?, row.get(1)?, row.get(2)?)),
                    )?;
                    let (behind, failing_since, error) = sink.unwrap_or_default();
                    sinks.push(SinkReading { name: name.clone(), behind, failing_since, error });
                }
                Ok(AuditReading { unsealed, unsealed_since, unchecked_since, silent: silent.clone(), sinks })
            })
            .await
    }

    /// A tenant's chain, or the platform's.
    pub async fn audit_chain_get(&self, tenant: Option<TenantId>) -> Result<AuditChain> {
        let chain = self.audit_chain(tenant).await?;
        let (row, unsigned) = (row_of(&chain), self.audit.silent());
        self.store
            .read(move |tx| -> Result<AuditChain> {
                let head = tx.opt(
                    "SELECT seq, chain_hash, sealed_at FROM audit_chain WHERE chain = $1",
                    params![row],
                    |row| Ok((row.get(0)?, hash(row, 1)?, row.get(2)?)),
                )?;
                let (seq, chain_hash, sealed_at) = match head {
                    Some((seq, hash, at)) => (seq, hash, Some(at)),
                    None => (0, genesis(&chain), None),
                };
                let mut newest = |table: &str| {
                    let sql = format!("SELECT body FROM {table} WHERE chain = $1 ORDER BY seq DESC LIMIT 1");
                    tx.opt(&sql, params![row], |row| row.get::<String>(0))
                };
                let (checkpoint, pruned) = (newest("audit_checkpoint")?, newest("audit_pruning")?);
                let keys = tx.rows(
                    "SELECT key_id, public_key, since, retired_at FROM audit_key ORDER BY since, key_id",
                    &[],
                    |row| {
                        let key = public(row)?;
                        let pem = key
                            .to_pem()
                            .map_err(|error| StoreError::Decode { column: 1, detail: error.0 })?;
                        Ok(AuditKey {
                            key_id: key.key_id,
                            public_key: key.public_key,
                            pem,
                            since: row.get(2)?,
                            retired_at: row.get(3)?,
                        })
                    },
                )?;
                Ok(AuditChain {
                    chain,
                    seq,
                    chain_hash,
                    sealed_at,
                    // One that was tampered with is shown by the verifier, not here.
                    pruned: pruned.and_then(|body| Signed::read(body.as_bytes()).ok()),
                    checkpoint: checkpoint.and_then(|body| Signed::read(body.as_bytes()).ok()),
                    keys,
                    unsigned: unsigned.clone(),
                })
            })
            .await
    }
}
