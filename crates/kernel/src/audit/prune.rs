//! Removing old records so that the rest stays provable: whole beginnings of a chain alone, and a signed statement in their place
//! that says up to which record, at which chain hash, and why. An export begins from it.
//!
//! The statement is written first, and what it names is removed after that, in small parts; whatever comes between is done at the
//! next sweep. Nothing goes that no checkpoint covers, and nothing in a process without the key.

use std::time::Duration;

use qd_core::audit::{Pruning, Signed, line_text};
use qd_core::error::Result;
use qd_core::time::Timestamp;
use uuid::Uuid;

use super::{
    list::hash,
    marks::{BROKEN, Mark},
    signing::signer_is,
    tenant_of,
};
use crate::{kernel::Kernel, params, store::in_list};

/// Seals looked at by one read, and records removed by one transaction.
const BATCH: i64 = 1000;

impl Kernel {
    /// Prunes every chain of what is older than the retention; answers how many records it removed.
    pub(crate) async fn audit_prune(&self) -> Result<u64> {
        let Some(age) = self.options.audit.retention else { return Ok(0) };
        let before = self.reckoning.now().checked_sub(age).unwrap_or(Timestamp::MIN);
        let chains: Vec<Uuid> = self
            .store
            .read(|tx| -> Result<Vec<Uuid>> {
                Ok(tx.rows("SELECT chain FROM audit_chain ORDER BY chain", &[], |row| row.get(0))?)
            })
            .await?;
        let mut removed = 0;
        for chain in chains {
            if let Some(up_to) = self.audit_old(chain, before).await? {
                match self.audit_pruning(chain, up_to, age).await {
                    // Said by whoever found it; the other chains are pruned.
                    Err(error) if error.code == BROKEN => continue,
                    done => done?,
                }
            }
            removed += self.audit_remove(chain).await?;
        }
        Ok(removed)
    }

    /// The last record of the chain's beginning that is older than that, all before it being so too.
    async fn audit_old(&self, chain: Uuid, before: Timestamp) -> Result<Option<i64>> {
        let (mut after, checked): (i64, i64) = self
            .store
            .read(move |tx| -> Result<_> {
                let sql = "SELECT pruned_seq, checked_seq FROM audit_chain WHERE chain = $1";
                Ok(tx.one(sql, params![chain], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .await?;
        let mut last = None;
        loop {
            let sealed: Vec<(i64, Timestamp)> = self
                .store
                .read(move |tx| -> Result<_> {
                    let sql = format!(
                        "SELECT s.seq, a.at FROM audit_seal s JOIN audit a ON a.id = s.audit_id
                         WHERE s.chain = $1 AND s.seq > $2 AND s.seq <= $3 ORDER BY s.seq LIMIT {BATCH}"
                    );
                    Ok(tx.rows(&sql, params![chain, after, checked], |row| Ok((row.get(0)?, row.get(1)?)))?)
                })
                .await?;
            let count = sealed.len() as i64;
            for (seq, at) in sealed {
                // One that is missing was not removed by us: what is left is for whoever finds out.
                if at >= before || seq != after + 1 {
                    return Ok(last);
                }
                (last, after) = (Some(seq), seq);
            }
            if count < BATCH {
                return Ok(last);
            }
        }
    }

    /// Writes the statement that takes the place of everything up to `seq`.
    async fn audit_pruning(&self, row: Uuid, seq: i64, age: Duration) -> Result<()> {
        let Some(key) = self.audit.signer() else { return Ok(()) };
        let chain = self.audit_chain(tenant_of(row)).await?;
        let now = self.source.now();
        let why = format!("older than {} hours, the retention of the audit", age.as_secs() / 3600);
        let key_id = key.public().key_id;
        let chain_hash = self.store.read(move |tx| -> Result<_> {
            let sql = "SELECT chain_hash FROM audit_seal WHERE chain = $1 AND seq = $2";
            Ok(tx.one(sql, params![row, seq], |row| hash(row, 0))?)
        });
        let mark = Mark { seq, chain_hash: chain_hash.await? };
        self.audit.found(&chain, self.audit_follows(&key, &chain, None, mark).await)?;
        self.store
            .write(move |tx| -> Result<()> {
                let for_update = tx.backend().for_update();
                if !signer_is(tx, &key_id)? {
                    return Ok(());
                }
                let sql = format!("SELECT pruned_seq FROM audit_chain WHERE chain = $1{for_update}");
                let pruned: i64 = tx.one(&sql, params![row], |row| row.get(0))?;
                if pruned >= seq {
                    return Ok(());
                }
                let count = seq - pruned;
                let statement =
                    Pruning { chain, seq, chain_hash: mark.chain_hash, count, why: why.clone(), at: now };
                let body = line_text(&Signed::sign(statement, &key)?)?;
                tx.exec(
                    "INSERT INTO audit_pruning (chain, seq, body) VALUES ($1, $2, $3)",
                    params![row, seq, body],
                )?;
                tx.exec("UPDATE audit_chain SET pruned_seq = $2 WHERE chain = $1", params![row, seq])?;
                Ok(())
            })
            .await
    }

    /// Removes what the chain was pruned of.
    async fn audit_remove(&self, chain: Uuid) -> Result<u64> {
        let mut total = 0;
        loop {
            let removed = self
                .store
                .write(move |tx| -> Result<usize> {
                    let sql = format!(
                        "SELECT s.seq, s.audit_id FROM audit_seal s JOIN audit_chain c ON c.chain = s.chain
                         WHERE s.chain = $1 AND s.seq <= c.pruned_seq ORDER BY s.seq LIMIT {BATCH}"
                    );
                    let old: Vec<(i64, Uuid)> =
                        tx.rows(&sql, params![chain], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    let Some((last, _)) = old.last().copied() else { return Ok(0) };
                    let ids: Vec<Uuid> = old.iter().map(|(_, id)| *id).collect();
                    let (list, args) = in_list(&ids, 1);
                    tx.exec(&format!("DELETE FROM audit WHERE id IN ({list})"), &args)?;
                    tx.exec("DELETE FROM audit_seal WHERE chain = $1 AND seq <= $2", params![chain, last])?;
                    tx.exec(
                        "DELETE FROM audit_checkpoint WHERE chain = $1 AND seq <= $2",
                        params![chain, last],
                    )?;
                    Ok(old.len())
                })
                .await?;
            total += removed as u64;
            if (removed as i64) < BATCH {
                return Ok(total);
            }
        }
    }
}
