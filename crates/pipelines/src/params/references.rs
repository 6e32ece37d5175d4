//! `${params.<name>}` in strings: finding it, and putting values in.

use qd_core::error::clip;
use qd_core::suggest;
use qd_core::violation::{Pointer, Violation};
use serde_json::{Map, Value};

/// A place where a value is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The string that holds it.
    pub pointer: String,
    /// The parameter's name; or why it is no reference.
    pub name: Result<String, Violation>,
}

/// A string taken apart.
enum Piece<'a> {
    Text(&'a str),
    Param(&'a str),
    /// `${…` that is no reference.
    Bad(&'a str),
}

pub(super) fn is_param_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Every reference in the strings of `value`, which stands at `at`. Keys are not looked at.
#[must_use]
pub fn references(value: &Value, at: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    visit(value, at, &mut |text, at| {
        for piece in pieces(text) {
            match piece {
                Piece::Text(_) => {}
                Piece::Param(name) => {
                    found.push(Reference { pointer: at.to_owned(), name: Ok(name.to_owned()) });
                }
                Piece::Bad(text) => {
                    found.push(Reference { pointer: at.to_owned(), name: Err(bad(text, at)) })
                }
            }
        }
    });
    found
}

/// `value` with the values of `params` in place of references to them.
///
/// # Errors
/// A violation, under `at`, for each reference that cannot be followed.
pub fn substitute(value: &Value, params: &Map<String, Value>, at: &str) -> Result<Value, Vec<Violation>> {
    let mut violations = Vec::new();
    let result = put_in(value, params, at, &mut violations);
    if violations.is_empty() { Ok(result) } else { Err(violations) }
}

/// The violation for a reference to a parameter that does not exist.
pub(crate) fn unknown_param<'a>(at: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Violation {
    let hint = suggest::hint(name, known);
    Violation::new(at, "unknown_param", format!("there is no param {:?}{hint}", clip(name, 60)))
}

fn bad(text: &str, at: &str) -> Violation {
    let detail =
        format!("{:?} is no reference: write ${{params.<name>}}, or $${{ for a plain ${{", clip(text, 60));
    Violation::new(at, "invalid_reference", detail)
}

fn visit(value: &Value, at: &str, take: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => take(text, at),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, &format!("{at}/{index}"), take);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                visit(member, &format!("{at}{}", Pointer::root().key(key)), take);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn put_in(value: &Value, params: &Map<String, Value>, at: &str, violations: &mut Vec<Violation>) -> Value {
    match value {
        Value::String(text) => filled(text, params, at, violations),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| put_in(item, params, &format!("{at}/{index}"), violations))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| {
                let at = format!("{at}{}", Pointer::root().key(key));
                (key.clone(), put_in(member, params, &at, violations))
            })
            .collect::<Map<_, _>>()
            .into(),
        plain => plain.clone(),
    }
}

fn filled(text: &str, params: &Map<String, Value>, at: &str, violations: &mut Vec<Violation>) -> Value {
    let pieces = pieces(text);
    let value_of = |name: &str, violations: &mut Vec<Violation>| {
        let value = params.get(name);
        if value.is_none() {
            violations.push(unknown_param(at, name, params.keys().map(String::as_str)));
        }
        value
    };
    if let [Piece::Param(name)] = pieces.as_slice() {
        return value_of(name, violations).cloned().unwrap_or(Value::Null);
    }
    let mut result = String::with_capacity(text.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => result.push_str(text),
            Piece::Param(name) => match value_of(name, violations) {
                Some(Value::String(text)) => result.push_str(text),
                Some(other) => result.push_str(&other.to_string()),
                None => {}
            },
            Piece::Bad(text) => violations.push(bad(text, at)),
        }
    }
    Value::String(result)
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            // `$${`: the first sign says that the second and the brace are meant.
            pieces.push(Piece::Text(before));
            let (plain, after) = from.split_at(2);
            pieces.push(Piece::Text(plain));
            rest = after;
            continue;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let Some(end) = from.find('}') else {
            pieces.push(Piece::Bad(from));
            return pieces;
        };
        let (reference, after) = from.split_at(end + 1);
        let name = reference.strip_prefix("${params.").and_then(|name| name.strip_suffix('}'));
        pieces.push(match name {
            Some(name) if is_param_name(name) => Piece::Param(name),
            _ => Piece::Bad(reference),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn params() -> Map<String, Value> {
        json!({ "n": 3, "s": "text", "list": [1, "a"], "tricky": "${params.n}" }).as_object().unwrap().clone()
    }

    #[test]
    fn a_whole_string_keeps_the_type_and_a_longer_one_becomes_text() {
        let cases = [
            ("${params.n}", json!(3)),
            ("${params.list}", json!([1, "a"])),
            ("n=${params.n}, ${params.s}${params.list}", json!("n=3, text[1,\"a\"]")),
            (" ${params.n}", json!(" 3")),
            ("$${params.n}", json!("${params.n}")),
            ("$$${params.n}", json!("$${params.n}")),
            ("a $${ b ${params.s}", json!("a ${ b text")),
            ("${params.tricky}", json!("${params.n}")),
            ("costs 5$ {x} $x", json!("costs 5$ {x} $x")),
            ("", json!("")),
        ];
        for (text, wanted) in cases {
            assert_eq!(
                substitute(&json!({ "k": [text] }), &params(), "").unwrap(),
                json!({ "k": [wanted] }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_followed_is_told_with_its_place() {
        let value = json!({ "a/b": ["${params.nn}", "${env.X}", "x ${params.", "${params.1}"] });
        let told: Vec<(String, String)> = substitute(&value, &params(), "/stages/0")
            .unwrap_err()
            .into_iter()
            .map(|violation| (violation.pointer, violation.code))
            .collect();
        let at = |index: usize| format!("/stages/0/a~1b/{index}");
        assert_eq!(
            told,
            [
                (at(0), "unknown_param".to_owned()),
                (at(1), "invalid_reference".to_owned()),
                (at(2), "invalid_reference".to_owned()),
                (at(3), "invalid_reference".to_owned()),
            ]
        );
    }

    proptest! {
        /// What is escaped comes out as it was, whatever it was.
        #[test]
        fn escaped_text_survives(text in "[a${}p.]{0,24}") {
            // A `$` right before an escape would join it, so it is kept apart.
            prop_assume!(!text.contains("$${"));
            let escaped = text.replace("${", "$${");
            prop_assert_eq!(substitute(&json!(escaped), &params(), "").unwrap(), json!(text));
        }

        /// Substitution and the list of references agree, and no text makes either panic.
        #[test]
        fn references_tell_what_substitution_needs(text in "([a$ ]|\\$\\{params\\.[nsx]\\}|\\$\\{|\\})*") {
            let found = references(&json!(text), "");
            let known = |reference: &Reference| reference.name.as_ref().is_ok_and(|name| params().contains_key(name));
            let result = substitute(&json!(text), &params(), "");
            prop_assert_eq!(result.is_ok(), found.iter().all(known));
            if found.is_empty() && !text.contains("$${") {
                prop_assert_eq!(result.unwrap(), json!(text));
            }
        }

        #[test]
        fn an_exact_reference_is_the_value_itself(n in any::<i32>(), s in ".{0,12}", b in any::<bool>()) {
            let value = json!({ "n": n, "s": s, "b": [b] });
            let params = json!({ "x": value }).as_object().unwrap().clone();
            prop_assert_eq!(substitute(&json!("${params.x}"), &params, "").unwrap(), value);
        }
    }
}
