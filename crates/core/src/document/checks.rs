//! What no document may hold, whatever its kind.

use serde_json::Value;

use crate::violation::{Found, Pointer, Trail, Violation};

/// A violation for each key and each string with a control character other than newline, carriage return and tab; at most
/// [`VIOLATIONS_MAX`](crate::violation::VIOLATIONS_MAX).
///
/// NUL cannot be stored by Postgres at all, and the others make terminals and logs lie.
pub fn reject_control_characters(value: &Value) -> Vec<Violation> {
    let mut found = Found::default();
    control_characters(value, &Trail::ROOT, &mut found);
    found.into_vec()
}

/// A violation for each place where objects and arrays are nested deeper than `max`; the outermost is level 1. At most
/// [`VIOLATIONS_MAX`](crate::violation::VIOLATIONS_MAX).
pub fn depth_limit(value: &Value, max: usize) -> Vec<Violation> {
    let mut found = Found::default();
    too_deep(value, &Trail::ROOT, max, max, &mut found);
    found.into_vec()
}

/// The violation for a control character in `text`, if it has one; `multiline` allows newline, return and tab.
pub(super) fn control_character(text: &str, multiline: bool, at: &Pointer, what: &str) -> Option<Violation> {
    let (index, c) = first_control(text, multiline)?;
    Some(Violation::new(at, "control_character", control_detail(what, index, c)))
}

fn first_control(text: &str, multiline: bool) -> Option<(usize, char)> {
    let forbidden = |c: &char| c.is_control() && !(multiline && matches!(c, '\n' | '\r' | '\t'));
    text.chars().enumerate().find(|(_, c)| forbidden(c))
}

fn control_detail(what: &str, index: usize, c: char) -> String {
    format!("{what} holds a control character, U+{:04X} at character {}", u32::from(c), index + 1)
}

pub(super) fn control_characters(value: &Value, at: &Trail<'_>, found: &mut Found) {
    let check = |text: &str, at: &Trail<'_>, what: &str, found: &mut Found| {
        if let Some((index, c)) = first_control(text, true) {
            found.push(at, "control_character", || control_detail(what, index, c));
        }
    };
    if let Value::String(text) = value {
        check(text, at, "the text", found);
    }
    for (at, child) in at.children(value) {
        if let Some(key) = at.last_key() {
            check(key, &at, "the key", found);
        }
        control_characters(child, &at, found);
    }
}

fn too_deep(value: &Value, at: &Trail<'_>, left: usize, max: usize, found: &mut Found) {
    if !value.is_array() && !value.is_object() {
        return;
    }
    if left == 0 {
        found.push(at, "too_deep", || format!("nested deeper than {max} levels"));
        return;
    }
    for (at, child) in at.children(value) {
        too_deep(child, &at, left - 1, max, found);
    }
}
