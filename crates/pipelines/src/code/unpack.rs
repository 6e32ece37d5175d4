//! An archive to a folder named after its digest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use qd_core::canonical::Digest;
use qd_core::error::{Error, Result};

use super::archive::{self, Entry, Inspected};
use super::bad_archive;

/// Checks an archive against its digest without writing anything.
///
/// # Errors
/// `bad_code_archive`, `code_too_large`.
pub fn inspect(archive: &[u8], digest: &Digest) -> Result<Inspected> {
    archive::read(archive, digest, |entry| {
        io::copy(entry.content, &mut io::sink()).map(drop).map_err(|error| bad_archive(error.to_string()))
    })
}

/// Gives each file of an archive: path, whether it can be run, content. All is checked by the end; `take` may have seen files
/// of an archive that turns out to be bad.
///
/// # Errors
/// `bad_code_archive`, `code_too_large`, and what `take` answers.
pub(crate) fn archive_files(
    archive: &[u8],
    digest: &Digest,
    mut take: impl FnMut(&Path, bool, &[u8]) -> Result<()>,
) -> Result<()> {
    archive::read(archive, digest, |entry| {
        let mut content = Vec::new();
        entry.content.read_to_end(&mut content).map_err(|error| bad_archive(error.to_string()))?;
        take(&entry.path, entry.executable, &content)
    })
    .map(drop)
}

/// Unpacks an archive to `<root>/<hex of the digest>` and answers that folder.
///
/// A folder that is there already is that content and is left alone. It appears complete or not at all: two that
/// unpack at once do no harm. Files are read-only.
///
/// # Errors
/// `bad_code_archive`, `code_too_large`; `code_unpack` when the folder cannot be written.
pub fn unpack(archive: &[u8], digest: &Digest, root: &Path) -> Result<PathBuf> {
    let target = root.join(digest.hex());
    if target.is_dir() {
        return Ok(target);
    }
    fs::create_dir_all(root).map_err(|error| internal("create the code folder", error))?;
    let unfinished = tempfile_in(root)?;
    archive::read(archive, digest, |entry| write(unfinished.path(), entry))?;
    // The files before the name: after a power cut the name must not stand for less than all of them.
    let folder = File::open(unfinished.path()).map_err(|error| internal("open the unpacked code", error))?;
    nix::unistd::syncfs(&folder).map_err(|error| internal("sync the unpacked code", error.into()))?;
    match fs::rename(unfinished.path(), &target) {
        Ok(()) => {
            let _ = unfinished.keep();
            Ok(target)
        }
        // Another one was faster.
        Err(_) if target.is_dir() => Ok(target),
        Err(error) => Err(internal("name the unpacked code", error)),
    }
}

fn tempfile_in(root: &Path) -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(".unpacking-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(root)
        .map_err(|error| internal("create a temporary code folder", error))
}

fn write(folder: &Path, entry: Entry<'_>) -> Result<()> {
    let path = folder.join(&entry.path);
    // A file where another entry needs a folder shows here, as does the opposite below.
    let clash = |error: io::Error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => {
            bad_archive(format!("{:?} is both a file and a folder", entry.path))
        }
        _ => internal("write unpacked code", error),
    };
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(clash)?;
    }
    let mode = if entry.executable { 0o555 } else { 0o444 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(clash)?;
    io::copy(entry.content, &mut file).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied => {
            internal("write unpacked code", error)
        }
        _ => bad_archive(format!("{:?} cannot be read: {error}", entry.path)),
    })?;
    Ok(())
}

fn internal(action: &str, error: io::Error) -> Error {
    Error::internal("code_unpack", format!("could not {action}")).with_source(error)
}
