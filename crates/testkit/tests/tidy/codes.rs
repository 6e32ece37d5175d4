//! Every stable code in the crates' sources stands in the tables of `qd_core::error`, with the kind that it has there,
//! and no code stands in a table that nothing gives.
//!
//! A code that reaches a constructor in a variable is seen only as a word in the file: enough to know that it is used,
//! not which kind it takes.

use std::collections::BTreeSet;

use qd_core::error::{CODES, END_CODES, ErrorKind, VIOLATION_CODES};
use regex::Regex;

use crate::assert_tidy;
use crate::tree::{shipped_rust, sources};

/// `(kind, code)` of each error that a text makes with literals.
fn errors(text: &str) -> Vec<(String, String)> {
    let kinds: Vec<String> = ErrorKind::ALL.iter().map(|kind| snake(*kind)).collect();
    let short = Regex::new(&format!(r"\b(?:Error|Self)::({})\(", kinds.join("|"))).unwrap();
    let mut found: Vec<(String, String)> = short
        .captures_iter(text)
        .filter_map(|call| {
            let code = literal(arguments(&text[call.get(0).unwrap().end()..]).first()?)?;
            Some((call[1].to_owned(), code))
        })
        .collect();
    let long = Regex::new(r"\bError::new\(\s*(?:ErrorKind|Kind)::(\w+),").unwrap();
    found.extend(long.captures_iter(text).filter_map(|call| {
        let kind = ErrorKind::ALL.iter().find(|kind| format!("{kind:?}") == call[1])?;
        let code = literal(arguments(&text[call.get(0).unwrap().end()..]).first()?)?;
        Some((snake(*kind), code))
    }));
    found
}

/// The codes of the violations that a text makes with literals.
fn violations(text: &str) -> Vec<String> {
    const CALL: &str = "Violation::new(";
    let calls = text.match_indices(CALL);
    calls.filter_map(|(at, _)| literal(arguments(&text[at + CALL.len()..]).get(1)?)).collect()
}

/// The arguments of a call whose opening bracket was just passed.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut quoted, mut escaped) = (0_i32, 0, false, false);
    let mut found = Vec::new();
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            ')' if depth == 0 => {
                found.push(text[start..at].trim());
                return found;
            }
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

fn literal(argument: &&str) -> Option<String> {
    let inside = argument.strip_prefix('"')?.strip_suffix('"')?;
    (!inside.contains('"')).then(|| inside.to_owned())
}

fn snake(kind: ErrorKind) -> String {
    serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn errors_are_documented() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for (path, text) in shipped_rust() {
        for (kind, code) in errors(text) {
            seen += 1;
            match CODES.iter().find(|(known, ..)| *known == code) {
                None => broken.push(format!("{path}: {code} ({kind}) is not in CODES")),
                Some((_, known, _)) if snake(*known) != kind => {
                    broken.push(format!("{path}: {code} is {kind} here and {} in CODES", snake(*known)));
                }
                Some(_) => {}
            }
        }
    }
    assert!(seen > 20, "only {seen} errors found");
    assert_tidy("every error's code stands in qd_core::error::CODES", &broken);
}

#[test]
fn violations_are_documented() {
    let mut broken = BTreeSet::new();
    let mut seen = 0;
    for (path, text) in shipped_rust() {
        for code in violations(text) {
            seen += 1;
            if !VIOLATION_CODES.iter().any(|(known, _)| *known == code) {
                broken.insert(format!("{path}: {code} is not in VIOLATION_CODES"));
            }
        }
    }
    assert!(seen > 20, "only {seen} violations found");
    assert_tidy("every violation's code is documented", &Vec::from_iter(broken));
}

/// The codes of ends of runs and jobs that a text makes with literals.
fn ends(text: &str) -> Vec<String> {
    let end = Regex::new(r#"\b(?:code: (?:Some\()?|failed\(\s*)"([a-z][a-z0-9_]*)""#).unwrap();
    end.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn ends_are_documented() {
    let mut broken = BTreeSet::new();
    let mut seen = 0;
    for (path, text) in shipped_rust() {
        for code in ends(text) {
            seen += 1;
            let known = CODES.iter().map(|(code, ..)| *code);
            if !known
                .chain(END_CODES.iter().chain(VIOLATION_CODES).map(|(code, _)| *code))
                .any(|known| known == code)
            {
                broken.insert(format!("{path}: {code} is not in END_CODES"));
            }
        }
    }
    assert!(seen > 8, "only {seen} ends found");
    assert_tidy("every end's code is documented", &Vec::from_iter(broken));
}

#[test]
fn documented_codes_are_given() {
    let quoted = Regex::new(r#""([a-z][a-z0-9_]*)""#).unwrap();
    let mut words = BTreeSet::new();
    // What the runner finds wrong with a class comes through as it is.
    let runner = sources().iter().filter(|source| source.path.starts_with("runner/qd_runner/"));
    let rust = shipped_rust().filter(|(path, _)| *path != "crates/core/src/error/codes.rs");
    for text in rust.map(|(_, text)| text).chain(runner.map(|source| source.text.as_str())) {
        words.extend(quoted.captures_iter(text).map(|found| found[1].to_owned()));
    }
    let tables = CODES.iter().map(|(code, ..)| *code);
    let tables = tables.chain(VIOLATION_CODES.iter().chain(END_CODES).map(|(code, _)| *code));
    let broken: Vec<String> = tables.filter(|code| !words.contains(*code)).map(str::to_owned).collect();
    assert_tidy("no code is documented that nothing gives", &broken);
}

#[test]
fn calls_are_read_through_brackets_and_quotes() {
    let text = r#"
        Error::not_found("a_b", format!("({x}, {y})"));
        Error::new(ErrorKind::TooLarge, "big", "text");
        Error::conflict(code, "x");
        Violation::new(at.index(edge.index).key("source"), "graph_cycle", detail)
        Violation::new(format!("{at}, {}", "a)"), "too_long", "…")
        Violation::new("", code, detail)"#;
    assert_eq!(errors(text), [("not_found".into(), "a_b".into()), ("too_large".into(), "big".into())]);
    assert_eq!(violations(text), ["graph_cycle", "too_long"]);
}
