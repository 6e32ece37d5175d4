//! Reading an archive without believing it.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use qd_core::canonical::Digest;
use qd_core::error::Result;
use sha2::{Digest as _, Sha256};

use super::{MAX_FILES, MAX_PATH, MAX_UNPACKED_BYTES, bad_archive, check_packed_size};

/// Largest window that a frame may ask for, as a power of two: 128 MiB of memory.
const WINDOW_LOG: u32 = 27;
/// What headers and padding may add to the files themselves.
const MAX_TAR_BYTES: u64 = MAX_UNPACKED_BYTES + 4_096 * MAX_FILES as u64;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub files: usize,
    pub unpacked_bytes: u64,
}

/// A file of an archive.
pub(super) struct Entry<'a> {
    /// Relative, without `.` and `..`.
    pub path: PathBuf,
    pub executable: bool,
    pub content: &'a mut dyn Read,
}

/// Gives each file of `archive` to `take`, and checks everything; `digest` last.
pub(super) fn read(
    archive: &[u8],
    digest: &Digest,
    mut take: impl FnMut(Entry<'_>) -> Result<()>,
) -> Result<Inspected> {
    check_packed_size(archive.len())?;
    let mut decoder = zstd::Decoder::with_buffer(archive).map_err(|error| unreadable(&error))?;
    decoder.window_log_max(WINDOW_LOG).map_err(|error| unreadable(&error))?;
    let mut stream = Hashing { hasher: Sha256::new(), inner: decoder.take(MAX_TAR_BYTES) };
    let mut found = Inspected { files: 0, unpacked_bytes: 0 };
    let mut seen: HashSet<PathBuf> = HashSet::new();
    {
        let mut tar = tar::Archive::new(&mut stream);
        for entry in tar.entries().map_err(|error| unreadable(&error))? {
            let mut entry = entry.map_err(|error| unreadable(&error))?;
            let path = safe_path(&entry.path().map_err(|error| unreadable(&error))?)?;
            let kind = entry.header().entry_type();
            if kind != tar::EntryType::Regular {
                return Err(bad_archive(format!("{path:?} is no regular file ({kind:?})")));
            }
            found.files += 1;
            found.unpacked_bytes = found.unpacked_bytes.saturating_add(entry.size());
            if found.files > MAX_FILES || found.unpacked_bytes > MAX_UNPACKED_BYTES {
                return Err(bad_archive("the archive unpacks to more than is allowed"));
            }
            if !seen.insert(path.clone()) {
                return Err(bad_archive(format!("{path:?} is there twice")));
            }
            let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
            take(Entry { path, executable, content: &mut entry })?;
        }
    }
    // What stands behind the end of the tar belongs to the digest as well.
    io::copy(&mut stream, &mut io::sink()).map_err(|error| unreadable(&error))?;
    if stream.inner.limit() == 0 {
        return Err(bad_archive("the archive unpacks to more than is allowed"));
    }
    let actual = format!("{}{}", Digest::PREFIX, hex::encode(stream.hasher.finalize()));
    if actual != digest.as_str() {
        return Err(bad_archive(format!("the archive's digest is {actual}, not {digest}")));
    }
    if found.files == 0 {
        return Err(bad_archive("the archive holds no files"));
    }
    Ok(found)
}

fn safe_path(path: &Path) -> Result<PathBuf> {
    let refused = || bad_archive(format!("the path {path:?} is not allowed in an archive"));
    let text = path.to_str().ok_or_else(refused)?;
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    // `components` leaves out a `.` inside; the text shows it.
    let exact = path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
    if text.is_empty() || text.len() > MAX_PATH || !plain || !exact || text.contains(char::is_control) {
        return Err(refused());
    }
    Ok(path.to_owned())
}

fn unreadable(error: &io::Error) -> qd_core::error::Error {
    bad_archive(format!("the archive cannot be read: {error}"))
}

struct Hashing<R> {
    hasher: Sha256,
    inner: R,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
