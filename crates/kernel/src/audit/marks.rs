//! How far this process vouched for each chain, kept where the owner of the database cannot change it: in memory, and in a file
//! beside the data.
//!
//! What the database says was signed is the database's word. So before anything is signed its seals are folded from the last one
//! that this process vouched for itself. Where it knows of none (its first signature on a chain, or an empty folder) it begins with
//! the newest statement under a key that the database lists, or with the first record: that is what it takes on trust, once. A
//! chain that ends before the mark was cut, or put back from a copy: nothing more of it is signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use qd_core::audit::{
    Chain, Checkpoint, Hash, Pruning, PublicKey, Signed, SigningKey, Statement, genesis, link,
};
use qd_core::error::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{list::hash, row_of};
use crate::{kernel::Kernel, params, private_file};

/// In the data folder.
const MARKS_FILE: &str = "audit.marks";
/// The error of a chain that does not follow from what was vouched for.
pub(super) const BROKEN: &str = "audit_chain_broken";
/// Seals folded by one read.
const FOLD: i64 = 5000;

/// A record of a chain, and the chain's hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub seq: i64,
    pub chain_hash: Hash,
}

type Known = BTreeMap<String, Mark>;

/// The marks of all chains.
pub(super) struct Marks {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

impl Marks {
    /// # Errors
    /// `audit_marks` where the file is there and cannot be read: without it a forged chain would pass for a new one.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let file = folder.map(|folder| folder.join(MARKS_FILE));
        let known = file.as_deref().map(read).transpose()?.unwrap_or_default();
        Ok(Self { file, known: Mutex::new(known) })
    }

    fn of(&self, chain: &Chain) -> Option<Mark> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&chain.to_string()).copied()
    }

    /// Remembers what was signed. Called behind the commit, so that the mark is of nothing that the database does not have.
    pub fn put(&self, chain: &Chain, mark: Mark) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        later(&mut known, chain.to_string(), mark);
        let Some(file) = &self.file else { return };
        // Another process of this folder may have gone further.
        let kept = read(file).and_then(|others| {
            others.into_iter().for_each(|(chain, mark)| later(&mut known, chain, mark));
            let text = serde_json::to_string_pretty(&*known).unwrap_or_default();
            private_file::replace(file, text.as_bytes()).map_err(|error| unusable(file, &error))
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "keep how far the audit is vouched for: known until this process ends");
        }
    }
}

fn later(known: &mut Known, chain: String, mark: Mark) {
    let at = known.entry(chain).or_insert(mark);
    if at.seq < mark.seq {
        *at = mark;
    }
}

fn read(file: &Path) -> Result<Known> {
    match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| unusable(file, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::new()),
        Err(error) => Err(unusable(file, &error)),
    }
}

fn unusable(file: &Path, error: &dyn std::fmt::Display) -> Error {
    let detail = format!("{}, which says how far the audit was vouched for: {error}", file.display());
    Error::malformed("audit_marks", detail)
}

pub(super) fn broken(chain: &Chain, seq: i64) -> Error {
    let detail = format!(
        "the audit chain {chain} does not follow from what was signed before (record {seq}): its seals were changed in the \
         database, and nothing more of it is signed"
    );
    Error::conflict(BROKEN, detail)
}

fn cut(chain: &Chain, end: i64, mark: i64) -> Error {
    let detail = format!(
        "the audit chain {chain} ends with record {end}, and record {mark} was signed: it was cut off, or the database was put back \
         from a copy; nothing more of it is signed ({MARKS_FILE} in the data folder remembers it)"
    );
    Error::conflict(BROKEN, detail)
}

impl Kernel {
    /// Whether the database's chain follows from what this process vouched for: up to `to`, with that hash there, and by way of
    /// `through` where one is named.
    ///
    /// # Errors
    /// `audit_chain_broken`, which names the chain and a record.
    pub(super) async fn audit_follows(
        &self,
        key: &SigningKey,
        chain: &Chain,
        through: Option<Mark>,
        to: Mark,
    ) -> Result<()> {
        let start = self.audit_anchor(key, chain).await?;
        let mut points: Vec<Mark> = [Some(start), through, Some(to)].into_iter().flatten().collect();
        points.sort_by_key(|point| point.seq);
        // The first of them is the database's word until the fold comes to the one that is not.
        let mut at = points.first().copied().unwrap_or(start);
        for point in points {
            at = self.audit_fold(chain, at, point.seq).await?;
            if at != point {
                return Err(broken(chain, point.seq));
            }
        }
        Ok(())
    }

