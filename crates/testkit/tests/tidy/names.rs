//! Names that say nothing are not taken.

use crate::assert_tidy;
use crate::tree::sources;

const SAYS_NOTHING: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "stuff"];

/// The word in a path or a module's name that says nothing.
fn empty_word(name: &str) -> Option<&str> {
    let mut words = name.split(|character: char| !character.is_alphanumeric());
    words.find(|word| SAYS_NOTHING.contains(&word.to_ascii_lowercase().as_str()))
}

/// The module that a line of Rust declares.
fn declared(line: &str) -> Option<&str> {
    let (visibility, name) = line.trim().split_once("mod ")?;
    (visibility.is_empty() || visibility.starts_with("pub")).then_some(name)
}

#[test]
fn files_are_named_for_what_they_hold() {
    let mut broken = Vec::new();
    for source in sources() {
        if let Some(word) = empty_word(&source.path) {
            broken.push(format!("{}: {word:?} names nothing", source.path));
        }
        if source.path.ends_with("/mod.rs") {
            broken.push(format!("{}: a module is foo.rs beside foo/", source.path));
        }
        let of_rust = source.lines().filter(|_| source.extension() == "rs");
        for (number, line) in of_rust {
            if let Some(word) = declared(line).and_then(empty_word) {
                broken.push(format!("{}:{number}: {word:?} names nothing", source.path));
            }
        }
    }
    assert_tidy("files and modules are named for what they hold", &broken);
}

#[test]
fn the_rule_for_names_sees_words() {
    assert_eq!(empty_word("crates/x/src/log_utils.rs"), Some("utils"));
    assert_eq!(empty_word("ui/src/Helper.tsx"), Some("Helper"));
    assert_eq!(empty_word("crates/core/src/commons_act.rs"), None);
    assert_eq!(declared("    pub(crate) mod helpers;").and_then(empty_word), Some("helpers"));
    assert_eq!(declared("// a mod of utils"), None);
}
