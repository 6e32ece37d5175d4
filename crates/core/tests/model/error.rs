use std::error::Error as _;

use qd_core::error::{CODES, END_CODES, VIOLATION_CODES, clip};
use qd_core::{Error, ErrorKind, Violation};
use regex::Regex;

#[test]
fn errors_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Error>();
}

#[test]
fn every_kind_has_a_status_of_its_own() {
    let statuses: Vec<u16> = ErrorKind::ALL.iter().map(|kind| kind.http_status()).collect();
    assert_eq!(statuses, [400, 422, 401, 403, 404, 409, 412, 428, 413, 429, 503, 500]);
}

#[test]
fn display_is_the_detail_alone() {
    let error = Error::unavailable("x", "reach the store")
        .with_source(std::io::Error::other("disk on fire"))
        .with_retry_after(3);
    assert_eq!(error.to_string(), "reach the store");
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("disk on fire"));
    assert_eq!((error.http_status(), error.retry_after_s), (503, Some(3)));
}

#[test]
fn violations_make_an_error() {
    let one = vec![Violation::new("/spec/x", "too_long", "x is too long").at_line(3, 5).in_document(0)];
    let error = Error::from_violations(one.clone());
    assert_eq!((error.kind, error.code), (ErrorKind::Invalid, "invalid_document"));
    assert_eq!(error.to_string(), "document 1: line 3, column 5: /spec/x: x is too long");
    assert_eq!(error.violations, one);
    assert_eq!(
        Error::from_violations([one.clone(), one].concat()).to_string(),
        "the document has 2 violations"
    );
}

#[test]
fn codes_are_sorted_and_well_formed() {
    let form = Regex::new("^[a-z][a-z0-9]*(_[a-z0-9]+)*$").unwrap();
    for codes in [
        CODES.iter().map(|(code, ..)| *code).collect::<Vec<_>>(),
        VIOLATION_CODES.iter().map(|(code, _)| *code).collect(),
        END_CODES.iter().map(|(code, _)| *code).collect(),
    ] {
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert!(codes.iter().all(|code| form.is_match(code)), "{codes:?}");
    }
}

#[test]
fn long_text_is_clipped_at_a_character() {
    assert_eq!(clip("äöü", 3), "äöü");
    assert_eq!(clip("äöüx", 3), "äöü…");
}
