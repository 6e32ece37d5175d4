//! Arbitrary JSON, of the shapes that documents have.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

/// Few keys, so that two values share some; with the ones that pointers escape and that arrays match by.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("id".to_owned()),
        Just("name".to_owned()),
        Just("a/b".to_owned()),
        Just("m~n".to_owned()),
        Just(String::new()),
        "[a-c]{1,2}",
        "\\PC{1,3}",
    ]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-3i64..3).prop_map(Number::from),
        // Where the canonical form of a float looks like an integer.
        (-1e21..1e21).prop_filter_map("finite", Number::from_f64),
        (-(1i64 << 53)..(1 << 53)).prop_map(Number::from),
        any::<f64>().prop_filter_map("finite", Number::from_f64),
        (-3i32..3).prop_filter_map("finite", |n| Number::from_f64(f64::from(n))),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        "[a-c]".prop_map(Value::String),
        any::<String>().prop_map(Value::String),
    ]
}

pub fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((key(), inner.clone()), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            elements("id", inner.clone()),
            elements("name", inner),
        ]
    })
}

/// A list of objects with a key to match by, which now and then stands there twice.
fn elements(key: &'static str, inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec(("[a-h]", inner), 0..7).prop_map(move |elements| {
        let element = |(name, inner)| json!({ key: name, "params": inner });
        elements.into_iter().map(element).collect()
    })
}

/// Two values, of which the second is often an edited copy of the first.
pub fn pair() -> impl Strategy<Value = (Value, Value)> {
    prop_oneof![
        (value(), value()),
        (value(), vec(any::<(u16, u8)>(), 1..8), value()).prop_map(|(before, edits, spare)| {
            let mut after = before.clone();
            for (place, how) in edits {
                edit(&mut after, usize::from(place), how, &spare);
            }
            (before, after)
        }),
    ]
}

fn edit(value: &mut Value, place: usize, how: u8, spare: &Value) {
    let (here, below) = (place % 7, place / 7);
    match value {
        Value::Array(list) if !list.is_empty() && how < 200 => {
            let (at, other) = (here % list.len(), below % list.len());
            match how % 4 {
                0 => list.swap(at, other),
                1 => drop(list.remove(at)),
                2 => list.insert(at, spare.clone()),
                _ => edit(&mut list[at], below, how, spare),
            }
        }
        Value::Object(members) if !members.is_empty() && how < 200 => {
            let key = members.keys().nth(here % members.len()).cloned().unwrap();
            match how % 4 {
                0 => drop(members.shift_remove(&key)),
                1 => drop(members.insert("c".to_owned(), spare.clone())),
                _ => edit(&mut members[&key], below, how, spare),
            }
        }
        other => *other = spare.clone(),
    }
}

/// The same value with the members of every object the other way round.
pub fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(reversed).collect(),
        Value::Object(members) => {
            let turned: Map<_, _> =
                members.iter().rev().map(|(key, member)| (key.clone(), reversed(member))).collect();
            Value::Object(turned)
        }
        other => other.clone(),
    }
}
