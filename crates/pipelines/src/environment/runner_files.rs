//! The Python runner inside the binary, written out once for each version of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use qd_core::canonical::sha256_hex;

include!(concat!(env!("OUT_DIR"), "/runner_files.rs"));

/// What the base environment installs.
pub(super) fn base_requirements() -> &'static str {
    FILES.iter().find(|(name, _)| *name == "requirements.txt").map_or("", |(_, text)| *text)
}

/// The files of the runner's package, by path.
pub(crate) fn runner_sources() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().copied().filter(|(name, _)| name.starts_with("qd_runner/"))
}

/// Names the embedded runner.
#[must_use]
pub fn runner_hash() -> String {
    let parts: Vec<String> =
        FILES.iter().map(|(name, text)| format!("{name} {}\n", sha256_hex(text))).collect();
    sha256_hex(parts.concat()).chars().take(16).collect()
}

/// Writes the runner below `root` and answers the folder that holds its package.
pub(super) fn write_runner(root: &Path) -> io::Result<PathBuf> {
    let target = root.join(format!("runner-{}", runner_hash()));
    if target.is_dir() {
        return Ok(target);
    }
    fs::create_dir_all(root)?;
    let unfinished = tempfile::Builder::new().prefix(".runner-").tempdir_in(root)?;
    for (name, text) in FILES {
        let path = unfinished.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    match fs::rename(unfinished.path(), &target) {
        Ok(()) => {
            let _ = unfinished.keep();
            Ok(target)
        }
        // Another process was faster.
        Err(_) if target.is_dir() => Ok(target),
        Err(error) => Err(error),
    }
}
