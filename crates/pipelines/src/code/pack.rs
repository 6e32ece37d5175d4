//! A folder to an archive.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use qd_core::canonical::Digest;
use qd_core::error::{Error, Result};
use sha2::{Digest as _, Sha256};

use super::{MAX_FILES, MAX_PATH, MAX_UNPACKED_BYTES, Packed, check_packed_size};

/// Folders and files that are nobody's source: never packed.
const LEFT_OUT: [&str; 10] = [
    "__pycache__",
    ".git",
    ".venv",
    ".quarterdeck",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".DS_Store",
    "node_modules",
    ".ipynb_checkpoints",
];
const LEVEL: i32 = 10;

/// Packs the files of `folder`.
///
/// Symbolic links are followed where they stay in the folder, and their target is packed in their place. Empty
/// folders leave no trace.
///
/// # Errors
/// `bad_code_folder` when it is no folder, is empty, or holds what cannot travel (links that lead out or in a
/// circle, sockets, names that are no UTF-8); `code_too_large`.
pub fn pack(folder: &Path) -> Result<Packed> {
    let root = folder.canonicalize().map_err(|error| unreadable(folder, &error))?;
    if !root.is_dir() {
        return Err(bad_folder(format!("{} is no folder", folder.display())));
    }
    let mut found = Found { root: root.clone(), files: BTreeMap::new(), bytes: 0 };
    found.walk(&root, "", &mut vec![root.clone()])?;
    if found.files.is_empty() {
        return Err(bad_folder(format!("{} holds no files", folder.display())));
    }
    let files = found.files.len();
    let compressor = zstd::Encoder::new(Vec::new(), LEVEL).map_err(|error| internal(&error))?;
    let mut builder = tar::Builder::new(Hashing { hasher: Sha256::new(), inner: compressor });
    let mut unpacked_bytes = 0;
    for (name, source) in &found.files {
        let content = fs::read(&source.path).map_err(|error| unreadable(&source.path, &error))?;
        unpacked_bytes += content.len() as u64;
        // A file that grew since it was counted.
        check_unpacked_size(unpacked_bytes)?;
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(if source.executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, name, content.as_slice()).map_err(|error| internal(&error))?;
    }
    let Hashing { hasher, inner } = builder.into_inner().map_err(|error| internal(&error))?;
    let archive = inner.finish().map_err(|error| internal(&error))?;
    check_packed_size(archive.len())?;
    let digest = Digest::parse(&format!("{}{}", Digest::PREFIX, hex::encode(hasher.finalize())))?;
    Ok(Packed { digest, archive, files, unpacked_bytes })
}

struct Found {
    root: PathBuf,
    /// By path in the archive, which sorts them.
    files: BTreeMap<String, Source>,
    bytes: u64,
}

struct Source {
    path: PathBuf,
    executable: bool,
}

impl Found {
    /// `above` holds the real folders from the root to `folder`, to notice a link back to one of them.
    fn walk(&mut self, folder: &Path, prefix: &str, above: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            let entry = entry.map_err(|error| unreadable(folder, &error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(bad_folder(format!("the name {:?} is no UTF-8", entry.path())));
            };
            if LEFT_OUT.contains(&name) || name.ends_with(".pyc") {
                continue;
            }
            let inside = format!("{prefix}{name}");
            if inside.len() > MAX_PATH || name.contains(|letter: char| letter.is_control()) {
                return Err(bad_folder(format!(
                    "the path {inside:?} is too long or holds control characters"
                )));
            }
            self.take(&entry.path(), &inside, above)?;
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, inside: &str, above: &mut Vec<PathBuf>) -> Result<()> {
        let real = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        if !real.starts_with(&self.root) {
            return Err(bad_folder(format!("the link {inside:?} leads out of the folder")));
        }
        let metadata = fs::metadata(&real).map_err(|error| unreadable(path, &error))?;
        if metadata.is_dir() {
            if above.contains(&real) {
                return Err(bad_folder(format!("the link {inside:?} leads in a circle")));
            }
            above.push(real.clone());
            self.walk(&real, &format!("{inside}/"), above)?;
            above.pop();
            return Ok(());
        }
        if !metadata.is_file() {
            return Err(bad_folder(format!("{inside:?} is neither a file nor a folder")));
        }
        self.bytes += metadata.len();
        check_unpacked_size(self.bytes)?;
        let executable = metadata.permissions().mode() & 0o100 != 0;
        self.files.insert(inside.to_owned(), Source { path: real, executable });
        if self.files.len() > MAX_FILES {
            return Err(Error::too_large(
                "code_too_large",
                format!("the folder holds more than {MAX_FILES} files"),
            ));
        }
        Ok(())
    }
}

fn check_unpacked_size(bytes: u64) -> Result<()> {
    if bytes <= MAX_UNPACKED_BYTES {
        return Ok(());
    }
    let mib = MAX_UNPACKED_BYTES / (1024 * 1024);
    Err(Error::too_large("code_too_large", format!("the files of the folder have more than {mib} MiB")))
}

/// Hashes what passes to the compressor.
struct Hashing<W> {
    hasher: Sha256,
    inner: W,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn bad_folder(detail: String) -> Error {
    Error::invalid("bad_code_folder", detail)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    bad_folder(format!("{} cannot be read: {error}", path.display()))
}

fn internal(error: &io::Error) -> Error {
    Error::internal("code_pack", format!("the code could not be packed: {error}"))
}
