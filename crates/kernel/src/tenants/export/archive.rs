//! An archive as rows: a tar of files, each row a gzip member of its own, so that all of them in a row are one `.tar.gz`.
//!
//! A tar says how long a file is before its first byte. So what stands before a file is written when the file has ended, as the
//! part 0 of it, and no file need ever be held in memory or written twice. The manifest is file 0 for the same reason: it comes
//! first, and is written last.
//!
//! A file is whole or not there: who goes on after a crash begins the file anew that was not ended. Every write names the fencing
//! token of its writer, and one that was overtaken writes nothing more.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use qd_core::{
    error::{Error, Result},
    id::JobId,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{kernel::Kernel, params, store::Json, store::Tx};

/// Bytes of a part before it is compressed.
const PART: usize = 256 * 1024;
/// What a tar is a multiple of.
const BLOCK: usize = 512;

/// Where the writing goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Of the list of all that is written.
    pub section: usize,
    /// Within the section; none at its beginning.
    pub after: Option<Vec<Value>>,
    /// The number of the section's last file of its kind, where it has several.
    pub series: u32,
}

/// An archive that is being written by the holder of a fencing token.
pub(crate) struct Archive {
    kernel: Kernel,
    id: JobId,
    token: i64,
    /// What every file in it is dated by.
    at: Timestamp,
    /// The last file that is whole.
    number: i64,
    pub place: Place,
}

/// A file that is being written.
pub(crate) struct File<'a> {
    archive: &'a mut Archive,
    number: i64,
    path: String,
    part: i64,
    waiting: Vec<u8>,
    hash: Sha256,
    bytes: u64,
    records: i64,
}

/// A file that is whole, as the manifest says it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Listed {
    pub path: String,
    pub records: i64,
    pub bytes: i64,
    pub sha256: String,
}

impl Archive {
    /// Goes on after the last file that is whole.
    pub async fn open(kernel: &Kernel, id: JobId, token: i64, at: Timestamp) -> Result<Self> {
        let last: Option<(i64, Json<Place>)> = kernel
            .store
            .read(move |tx| -> Result<_> {
                let sql =
                    "SELECT number, place FROM export_file WHERE export_id = $1 ORDER BY number DESC LIMIT 1";
                Ok(tx.opt(sql, params![id], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .await?;
        let (number, place) = last.map(|(number, Json(place))| (number, place)).unwrap_or_default();
        Ok(Self { kernel: kernel.clone(), id, token, at, number, place })
    }

    /// The next file. What an attempt before left of it is removed.
    pub async fn file(&mut self, path: String) -> Result<File<'_>> {
        let number = self.number + 1;
        self.file_at(number, path).await
    }

    /// The file that comes first.
    pub async fn first_file(&mut self, path: &str) -> Result<File<'_>> {
        self.file_at(0, path.to_owned()).await
    }

    async fn file_at(&mut self, number: i64, path: String) -> Result<File<'_>> {
        let (id, token) = (self.id, self.token);
        let removed = self.kernel.store.write(move |tx| -> Result<()> {
            fence(tx, id, token)?;
            tx.exec("DELETE FROM export_part WHERE export_id = $1 AND file = $2", params![id, number])?;
            tx.exec("DELETE FROM export_file WHERE export_id = $1 AND number = $2", params![id, number])?;
            Ok(())
        });
        removed.await?;
        let (waiting, hash) = (Vec::with_capacity(PART), Sha256::new());
        Ok(File { archive: self, number, path, part: 1, waiting, hash, bytes: 0, records: 0 })
    }

    /// Ends the tar.
    pub async fn end(&self) -> Result<()> {
        let body = gzip(vec![0; 2 * BLOCK]).await?;
        let (id, token, number) = (self.id, self.token, self.number + 1);
        let ended = self.kernel.store.write(move |tx| -> Result<()> {
            fence(tx, id, token)?;
            put(tx, id, (number, 0), &body)
        });
        ended.await
    }

    /// The files that are whole, without the manifest.
    pub async fn listed(&self) -> Result<Vec<Listed>> {
        let id = self.id;
        let listed = self.kernel.store.read(move |tx| -> Result<_> {
            let sql = "SELECT path, records, bytes, sha256 FROM export_file
               WHERE export_id = $1 AND number > 0 ORDER BY number";
            Ok(tx.rows(sql, params![id], |row| {
                Ok(Listed {
                    path: row.get(0)?,
                    records: row.get(1)?,
                    bytes: row.get(2)?,
                    sha256: row.get(3)?,
                })
            })?)
        });
        listed.await
    }
}

impl File<'_> {
    /// So many records, as bytes.
    pub async fn add(&mut self, records: i64, bytes: &[u8]) -> Result<()> {
        self.records += records;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        for piece in bytes.chunks(PART) {
            self.waiting.extend_from_slice(piece);
            if self.waiting.len() >= PART {
                self.put_part().await?;
            }
        }
        Ok(())
    }

