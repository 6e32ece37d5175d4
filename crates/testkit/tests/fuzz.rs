//! What the fuzzer found worth keeping goes through the same checks on every machine (`./x fuzz` looks for more).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../../fuzz/src/targets.rs"]
mod targets;

use std::path::Path;

#[test]
fn the_corpora_of_the_fuzzer_pass() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let files: Vec<_> = std::fs::read_dir(corpora.join(name)).unwrap().flatten().collect();
        assert!(files.len() >= 5, "{name}: {} files", files.len());
        for file in files {
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(bytes.len() <= 64 * 1024, "{}: a corpus is small", file.path().display());
            // Its name would be lost in a panic's words.
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{} fails on {}", name, file.path().display());
        }
    }
    let kept = std::fs::read_dir(&corpora).unwrap().count();
    assert_eq!(kept, targets::TARGETS.len(), "each corpus has its target");
}
