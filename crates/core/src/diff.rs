//! The structural difference of two JSON values, for a person to read and for `apply` to repeat.
//!
//! The changes are a sequence in the sense of RFC 6902 (JSON Patch): carried out one after the other they turn `before`
//! into `after`. Within one array the removals come first, from the back, then the additions, from the front, then
//! what changed inside. So the last index of a `remove` counts in the array before, and every other index in the arrays
//! after: what a person reads is never a place that exists only halfway.
//!
//! Elements of an array are matched by `id`, else by `name`, where every element on both sides is an object with a
//! string there that is unique on its side; else by index. A matched element that changed its place is removed and
//! added again (as few of them as possible), because the wire knows no `move`.
//!
//! Numbers are compared as the canonical form compares them: `1` and `1.0` are no difference. A type change, or a
//! change of a scalar, is a `replace`. Text is not compared by line: that is the reader's screen.

mod apply;
mod arrays;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::violation::Trail;

pub use apply::apply;

/// Below a pointer that is longer than about this many bytes a change is said as a whole: else a long key would be repeated
/// for each of the values below it.
const POINTER_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// RFC 6901; empty for the whole value.
    pub pointer: String,
    pub op: ChangeOp,
    /// Absent for `add`; `null` is a value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// Absent for `remove`; `null` is a value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ChangeOp {
    Add,
    Remove,
    Replace,
}

/// Keeps `null` apart from absent, which serde would make one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Change {
    pub fn add(pointer: impl Into<String>, after: Value) -> Self {
        Self { pointer: pointer.into(), op: ChangeOp::Add, before: None, after: Some(after) }
    }

    pub fn remove(pointer: impl Into<String>, before: Value) -> Self {
        Self { pointer: pointer.into(), op: ChangeOp::Remove, before: Some(before), after: None }
    }

    pub fn replace(pointer: impl Into<String>, before: Value, after: Value) -> Self {
        Self { pointer: pointer.into(), op: ChangeOp::Replace, before: Some(before), after: Some(after) }
    }
}

/// What turns `before` into `after`; empty exactly when they are [`same`]. Members in the order of their keys.
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&Trail::ROOT, before, after, &mut changes);
    changes
}

/// Equal as JSON: key order and the spelling of a number do not count.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Two integers exactly, else as doubles.
fn same_number(a: &Number, b: &Number) -> bool {
    a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
}

fn compare(at: &Trail<'_>, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    match (before, after) {
        _ if at.length() > POINTER_MAX => {
            if !same(before, after) {
                changes.push(Change::replace(at.pointer(), before.clone(), after.clone()));
            }
        }
        (Value::Object(before), Value::Object(after)) => {
            let mut keys: Vec<&String> =
                before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))).collect();
            keys.sort_unstable();
            for key in keys {
                match (before.get(key), after.get(key)) {
                    (Some(before), Some(after)) => compare(&at.key(key), before, after, changes),
                    (Some(before), None) => {
                        changes.push(Change::remove(at.key(key).pointer(), before.clone()))
                    }
                    (None, Some(after)) => changes.push(Change::add(at.key(key).pointer(), after.clone())),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => arrays::compare(at, before, after, changes),
        _ if same(before, after) => {}
        _ => changes.push(Change::replace(at.pointer(), before.clone(), after.clone())),
    }
}
