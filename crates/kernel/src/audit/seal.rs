//! Sealing: each record gets the next number of its chain and the hash that binds it to all before it.
//!
//! What waits stands in a queue of its own, so a record that commits late is found like any other; a cursor would have passed it.
//! Its order is that in which records were written; between transactions that overlap it is the queue's, not that of their commits.
//!
//! One process does it at a time, by a lease that only spares work: whoever seals takes the records out of the queue and moves the
//! chain's head in one transaction, so a second one finds fewer than it read and does nothing. Records never change, so they are
//! read and hashed outside of that transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use qd_core::audit::{Hash, genesis, link, record_hash};
use qd_core::error::{Error, Result};
use qd_core::time::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{COLUMNS, list::hash, read, row_of, tenant_of};
use crate::{
    kernel::Kernel,
    params,
    store::{Backend, Param, Tx, in_list, rows_of},
};

/// How often the queue is looked at when nobody calls: bounds the delay of records of other processes.
const POLL: Duration = Duration::from_millis(500);
/// Where one came more will: they are sealed together.
const GATHER: Duration = Duration::from_millis(50);
/// Records sealed by one transaction.
const BATCH: usize = 256;
const DUTY: &str = "audit";

/// A record on its way into its chain.
#[derive(Debug, Clone, Copy)]
struct Unsealed {
    queued: i64,
    audit_id: Uuid,
    chain: Uuid,
    hash: Hash,
}

/// The end of a chain, as its row has it.
#[derive(Debug, Clone, Copy)]
struct Head {
    seq: i64,
    hash: Hash,
}

impl Kernel {
    /// Runs until cancelled. Errors are logged and tried again: nothing is lost in the queue meanwhile.
    pub(crate) async fn audit_seal_run(self, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            let looked = self.audit_seal_look().await;
            match &looked {
                Err(error) if !failing => tracing::warn!(%error, "seal audit records: will try again"),
                _ => {}
            }
            failing = looked.is_err();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
                () = self.bus.audit_waiting() => tokio::time::sleep(GATHER).await,
            }
        }
        self.duties_leave().await;
    }

    /// Seals what waits, where this process has the duty.
    async fn audit_seal_look(&self) -> Result<()> {
        let waiting = self.store.read(|tx| -> Result<bool> {
            let first = "SELECT seq FROM audit_unsealed ORDER BY seq LIMIT 1";
            Ok(tx.opt(first, &[], |row| row.get::<i64>(0))?.is_some())
        });
        if waiting.await? && self.duty_take(DUTY).await? {
            self.audit_seal().await?;
        }
        Ok(())
    }

    /// Seals all that waits, and answers how many. Harmless where several processes do it at once.
    pub async fn audit_seal(&self) -> Result<usize> {
        let installation = self.audit_chain(None).await?.installation;
        let mut sealed = 0;
        loop {
            let batch = self.audit_unsealed().await?;
            let (count, now) = (batch.len(), self.source.now());
            if count == 0 {
                return Ok(sealed);
            }
            let done =
                self.store.write(move |tx| -> Result<()> { seal(tx, installation, &batch, now) }).await;
            match done {
                Ok(()) => sealed += count,
                Err(error) if error.code == ELSEWHERE => return Ok(sealed),
                Err(error) => return Err(error),
            }
            if count < BATCH {
                return Ok(sealed);
            }
        }
    }

    /// The oldest that wait, hashed.
    async fn audit_unsealed(&self) -> Result<Vec<Unsealed>> {
        let sql = format!(
            "SELECT u.seq, {COLUMNS} FROM audit_unsealed u JOIN audit a ON a.id = u.audit_id ORDER BY u.seq LIMIT {BATCH}"
        );
        let records = self
            .store
            .read(move |tx| -> Result<_> {
                Ok(tx.rows(&sql, &[], |row| Ok((row.get::<i64>(0)?, read(row, 1)?)))?)
            })
            .await?;
        let hashed = records.into_iter().map(|(queued, record)| {
            let hash = record_hash(&record.value()?)?;
            let chain = record.tenant_id.map_or_else(Uuid::nil, |tenant| tenant.uuid());
            Ok(Unsealed { queued, audit_id: record.id.uuid(), chain, hash })
        });
        hashed.collect()
    }
}

