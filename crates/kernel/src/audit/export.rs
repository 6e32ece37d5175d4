//! An export of a chain: page by page, as it stands in the database. Whether that is what was sealed is for the verifier to say,
//! so nothing is left out here because it looks wrong; only the last line, a fresh signature, is not given where the seals do not
//! follow from one another, or from what this process vouched for before ([`super::marks`]).

use std::collections::VecDeque;

use qd_core::audit::{
    Chain, Checkpoint, Finding, Hash, Header, Proof, Pruning, PublicKey, RecordLine, Signed, SigningKey,
    Verifier, genesis, line_text, link,
};
use qd_core::error::{Error, Result};
use qd_core::id::TenantId;
use uuid::Uuid;

use super::{
    COLUMNS,
    list::hash,
    marks::{BROKEN, Mark},
    read, row_of,
};
use crate::{kernel::Kernel, params, store::Row, store::StoreResult};

/// Records read at once.
const PAGE: i64 = 500;

/// An export that is under way. Cheap to drop.
pub struct AuditExport {
    kernel: Kernel,
    key: SigningKey,
    chain: Chain,
    row: Uuid,
    to: i64,
    /// The last record that was given, its chain hash, and whether all seals so far follow from one another.
    after: i64,
    hash: Hash,
    whole: bool,
    /// The chain hash at `to` that follows from what this process vouched for; none where the database's does not.
    vouched: Option<Hash>,
    /// Checkpoints up to this one were there when it began.
    newest: i64,
    first: Option<String>,
    ended: bool,
}

/// What is exported, found in one look.
struct Bounds {
    from: i64,
    to: i64,
    prev_hash: Option<Hash>,
    /// The chain hash at `to`, as the database has it.
    end_hash: Option<Hash>,
    pruned: Option<String>,
    checkpoints: i64,
    newest: i64,
}

struct Sealed {
    seq: i64,
    record_hash: Hash,
    chain_hash: Hash,
    /// None where somebody removed it from the database.
    record: Option<qd_core::audit::Record>,
}

impl Kernel {
    /// Begins an export of the records from one to another, both included; without them, of all that is sealed and kept.
    ///
    /// # Errors
    /// `audit_key_absent` (503) where this process does not sign; `bad_audit_range` where there are no such records.
    pub async fn audit_export(
        &self,
        tenant: Option<TenantId>,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<AuditExport> {
        let key = self.audit.signer().ok_or_else(|| {
            let why = self.audit.silent().unwrap_or_default();
            Error::unavailable("audit_key_absent", format!("an export is signed, and here nothing is: {why}"))
        })?;
        let chain = self.audit_chain(tenant).await?;
        let (row, start) = (row_of(&chain), genesis(&chain));
        let bounds = self.store.read(move |tx| bounds(tx, row, from, to)).await?;
        let prev_hash = match (bounds.from, bounds.prev_hash) {
            (1, _) => start,
            (_, Some(hash)) => hash,
            (from, None) => {
                return Err(Error::conflict(
                    BROKEN,
                    format!(
                        "the seal of record {} is gone from the database: export from another record on",
                        from - 1
                    ),
                ));
            }
        };
        let through = Mark { seq: bounds.from - 1, chain_hash: prev_hash };
        let end = Mark { seq: bounds.to, chain_hash: bounds.end_hash.unwrap_or(prev_hash) };
        let vouched =
            match self.audit.found(&chain, self.audit_follows(&key, &chain, Some(through), end).await) {
                Ok(()) => Some(end.chain_hash),
                Err(error) if error.code == BROKEN => None,
                Err(error) => return Err(error),
            };
        let pruned = match &bounds.pruned {
            None => None,
            Some(body) => Some(Signed::<Pruning>::read(body.as_bytes()).map_err(|why| {
                Error::conflict(BROKEN, format!("the pruning record of the chain was changed: {why}"))
            })?),
        };
        let header = Header {
            version: Header::VERSION,
            chain,
            from: bounds.from,
            to: bounds.to,
            prev_hash,
            pruned,
            checkpoints: bounds.checkpoints,
            keys: self.audit_keys().await?,
            at: self.source.now(),
        };
        let first = line_text(&Signed::sign(header, &key)?)?;
        Ok(AuditExport {
            kernel: self.clone(),
            key,
            chain,
            row,
            to: bounds.to,
            after: bounds.from - 1,
            hash: prev_hash,
            whole: true,
            vouched,
            newest: bounds.newest,
            first: Some(first),
            ended: false,
        })
    }

    /// Verifies what this server has, as a reader of an export would: the newest `records` of a chain.
    ///
    /// It is the server's own word; whoever does not trust it verifies an export himself.
    ///
    /// # Errors
    /// Those of [`Kernel::audit_export`]; what is wrong with the chain is the answer and no error.
    pub async fn audit_verify(
        &self,
        tenant: Option<TenantId>,
        records: i64,
    ) -> Result<Result<Proof, Finding>> {
        let chain = self.audit_chain(tenant).await?;
        let row = row_of(&chain);
        let last = self
            .store
            .read(move |tx| -> Result<(i64, i64)> {
                let sql = "SELECT seq, pruned_seq FROM audit_chain WHERE chain = $1";
                Ok(tx.opt(sql, params![row], |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or_default())
            })
            .await?;
        let from = (last.0 - records + 1).max(last.1 + 1);
        let trusted: Vec<PublicKey> = self.audit_keys().await?;
        let mut verifier = Verifier::new(trusted, vec![]);
        let mut export = self.audit_export(tenant, Some(from), None).await?;
        while let Some(lines) = export.next().await? {
            lines.lines().for_each(|line| verifier.line(line.as_bytes()));
        }
        Ok(verifier.finish())
    }
}

impl AuditExport {
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The next lines, each with its line break; none at the end.
    pub async fn next(&mut self) -> Result<Option<String>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first + "\n"));
        }
        if self.ended {
            return Ok(None);
        }
        if self.after < self.to
            && let Some(lines) = self.page().await?
        {
            return Ok(Some(lines));
        }
        self.ended = true;
        if !self.whole || self.after != self.to || self.vouched != Some(self.hash) {
            return Ok(None);
        }
        let mark = Mark { seq: self.to, chain_hash: self.hash };
        self.kernel.audit.marks.put(&self.chain, mark);
        let checkpoint = Checkpoint {
            chain: self.chain,
            seq: self.to,
            chain_hash: self.hash,
            at: self.kernel.source.now(),
        };
        Ok(Some(line_text(&Signed::sign(checkpoint, &self.key)?)? + "\n"))
    }

    async fn page(&mut self) -> Result<Option<String>> {
        let (row, after, to, newest) = (self.row, self.after, self.to, self.newest);
        let (sealed, checkpoints) = self
            .kernel
            .store
            .read(move |tx| -> Result<_> {
                let sql = format!(
                    "SELECT s.seq, s.record_hash, s.chain_hash, {COLUMNS} FROM audit_seal s LEFT JOIN audit a ON a.id = s.audit_id
                     WHERE s.chain = $1 AND s.seq > $2 AND s.seq <= $3 ORDER BY s.seq LIMIT {PAGE}"
                );
                let sealed = tx.rows(&sql, params![row, after, to], sealed)?;
                let last = sealed.last().map_or(after, |sealed| sealed.seq);
                let checkpoints = tx.rows(
                    "SELECT seq, body FROM audit_checkpoint
                     WHERE chain = $1 AND seq > $2 AND seq <= $3 AND seq < $4 AND number <= $5 ORDER BY seq",
                    params![row, after, last, to, newest],
                    |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
                )?;
                Ok((sealed, checkpoints))
            })
            .await?;
        if sealed.is_empty() {
            return Ok(None);
        }
        let mut lines = String::new();
        let mut checkpoints = VecDeque::from(checkpoints);
        for Sealed { seq, record_hash, chain_hash, record } in sealed {
            self.whole &= seq == self.after + 1 && link(self.hash, record_hash, seq) == chain_hash;
            if let Some(record) = record {
                let line = RecordLine::new(seq, self.hash, record_hash, chain_hash, record.value()?);
                lines.push_str(&line_text(&line)?);
                lines.push('\n');
            }
            (self.after, self.hash) = (seq, chain_hash);
            while let Some((_, body)) = checkpoints.pop_front_if(|(of, _)| *of <= seq) {
                lines.push_str(&body);
                lines.push('\n');
            }
        }
        Ok(Some(lines))
    }
}