    /// What this process knows of the chain: its own mark, or the signed pruning that took the place of all up to there and beyond.
    async fn audit_anchor(&self, key: &SigningKey, chain: &Chain) -> Result<Mark> {
        let (row, mark) = (row_of(chain), self.audit.marks.of(chain));
        let (end, checked, pruned) = self
            .store
            .read(move |tx| -> Result<(i64, i64, i64)> {
                let sql = "SELECT seq, checked_seq, pruned_seq FROM audit_chain WHERE chain = $1";
                let found = tx.opt(sql, params![row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                Ok(found.unwrap_or_default())
            })
            .await?;
        let (seq, keys) = match mark {
            Some(mark) if end < mark.seq => return Err(cut(chain, end, mark.seq)),
            Some(mark) if mark.seq >= pruned => return Ok(mark),
            Some(_) => (pruned, vec![key.public()]),
            None if checked == 0 => return Ok(Mark { seq: 0, chain_hash: genesis(chain) }),
            None => (checked, self.audit_keys().await?),
        };
        let bodies = self.store.read(move |tx| -> Result<(Option<String>, Option<String>)> {
            let mut body = |table: &str| {
                let sql = format!("SELECT body FROM {table} WHERE chain = $1 AND seq = $2");
                tx.opt(&sql, params![row, seq], |row| row.get(0))
            };
            Ok((body("audit_checkpoint")?, body("audit_pruning")?))
        });
        let (checkpoint, pruning) = bodies.await?;
        let checkpoint = checkpoint.and_then(|body| signed::<Checkpoint>(&body, &keys));
        let checkpoint = checkpoint.map(|one| (one.chain, Mark { seq: one.seq, chain_hash: one.chain_hash }));
        let pruning = pruning.and_then(|body| signed::<Pruning>(&body, &keys));
        let pruning = pruning.map(|one| (one.chain, Mark { seq: one.seq, chain_hash: one.chain_hash }));
        let found = checkpoint.into_iter().chain(pruning).find(|(of, mark)| of == chain && mark.seq == seq);
        found.map(|(_, mark)| mark).ok_or_else(|| broken(chain, seq))
    }

    /// Folds the seals behind `from` up to a record.
    async fn audit_fold(&self, chain: &Chain, from: Mark, to: i64) -> Result<Mark> {
        let (row, mut at) = (row_of(chain), from);
        while at.seq < to {
            let after = at.seq;
            let seals = self.store.read(move |tx| -> Result<Vec<(i64, Hash)>> {
                let sql = format!(
                    "SELECT seq, record_hash FROM audit_seal WHERE chain = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT {FOLD}"
                );
                Ok(tx.rows(&sql, params![row, after, to], |row| Ok((row.get(0)?, hash(row, 1)?)))?)
            });
            let seals = seals.await?;
            if seals.is_empty() {
                return Err(broken(chain, after + 1));
            }
            for (seq, record) in seals {
                if seq != at.seq + 1 {
                    return Err(broken(chain, at.seq + 1));
                }
                at = Mark { seq, chain_hash: link(at.chain_hash, record, seq) };
            }
        }
        Ok(at)
    }
}

/// A statement, where one of these keys signed it.
fn signed<T: Statement + DeserializeOwned>(body: &str, keys: &[PublicKey]) -> Option<T> {
    let signed = Signed::<T>::read(body.as_bytes()).ok()?;
    keys.iter().any(|key| signed.is_by(key)).then_some(signed.statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_goes_ahead_alone_and_is_found_again_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let chain: Chain = "0198c5d8-0000-7000-8000-000000000001/platform".parse().unwrap();
        let mark = |seq: i64| Mark { seq, chain_hash: Hash([1; 32]) };
        let (one, two) =
            (Marks::open(Some(folder.path())).unwrap(), Marks::open(Some(folder.path())).unwrap());
        one.put(&chain, mark(7));
        two.put(&chain, mark(5));
        assert_eq!(two.of(&chain), Some(mark(7)), "what another process of the folder wrote is kept");
        assert_eq!(Marks::open(Some(folder.path())).unwrap().of(&chain), Some(mark(7)));
        std::fs::write(folder.path().join(MARKS_FILE), "{").unwrap();
        assert_eq!(Marks::open(Some(folder.path())).err().unwrap().code, "audit_marks");
    }
}
