//! Each guarantee in the docs names tests that are there.

use std::collections::BTreeSet;

use regex::Regex;

use crate::assert_tidy;
use crate::tree::sources;

const PAGE: &str = "docs/guarantees.md";

/// Names in backticks that read like a test's: four words or more.
fn named(text: &str) -> Vec<&str> {
    let name = Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    name.captures_iter(text).map(|found| found.get(1).unwrap().as_str()).collect()
}

#[test]
fn what_is_guaranteed_is_tested() {
    let function = Regex::new(r"(?m)^\s*(?:async )?fn ([a-z0-9_]+)\(").unwrap();
    let rust = sources().iter().filter(|source| source.extension() == "rs");
    let functions: BTreeSet<&str> = rust
        .flat_map(|source| function.captures_iter(&source.text).map(|found| found.get(1).unwrap().as_str()))
        .collect();
    let page = sources().iter().find(|source| source.path == PAGE).unwrap();
    let broken: Vec<String> = page
        .lines()
        .flat_map(|(line, text)| named(text).into_iter().map(move |name| (line, name)))
        .filter(|(_, name)| !functions.contains(name))
        .map(|(line, name)| format!("{PAGE}:{line}: no test {name}"))
        .collect();
    assert_tidy("a guarantee names tests that exist", &broken);
    assert!(named(&page.text).len() > 30, "the page names its tests in backticks");
    assert_eq!(named("`a_test_of_it` and `two_words`, `COLUMN_OF_A_TABLE`"), ["a_test_of_it"]);
}
