//! The files of the repository, as git lists them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

pub struct Source {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|extension| extension.to_str()).unwrap_or("")
    }

    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every text file that is committed or new; those that git ignores are none of the project's.
pub fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read);
    assert!(SOURCES.len() > 100, "git lists only {} files", SOURCES.len());
    &SOURCES
}

/// Sources of crates, without their tests: the folders, `tests.rs`, and what stands under `#[cfg(test)]`.
pub fn shipped_rust() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_crates = |source: &&Source| {
        let mut parts = source.path.split('/');
        parts.next() == Some("crates")
            && parts.next().is_some_and(|name| name != "testkit" && name != "testbed")
            && parts.next() == Some("src")
            && source.extension() == "rs"
            && !source.path.ends_with("/tests.rs")
    };
    sources().iter().filter(of_crates).map(|source| {
        let end = source.text.find("#[cfg(test)]").unwrap_or(source.text.len());
        (source.path.as_str(), &source.text[..end])
    })
}

fn read() -> Vec<Source> {
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut paths: Vec<&str> = listed.split_terminator('\0').collect();
    paths.sort_unstable();
    paths.dedup();
    // What is gone from the disk but not yet from the index, and what is no text, is passed over.
    let read = |path: &str| {
        let text = String::from_utf8(std::fs::read(root().join(path)).ok()?).ok()?;
        Some(Source { path: path.to_owned(), text })
    };
    paths.into_iter().filter_map(read).collect()
}
