//! The folder of a run's Ray, which lies outside the attempt's own.
//!
//! Ray puts Unix sockets below its folder, whose paths are limited to 107 bytes, so the runner makes a short one in
//! `/tmp` and writes its name to `ray/temp_dir`. The runner removes it; after a runner that was killed, this does. What
//! the file says is believed only where it names a folder of that form that is ours.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

const PARENT: &str = "/tmp";
const PREFIX: &str = "qd-";

/// The folder of the Ray of the attempt in `dir`, where there still is one.
#[must_use]
pub fn scratch_dir(dir: &Path) -> Option<PathBuf> {
    let said = fs::read_to_string(dir.join("ray/temp_dir")).ok()?;
    let path = PathBuf::from(said.trim_end_matches('\n'));
    let named = path.file_name()?.to_str()?.starts_with(PREFIX) && path.parent()? == Path::new(PARENT);
    let found = fs::symlink_metadata(&path).ok()?;
    (named && found.is_dir() && found.uid() == geteuid().as_raw()).then_some(path)
}

/// Removes it; answers whether there was one. Links inside are removed and not followed.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_scratch(dir: &Path) -> io::Result<bool> {
    match scratch_dir(dir) {
        Some(path) => fs::remove_dir_all(path).map(|()| true),
        None => Ok(false),
    }
}