fn bounds(tx: &mut crate::store::Tx<'_>, chain: Uuid, from: Option<i64>, to: Option<i64>) -> Result<Bounds> {
    let known: Option<(i64, i64)> =
        tx.opt("SELECT seq, pruned_seq FROM audit_chain WHERE chain = $1", params![chain], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let (last, pruned_to) = known.unwrap_or_default();
    let (from, to) = (from.unwrap_or(pruned_to + 1), to.unwrap_or(last));
    if from <= pruned_to || from > last + 1 || to > last || to < from - 1 {
        let kept = match last > pruned_to {
            true => format!("there are records {} to {last}", pruned_to + 1),
            false => "there are none yet".into(),
        };
        return Err(Error::malformed("bad_audit_range", format!("no records {from} to {to}: {kept}")));
    }
    let pruned = tx.opt(
        "SELECT body FROM audit_pruning WHERE chain = $1 ORDER BY seq DESC LIMIT 1",
        params![chain],
        |row| row.get::<String>(0),
    )?;
    let mut prev_hash = tx.opt(
        "SELECT chain_hash FROM audit_seal WHERE chain = $1 AND seq = $2",
        params![chain, from - 1],
        |row| hash(row, 0),
    )?;
    if from == pruned_to + 1
        && let Some(body) = &pruned
    {
        prev_hash = Signed::<Pruning>::read(body.as_bytes()).ok().map(|pruned| pruned.statement.chain_hash);
    }
    let end_hash = tx.opt(
        "SELECT chain_hash FROM audit_seal WHERE chain = $1 AND seq = $2",
        params![chain, to],
        |row| hash(row, 0),
    )?;
    let newest = tx
        .opt("SELECT number FROM audit_signer WHERE one = 1", &[], |row| row.get::<i64>(0))?
        .unwrap_or_default();
    let checkpoints = tx.one(
        "SELECT COUNT(*) FROM audit_checkpoint WHERE chain = $1 AND seq >= $2 AND seq < $3 AND number <= $4",
        params![chain, from, to, newest],
        |row| row.get(0),
    )?;
    Ok(Bounds { from, to, prev_hash, end_hash, pruned, checkpoints, newest })
}

fn sealed(row: &Row<'_>) -> StoreResult<Sealed> {
    let there: Option<Uuid> = row.get(3)?;
    let record = there.map(|_| read(row, 3)).transpose()?;
    Ok(Sealed { seq: row.get(0)?, record_hash: hash(row, 1)?, chain_hash: hash(row, 2)?, record })
}
