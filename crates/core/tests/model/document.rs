use qd_core::canonical::reject_inexact_numbers;
use qd_core::document::{DEPTH_MAX, depth_limit, reject_control_characters};
use qd_core::violation::VIOLATIONS_MAX;
use qd_core::{Document, Metadata, Name, Pointer, Violation};
use serde_json::{Value, json};

fn refused(value: Value) -> Vec<Violation> {
    Document::from_value(value).unwrap_err()
}

fn lines(violations: &[Violation]) -> String {
    let line =
        |violation: &Violation| format!("{:?} {}: {}", violation.pointer, violation.code, violation.detail);
    violations.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn with_metadata(metadata: Value) -> Value {
    json!({ "apiVersion": "quarterdeck/v1", "kind": "Pipeline", "metadata": metadata, "spec": {} })
}

#[test]
fn a_document_is_read_and_written() {
    let value = json!({
        "apiVersion": "quarterdeck/v1",
        "kind": "Pipeline",
        "metadata": {
            "name": "curate", "display_name": "Curate ✂", "description": "Two\n\tlines", "labels": { "team": "data" },
            "tags": ["text"], "owners": ["ada"], "teams": ["data"],
        },
        "spec": { "text": "line\r\n", "n": [1, 2.5, null] },
    });
    let document = Document::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), value);
    assert_eq!(serde_json::from_value::<Document>(value).unwrap(), document);
}

