//! From text to values: JSON and YAML as people send them, with the same limits and the line of what is wrong.
//!
//! Both readers refuse what two readers may understand differently, and what grows: a key that stands twice, NUL, nesting
//! without end, aliases that unfold into gigabytes. What a document must look like is not looked at here.

use std::{cell::Cell, collections::HashSet, fmt};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::DEPTH_MAX;
use crate::{
    error::{Error, clip},
    violation::Violation,
};

/// Values in one text, aliases unfolded: as many as the longest text that is taken can hold.
const VALUES: usize = 1 << 20;
/// Nodes that one YAML text is parsed into.
const NODES: usize = 100_000;
/// Aliases and anchors of one YAML text.
const ALIASES: usize = 1_000;
/// What a key begins with that would have its text parsed in its place.
const RESERVED: &str = "$serde_json::private::";

/// One JSON value.
///
/// # Errors
/// `bad_json` with line and column.
pub fn json(bytes: &[u8]) -> Result<Value, Error> {
    match serde_json::from_slice::<Plain>(bytes) {
        Ok(Plain(value)) => Ok(value),
        Err(error) => Err(json_error(&error, "bad_json")),
    }
}

/// What is wrong with a JSON text, or with what stands in it (`bad_body`).
pub fn json_error(error: &serde_json::Error, data: &'static str) -> Error {
    let (line, column) =
        (u32::try_from(error.line()).unwrap_or(0), u32::try_from(error.column()).unwrap_or(0));
    let code = if error.is_data() { data } else { "bad_json" };
    let detail = error.to_string();
    let detail = detail.split(" at line ").next().unwrap_or(&detail).to_owned();
    let violation = Violation::new("", code, detail.clone()).at_line(line, column);
    Error::malformed(code, format!("line {line}, column {column}: {detail}")).with_violations(vec![violation])
}

/// Every document of a YAML stream that is not empty.
///
/// # Errors
/// `bad_yaml` with line and column.
pub fn yaml(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Error::malformed("bad_yaml", format!("the text is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    if let Some(at) = text.find('\0') {
        let line = u32::try_from(text[..at].matches('\n').count() + 1).unwrap_or(0);
        let violation =
            Violation::new("", "control_character", "the text holds a NUL character").at_line(line, 1);
        return Err(Error::malformed("bad_yaml", format!("line {line}: the text holds a NUL character"))
            .with_violations(vec![violation]));
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_aliases: ALIASES, max_anchors: ALIASES, max_nodes: NODES },
    };
    let values: Vec<Option<Plain>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| yaml_error(&error))?;
    Ok(values.into_iter().flatten().map(|Plain(value)| value).collect())
}

fn yaml_error(error: &serde_saphyr::Error) -> Error {
    let detail = error.without_snippet().to_string();
    let Some(location) = error.location() else { return Error::malformed("bad_yaml", detail) };
    let (line, column) =
        (u32::try_from(location.line()).unwrap_or(0), u32::try_from(location.column()).unwrap_or(0));
    let violation = Violation::new("", "bad_yaml", detail.clone()).at_line(line, column);
    Error::malformed("bad_yaml", format!("line {line}, column {column}: {detail}"))
        .with_violations(vec![violation])
}

/// A value in which no key stands twice and nothing is read as anything but what it is.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let left = Cell::new(VALUES);
        Read { left: &left }.deserialize(deserializer).map(Self)
    }
}

/// Reads one value; `left` counts down over all of the text.
#[derive(Clone, Copy)]
struct Read<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Read<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| de::Error::custom(format!("more than {VALUES} values")))?);
        deserializer.deserialize_any(self)
    }
}

fn text<E: de::Error>(text: &str) -> Result<&str, E> {
    match text.contains('\0') {
        true => Err(E::custom("the text holds a NUL character")),
        false => Ok(text),
    }
}

impl<'de> Visitor<'de> for Read<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom("the number is too large to be kept"))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom("the number is too large to be kept"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        text(value).map(Value::from)
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        text(&value)?;
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = vec![];
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            text(&key)?;
            if key.starts_with(RESERVED) {
                return Err(de::Error::custom("a key has a name that is reserved"));
            }
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(format!("the key {:?} stands there twice", clip(&key, 60))));
            }
            members.insert(key, map.next_value_seed(self)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    fn both(text: &str) -> [Result<Value, Error>; 2] {
        let only = |mut values: Vec<Value>| values.pop().unwrap_or(Value::Null);
        [json(text.as_bytes()), yaml(text.as_bytes()).map(only)]
    }

    #[test]
    fn what_is_plain_reads_the_same_in_both() {
        let text = r#"{"a": [1, -2, 1.5, true, null, "é", {}], "b": {"c": 18446744073709551615}}"#;
        for read in both(text) {
            assert_eq!(read.unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
        assert_eq!(
            yaml(b"a: no\nb: true\n---\n---\nc: 1\n").unwrap(),
            [value!({ "a": "no", "b": true }), value!({ "c": 1 })]
        );
    }

    #[test]
    fn what_grows_or_has_two_meanings_is_refused() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let many = format!("[{}1]", "1,".repeat(VALUES));
        for (what, text) in [
            ("a key twice", r#"{"a": 1, "a": 2}"#),
            ("a key twice within", r#"{"a": {"b": [{"c": 1, "c": 1}]}}"#),
            ("a key twice by another spelling", "{\"a\": 1, \"\\u0061\": 2}"),
            ("NUL", r#"{"a": "x\u0000y"}"#),
            ("NUL in a key", r#"{"a\u0000": 1}"#),
            ("a number without end", r#"{"a": 1e999}"#),
            ("deep", deep(200).as_str()),
            ("many", many.as_str()),
            ("a text in a text", r#"{"a": {"$serde_json::private::RawValue": "[1]"}}"#),
            ("cut", r#"{"a": "#),
        ] {
            let [json, yaml] = both(text);
            assert_eq!(json.unwrap_err().code, "bad_json", "{what}");
            if what != "a number without end" {
                assert_eq!(yaml.unwrap_err().code, "bad_yaml", "{what}");
            }
        }
        assert_eq!(json(b"{\"a\": \"\xff\"}").unwrap_err().code, "bad_json");
        assert_eq!(yaml(b"a: \xff").unwrap_err().code, "bad_yaml");
        assert_eq!(yaml(b"a: \"x\0y\"").unwrap_err().violations[0].line, Some(1));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = level - 1;
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
        }
        assert_eq!(yaml(text.as_bytes()).unwrap_err().code, "bad_yaml");
    }

    #[test]
    fn an_error_names_its_place() {
        let error = json(b"{\n \"a\": 1,\n \"a\": 2\n}").unwrap_err();
        assert_eq!(error.violations[0].line, Some(3), "{error}");
        let error = yaml(b"a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.violations[0].line >= Some(2), "{error}");
    }
}
