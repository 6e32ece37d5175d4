//! Files for their owner alone that are whole or not there, whoever else writes at the same time: keys, and what must not be
//! forgotten.

use std::{
    fs::File,
    io::{Result, Write as _},
    path::Path,
};

use tempfile::NamedTempFile;

/// Makes a file, never over another.
///
/// # Errors
/// `AlreadyExists` where there is one.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    written(path, bytes)?.persist_noclobber(path)?;
    sync(folder(path))
}

/// Makes a file in the place of the one that is there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    written(path, bytes)?.persist(path)?;
    sync(folder(path))
}

/// Beside it, under a name that nobody else has; mode 0600.
fn written(path: &Path, bytes: &[u8]) -> Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(folder(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt as _, thread};

    use super::*;

    #[test]
    fn of_many_that_make_a_file_one_does_and_it_stays_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made: Vec<Result<()>> = thread::scope(|scope| {
            let tries: Vec<_> = (0..8_u8)
                .map(|n| {
                    scope.spawn({
                        let path = &path;
                        move || create(path, &[b'a' + n; 64])
                    })
                })
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        let others = made.iter().filter_map(|made| made.as_ref().err());
        assert!(others.map(std::io::Error::kind).all(|kind| kind == ErrorKind::AlreadyExists));
        let first = fs::read(&path).unwrap();
        assert!(first.len() == 64 && first.iter().all(|byte| *byte == first[0]));
        replace(&path, b"other").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no half-made file is left");
    }
}
