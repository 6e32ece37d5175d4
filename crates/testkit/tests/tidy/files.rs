//! How long a file may be, how it opens, and that the entries can be run.

use std::os::unix::fs::PermissionsExt as _;

use crate::tree::{Source, root, sources};
use crate::{assert_tidy, tree};

const LIMIT: usize = 1000;
const WANTS_A_REASON: usize = 600;
const GENERATED: &[&str] = &["ui/src/api/schema.d.ts", "ui/src/routeTree.gen.ts"];

fn counted(source: &&Source) -> bool {
    matches!(source.extension(), "rs" | "py" | "ts" | "tsx") && !GENERATED.contains(&source.path.as_str())
}

#[test]
fn files_are_short() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(counted) {
        let lines = source.lines().count();
        if lines > LIMIT {
            broken.push(format!("{}: {lines} lines", source.path));
        } else if lines > WANTS_A_REASON {
            println!("{}: {lines} lines, which wants a reason", source.path);
        }
    }
    assert_tidy("a file has at most 1000 lines", &broken);
}

#[test]
fn modules_say_what_they_are() {
    let mut broken = Vec::new();
    let mut looked = 0;
    for source in sources() {
        let opening = match source.extension() {
            "rs" if source.path.contains("/src/") && !source.path.ends_with("/tests.rs") => "//!",
            "py" if source.path.starts_with("runner/qd_runner/") => "\"\"\"",
            _ => continue,
        };
        looked += 1;
        if !source.text.starts_with(opening) {
            broken.push(format!("{}: does not begin with {opening}", source.path));
        }
    }
    assert!(looked > 50, "only {looked} modules found");
    assert_tidy("a module opens with what it is and why", &broken);
}

#[test]
fn entries_can_be_run() {
    for entry in ["x", ".ci/run"] {
        let mode = std::fs::metadata(root().join(entry)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{entry} has no run bit");
    }
    let ci = std::fs::read_to_string(tree::root().join(".ci/run")).unwrap();
    assert!(ci.contains("./x lint") && ci.contains("./x test"), ".ci/run checks less than ./x does");
}
