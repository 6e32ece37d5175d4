//! The executable that supervises in tests: the example `supervise`, which cargo builds with the package's tests.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Its path, once it is certain that it is no older than its sources: `cargo test --test x` does not build examples,
/// and a test of yesterday's supervisor would prove nothing.
pub fn supervise_program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/supervise");
    let built = changed(&path);
    let sources = newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/supervisor"));
    assert!(
        built.is_some() && built >= sources,
        "build it first: cargo build -p qd-pipelines --example supervise"
    );
    path
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    entries.map(|path| if path.is_dir() { newest(&path) } else { changed(&path) }).max()?
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}