#[test]
fn metadata_beyond_the_name_is_optional() {
    let named = Metadata::named(Name::parse("curate").unwrap());
    for metadata in [json!({ "name": "curate" }), json!({ "name": "curate", "labels": null, "tags": null })] {
        assert_eq!(Document::from_value(with_metadata(metadata)).unwrap().metadata, named);
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let value = json!({
        "api_version": "quarterdeck/v1",
        "kind": "pipeline",
        "metadata": {
            "name": "My_Pipeline",
            "display-name": "x",
            "description": 7,
            "labels": { "version": 1.5, "a:b": "x", "": "y", "ok": "two\nlines" },
            "tags": ["a", true, "a", ""],
            "owners": "ada",
            "teams": [null],
        },
        "spec": { "nul\u{0}key": "x", "text": "bell\u{7}", "seed": 9007199254740993u64 },
        "status": {},
    });
    insta::assert_snapshot!(lines(&refused(value)));
}

#[test]
fn what_is_no_document_is_said() {
    let cases = [
        json!(null),
        json!([]),
        json!("text"),
        json!({}),
        json!({ "apiVersion": "v1", "kind": 3, "metadata": [], "spec": "x" }),
        json!({ "apiVersion": 1, "kind": "", "metadata": {}, "spec": null }),
    ];
    let said = cases.map(|case| format!("{case}\n{}", lines(&refused(case.clone())))).join("\n\n");
    insta::assert_snapshot!(said);
}

#[test]
fn limits_hold_at_their_edges() {
    let labels = |n: usize| -> Value {
        (0..n).map(|i| (format!("k{i}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    let list = |n: usize| -> Value { (0..n).map(|i| format!("t{i}")).collect() };
    let x = |n: usize| "ä".repeat(n);
    let cases: Vec<(&str, Value, Value, &str)> = vec![
        ("display_name", json!(x(200)), json!(x(201)), "too_long"),
        ("display_name", json!("a"), json!("a\nb"), "control_character"),
        ("description", json!(x(4000)), json!(x(4001)), "too_long"),
        ("description", json!("a\nb"), json!("a\u{0}b"), "control_character"),
        ("labels", labels(64), labels(65), "too_many"),
        ("labels", json!({ x(63): x(63) }), json!({ x(64): "v" }), "too_long"),
        ("labels", json!({ "k": x(63) }), json!({ "k": x(64) }), "too_long"),
        ("tags", list(64), list(65), "too_many"),
        ("tags", json!([x(63)]), json!([x(64)]), "too_long"),
        ("owners", json!([x(200)]), json!([x(201)]), "too_long"),
        ("teams", list(64), list(65), "too_many"),
    ];
    for (field, good, bad, code) in cases {
        let good = Document::from_value(with_metadata(json!({ "name": "x", field: good })));
        assert!(good.is_ok(), "{field}: {good:?}");
        let violations = refused(with_metadata(json!({ "name": "x", field: bad })));
        let [violation] = violations.as_slice() else { panic!("{field}: {violations:?}") };
        assert_eq!(violation.code, code);
        assert!(violation.pointer.starts_with(&format!("/metadata/{field}")), "{violation:?}");
    }
}

#[test]
fn metadata_checks_itself_below_a_pointer() {
    let mut metadata = Metadata::named(Name::parse("x").unwrap());
    metadata.tags = vec![String::new()];
    assert_eq!(metadata.violations(&Pointer::root())[0].pointer, "/tags/0");
    assert_eq!(metadata.violations(&Pointer::root().key("metadata"))[0].pointer, "/metadata/tags/0");
}

fn nested(levels: usize) -> Value {
    (0..levels)
        .fold(json!(1), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "k": inner }) })
}

#[test]
fn depth_is_limited() {
    assert_eq!(depth_limit(&nested(3), 3), []);
    let violations = depth_limit(&json!({ "a": nested(3), "b": [[]], "c": [nested(2)] }), 3);
    assert_eq!(
        lines(&violations),
        lines(&[
            Violation::new("/a/0/k", "too_deep", "nested deeper than 3 levels"),
            Violation::new("/c/0/k", "too_deep", "nested deeper than 3 levels"),
        ])
    );
    let deepest = |levels| json!({ "apiVersion": "quarterdeck/v1", "kind": "Pipeline", "metadata": { "name": "x" }, "spec": { "k": nested(levels) } });
    assert!(Document::from_value(deepest(DEPTH_MAX - 2)).is_ok());
    assert_eq!(refused(deepest(DEPTH_MAX - 1))[0].code, "too_deep");
}

#[test]
fn control_characters_are_found_in_keys_and_strings() {
    let value = json!({ "a/b": ["fine\n\r\t", "nul \u{0}"], "bell\u{7}": { "x": "\u{9b}" }, "é😀": "ok" });
    insta::assert_snapshot!(lines(&reject_control_characters(&value)));
}

/// A long key above many elements: pointers made for each of them would have 100 GB.
fn hostile(element: Value) -> Value {
    json!({ "k".repeat(1_000_000): vec![element; 100_000] })
}

#[test]
fn walking_costs_no_more_than_the_document() {
    let value = hostile(json!([]));
    assert_eq!(depth_limit(&value, 3), []);
    assert_eq!(reject_control_characters(&value), []);
    assert_eq!(reject_inexact_numbers(&hostile(json!(1))), []);
}

#[test]
fn many_violations_are_counted_and_not_listed() {
    let last = |found: Vec<Violation>| {
        let last = found.last().unwrap();
        (found.len(), last.code.clone(), last.detail.clone())
    };
    // Few of them, because their pointers are long.
    for found in [
        depth_limit(&hostile(json!([])), 2),
        reject_control_characters(&hostile(json!("\u{0}"))),
        reject_inexact_numbers(&hostile(json!(9007199254740993u64))),
    ] {
        assert_eq!(last(found), (3, "more_violations".to_owned(), "and 99998 more".to_owned()));
    }
    let fields: serde_json::Map<String, Value> =
        (0..3000).map(|n| (format!("f{n}"), json!("\u{0}"))).collect();
    let mut value = with_metadata(json!({ "name": "x" }));
    value.as_object_mut().unwrap().extend(fields);
    // Unknown, and with a control character each.
    assert_eq!(
        last(refused(value)),
        (VIOLATIONS_MAX + 1, "more_violations".to_owned(), "and 5000 more".to_owned())
    );
}

#[test]
fn the_schema_of_a_document() {
    insta::assert_json_snapshot!(schemars::schema_for!(Document));
}