    async fn put_part(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let body = gzip(std::mem::take(&mut self.waiting)).await?;
        let (id, token, at) = (self.archive.id, self.archive.token, (self.number, self.part));
        self.part += 1;
        let written = self.archive.kernel.store.write(move |tx| -> Result<()> {
            fence(tx, id, token)?;
            put(tx, id, at, &body)
        });
        written.await
    }

    /// Makes the file whole, and `place` where the writing goes on.
    pub async fn end(mut self, place: Place) -> Result<()> {
        let header = gzip(header(&self.path, self.bytes, self.archive.at)?).await?;
        let beyond = usize::try_from(self.bytes % BLOCK as u64).unwrap_or_default();
        if beyond > 0 {
            self.waiting.resize(self.waiting.len() + BLOCK - beyond, 0);
        }
        self.put_part().await?;
        let (id, token, number) = (self.archive.id, self.archive.token, self.number);
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let sha256 = hex::encode(self.hash.finalize());
        let (path, records, goes_on) = (self.path, self.records, place.clone());
        let ended = self.archive.kernel.store.write(move |tx| -> Result<()> {
            fence(tx, id, token)?;
            put(tx, id, (number, 0), &header)?;
            tx.exec(
                "INSERT INTO export_file (export_id, number, path, records, bytes, sha256, place)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                params![id, number, path, records, bytes, sha256, Json(goes_on.clone())],
            )?;
            Ok(())
        });
        ended.await?;
        if number > 0 {
            (self.archive.number, self.archive.place) = (number, place);
        }
        Ok(())
    }
}

/// Takes the archive for the token, unless somebody came later.
pub(crate) fn fence(tx: &mut Tx<'_>, id: JobId, token: i64) -> Result<()> {
    let sql = "UPDATE export SET token = $2 WHERE id = $1 AND token <= $2 AND finished_at IS NULL";
    match tx.exec(sql, params![id, token])? {
        0 => Err(Error::conflict(
            "export_overtaken",
            "another worker writes the export, or it is gone with its tenant",
        )),
        _ => Ok(()),
    }
}

fn put(tx: &mut Tx<'_>, id: JobId, (file, part): (i64, i64), body: &[u8]) -> Result<()> {
    tx.exec(
        "INSERT INTO export_part (export_id, file, part, body) VALUES ($1, $2, $3, $4)
         ON CONFLICT (export_id, file, part) DO UPDATE SET body = excluded.body",
        params![id, file, part, body],
    )?;
    Ok(())
}

/// What stands before a file of this length.
fn header(path: &str, bytes: u64, at: Timestamp) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path).map_err(|error| {
        Error::internal("export_write", "write a file's name in an export").with_source(error)
    })?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(at.micros() / 1_000_000).unwrap_or_default());
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

async fn gzip(bytes: Vec<u8>) -> Result<Vec<u8>> {
    let packed = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
        encoder.write_all(&bytes)?;
        encoder.finish()
    });
    match packed.await {
        Ok(Ok(packed)) => Ok(packed),
        Ok(Err(error)) => Err(Error::internal("export_write", "compress an export").with_source(error)),
        Err(error) => Err(Error::internal("export_write", "compress an export").with_source(error)),
    }
}
