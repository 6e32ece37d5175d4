//! Each guarantee in the docs, and each requirement of security, names tests that are there.

use std::collections::BTreeSet;

use regex::Regex;

use crate::assert_tidy;
use crate::tree::sources;

/// With how many tests each names at least.
const PAGES: [(&str, usize); 2] = [("docs/guarantees.md", 30), ("docs/security.md", 80)];

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
    for (path, least) in PAGES {
        let page = sources().iter().find(|source| source.path == path).unwrap();
        let broken: Vec<String> = page
            .lines()
            .flat_map(|(line, text)| named(text).into_iter().map(move |name| (line, name)))
            .filter(|(_, name)| !functions.contains(name))
            .map(|(line, name)| format!("{path}:{line}: no test {name}"))
            .collect();
        assert_tidy("what is promised names tests that exist", &broken);
        assert!(named(&page.text).len() > least, "{path} names its tests in backticks");
    }
    assert_eq!(named("`a_test_of_it` and `two_words`, `COLUMN_OF_A_TABLE`"), ["a_test_of_it"]);
}

/// The chapters of ASVS 5.0 with the requirements of levels 1 and 2 that each has; the page speaks of every one.
#[test]
fn every_requirement_is_spoken_of() {
    let page = sources().iter().find(|source| source.path == "docs/security.md").unwrap();
    let table = page.text.split_once("## OWASP ASVS").unwrap().1;
    let id = Regex::new(r"\b\d{1,2}\.\d{1,2}\.\d{1,2}\b").unwrap();
    // A row's first cell says what it is about; other cells refer to others.
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let mut spoken = std::collections::BTreeMap::<&str, usize>::new();
    for cell in cells {
        id.find_iter(cell).for_each(|found| *spoken.entry(found.as_str()).or_default() += 1);
    }
    let twice: Vec<_> = spoken.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(spoken.len(), 253, "requirements of level 1 and 2");
}