const ELSEWHERE: &str = "audit_sealed_elsewhere";

fn seal(tx: &mut Tx<'_>, installation: Uuid, batch: &[Unsealed], now: Timestamp) -> Result<()> {
    let queued: Vec<i64> = batch.iter().map(|record| record.queued).collect();
    let (list, args) = in_list(&queued, 1);
    let taken = tx.exec(&format!("DELETE FROM audit_unsealed WHERE seq IN ({list})"), &args)?;
    if taken != batch.len() as u64 {
        return Err(Error::conflict(ELSEWHERE, "another process sealed these audit records"));
    }
    // In the order of their keys, as whoever takes several locks does.
    let mut heads = BTreeMap::new();
    for chain in batch.iter().map(|record| record.chain).collect::<std::collections::BTreeSet<_>>() {
        heads.insert(chain, head(tx, installation, chain, now)?);
    }
    let mut seals = Vec::with_capacity(batch.len());
    for record in batch {
        let Some(head) = heads.get_mut(&record.chain) else { continue };
        let seq = head.seq + 1;
        *head = Head { seq, hash: link(head.hash, record.hash, seq) };
        seals.push((record.chain, seq, record.audit_id, record.hash.0.to_vec(), head.hash.0.to_vec()));
    }
    insert(tx, &seals)?;
    for (chain, head) in heads {
        tx.exec_later(
            "UPDATE audit_chain SET seq = $2, chain_hash = $3, sealed_at = $4 WHERE chain = $1",
            params![chain, head.seq, head.hash.0.to_vec(), now],
        )?;
    }
    Ok(())
}

/// The chain's head, held until the end of the transaction; made where it is the chain's first record.
fn head(tx: &mut Tx<'_>, installation: Uuid, chain: Uuid, now: Timestamp) -> Result<Head> {
    let for_update = tx.backend().for_update();
    let sql = format!("SELECT seq, chain_hash FROM audit_chain WHERE chain = $1{for_update}");
    let found = |tx: &mut Tx<'_>| {
        tx.opt(&sql, params![chain], |row| Ok(Head { seq: row.get(0)?, hash: hash(row, 1)? }))
    };
    if let Some(head) = found(tx)? {
        return Ok(head);
    }
    let named = qd_core::audit::Chain { installation, tenant: tenant_of(chain) };
    debug_assert_eq!(row_of(&named), chain);
    tx.exec(
        "INSERT INTO audit_chain (chain, seq, chain_hash, sealed_at, checked_seq, pruned_seq) VALUES ($1, 0, $2, $3, 0, 0)
         ON CONFLICT (chain) DO NOTHING",
        params![chain, genesis(&named).0.to_vec(), now],
    )?;
    found(tx)?.ok_or_else(|| Error::internal("store_failed", "a chain that was just made is gone"))
}

type SealRow = (Uuid, i64, Uuid, Vec<u8>, Vec<u8>);

/// In as few statements as there are powers of two in their number: each has a text of its own.
fn insert(tx: &mut Tx<'_>, mut seals: &[SealRow]) -> Result<()> {
    // The columns of the table say the types, so none is written, as for SQLite, whichever database it is.
    const UNTYPED: (Backend, [&str; 5]) = (Backend::Sqlite, [""; 5]);
    while !seals.is_empty() {
        let (now_these, later) = seals.split_at(1 << seals.len().min(64).ilog2());
        seals = later;
        let rows = rows_of(UNTYPED.0, &UNTYPED.1, now_these.len(), 1);
        let args: Vec<&dyn Param> = now_these
            .iter()
            .flat_map(|(chain, seq, id, record, link)| [chain as &dyn Param, seq, id, record, link])
            .collect();
        tx.exec_later(
            &format!("INSERT INTO audit_seal (chain, seq, audit_id, record_hash, chain_hash) VALUES {rows}"),
            &args,
        )?;
    }
    Ok(())
}
