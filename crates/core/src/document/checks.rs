//! What no document may hold, whatever its kind.

use serde_json::Value;

use crate::violation::{Pointer, Violation};

/// A violation for each key and each string with a control character other than newline, carriage return and tab.
///
/// NUL cannot be stored by Postgres at all, and the others make terminals and logs lie.
pub fn reject_control_characters(value: &Value) -> Vec<Violation> {
    let mut violations = Vec::new();
    control_characters(value, &Pointer::root(), &mut violations);
    violations
}

/// A violation for each place where objects and arrays are nested deeper than `max`; the outermost is level 1.
pub fn depth_limit(value: &Value, max: usize) -> Vec<Violation> {
    let mut violations = Vec::new();
    too_deep(value, &Pointer::root(), max, max, &mut violations);
    violations
}

/// The violation for a control character in `text`, if it has one; `multiline` allows newline, return and tab.
pub(super) fn control_character(text: &str, multiline: bool, at: &Pointer, what: &str) -> Option<Violation> {
    let forbidden = |c: &char| c.is_control() && !(multiline && matches!(c, '\n' | '\r' | '\t'));
    let (index, found) = text.chars().enumerate().find(|(_, c)| forbidden(c))?;
    Some(Violation::new(
        at,
        "control_character",
        format!("{what} holds a control character, U+{:04X} at character {}", u32::from(found), index + 1),
    ))
}

fn control_characters(value: &Value, at: &Pointer, violations: &mut Vec<Violation>) {
    match value {
        Value::String(text) => violations.extend(control_character(text, true, at, "the text")),
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                control_characters(element, &at.index(index), violations);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let at = at.key(key);
                violations.extend(control_character(key, true, &at, "the key"));
                control_characters(member, &at, violations);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn too_deep(value: &Value, at: &Pointer, left: usize, max: usize, violations: &mut Vec<Violation>) {
    let children: Vec<(Pointer, &Value)> = match value {
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(i, child)| (at.index(i), child)).collect()
        }
        Value::Object(members) => members.iter().map(|(key, child)| (at.key(key), child)).collect(),
        _ => return,
    };
    if left == 0 {
        violations.push(Violation::new(at, "too_deep", format!("nested deeper than {max} levels")));
        return;
    }
    for (at, child) in children {
        too_deep(child, &at, left - 1, max, violations);
    }
}
