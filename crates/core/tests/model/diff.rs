use proptest::prelude::*;
use qd_core::diff::{Change, ChangeOp, apply, diff, same};
use serde_json::{Value, json};

use crate::json;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn applying_a_diff_gives_the_other_side((before, after) in json::pair()) {
        let changes = diff(&before, &after);
        let applied = apply(&before, &changes).unwrap();
        prop_assert!(same(&applied, &after), "{changes:#?}");
    }

    /// Read on the wire, a change is still the same change.
    #[test]
    fn changes_survive_the_wire((before, after) in json::pair()) {
        let changes = diff(&before, &after);
        let read: Vec<Change> = serde_json::from_str(&serde_json::to_string(&changes).unwrap()).unwrap();
        prop_assert_eq!(read, changes);
    }

    #[test]
    fn a_diff_is_empty_exactly_between_same_values((before, after) in json::pair()) {
        prop_assert_eq!(diff(&before, &after).is_empty(), same(&before, &after));
        prop_assert!(diff(&before, &json::reversed(&before)).is_empty());
    }

    #[test]
    fn a_diff_does_not_depend_on_key_order((before, after) in json::pair()) {
        let turned = diff(&json::reversed(&before), &json::reversed(&after));
        let places = |changes: &[Change]| -> Vec<(String, ChangeOp)> {
            changes.iter().map(|change| (change.pointer.clone(), change.op)).collect()
        };
        prop_assert_eq!(places(&turned), places(&diff(&before, &after)));
    }
}

fn stages(ids: &[&str]) -> Value {
    json!({ "stages": ids.iter().map(|id| json!({ "id": id, "workers": 1 })).collect::<Vec<_>>() })
}

fn read(before: &Value, after: &Value) -> Vec<String> {
    diff(before, after).iter().map(|change| serde_json::to_string(change).unwrap()).collect()
}

#[test]
fn a_spec_diff_reads_well() {
    let before = json!({
        "execution_mode": "batch",
        "params": { "threshold": 0.8 },
        "stages": [
            { "id": "load", "uses": "curate:Load" },
            { "id": "filter", "uses": "curate:Filter", "params": { "threshold": 0.8 } },
            { "id": "write", "uses": "curate:Write" },
        ],
        "runtime": { "requirements": ["numpy==2.0.0", "pillow==11.0.0"], "env": { "a/b": "1" } },
    });
    let after = json!({
        "execution_mode": "streaming",
        "params": { "threshold": null },
        "stages": [
            { "id": "load", "uses": "curate:Load" },
            { "id": "dedupe", "uses": "curate:Dedupe" },
            { "id": "filter", "uses": "curate:Filter", "params": { "threshold": 0.9 } },
            { "id": "write", "uses": "curate:Write", "workers": 2 },
        ],
        "runtime": { "requirements": ["numpy==2.1.0"], "env": {} },
    });
    insta::assert_snapshot!(read(&before, &after).join("\n"));
}

#[test]
fn elements_are_matched_by_their_id() {
    let before = stages(&["a", "b", "c", "d"]);
    assert_eq!(
        read(&before, &stages(&["a", "x", "b", "c", "d"])),
        [r#"{"pointer":"/stages/1","op":"add","after":{"id":"x","workers":1}}"#]
    );
    assert_eq!(
        read(&before, &stages(&["b", "c", "d"])),
        [r#"{"pointer":"/stages/0","op":"remove","before":{"id":"a","workers":1}}"#]
    );
    // One element moved is one removed and added, whatever it jumped over.
    assert_eq!(
        read(&before, &stages(&["d", "a", "b", "c"])),
        [
            r#"{"pointer":"/stages/3","op":"remove","before":{"id":"d","workers":1}}"#,
            r#"{"pointer":"/stages/0","op":"add","after":{"id":"d","workers":1}}"#,
        ]
    );
}

#[test]
fn elements_without_a_unique_id_are_matched_by_name_or_index() {
    let twice = |second: u8| json!([{ "id": "a", "n": 1 }, { "id": "a", "n": second }]);
    assert_eq!(read(&twice(1), &twice(2)), [r#"{"pointer":"/1/n","op":"replace","before":1,"after":2}"#]);
    let named = json!([{ "id": 1, "name": "a" }, { "id": 1, "name": "b" }]);
    let shorter = json!([{ "id": 1, "name": "b" }]);
    assert_eq!(read(&named, &shorter), [r#"{"pointer":"/0","op":"remove","before":{"id":1,"name":"a"}}"#]);
}

#[test]
fn the_spelling_of_a_number_is_no_difference() {
    assert!(diff(&json!({ "n": 1, "z": 0.0 }), &json!({ "n": 1.0, "z": -0.0 })).is_empty());
    assert_eq!(diff(&json!(9007199254740993u64), &json!(9007199254740992u64)).len(), 1);
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let value = json!({ "list": [1, 2], "text": "a" });
    let refused = [
        Change::replace("/text", json!("b"), json!("c")),
        Change::replace("/missing", json!(1), json!(2)),
        Change::remove("/list/2", json!(3)),
        Change::remove("/list/0", json!(2)),
        Change::remove("/list/00", json!(1)),
        Change::add("/list/3", json!(4)),
        Change::add("/list/-", json!(4)),
        Change::add("/text", json!("b")),
        Change::add("/text/0", json!("b")),
        Change::add("text", json!("b")),
        Change::add("/new/~2", json!("b")),
        Change::remove("", value.clone()),
    ];
    for change in refused {
        assert_eq!(
            apply(&value, std::slice::from_ref(&change)).unwrap_err().code,
            "change_does_not_apply",
            "{change:?}"
        );
    }
}

#[test]
fn below_a_long_key_a_change_is_said_as_a_whole() {
    let long = "k".repeat(1_000_000);
    let value = |last: u32| json!({ &long: (0..100_000).map(|n| json!([n, last])).collect::<Vec<_>>() });
    assert_eq!(diff(&value(1), &value(1)), []);
    let changes = diff(&value(1), &value(2));
    assert_eq!((changes.len(), changes[0].op), (1, ChangeOp::Replace));
    assert_eq!(apply(&value(1), &changes).unwrap(), value(2));
}
