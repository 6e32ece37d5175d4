//! Parameters of a run: `-p key=value` and `--params-file`.
//!
//! A value is JSON when it reads as JSON, else text; where the pipeline's own schema says that a parameter is a
//! string, it stays text as typed (`-p tag=2024`). Whether the values fit is the server's to say.

use std::path::Path;

use serde_json::{Map, Value};

use crate::failure::Failure;

/// Splits one `key=value`; for clap.
pub fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write key=value".into()),
    }
}

/// The parameters of the file, overridden by the pairs. `schema` is the pipeline's `params`, when known.
pub fn collect(
    file: Option<Map<String, Value>>,
    pairs: &[(String, String)],
    schema: Option<&Value>,
) -> Map<String, Value> {
    let mut params = file.unwrap_or_default();
    for (key, raw) in pairs {
        params.insert(key.clone(), value_of(key, raw, schema));
    }
    params
}

fn value_of(key: &str, raw: &str, schema: Option<&Value>) -> Value {
    let wants_text = schema.and_then(|schema| schema.get("properties")?.get(key)?.get("type"))
        == Some(&Value::from("string"));
    match serde_json::from_str::<Value>(raw) {
        Ok(Value::String(text)) => Value::String(text),
        Ok(value) if !wants_text => value,
        _ => Value::String(raw.to_owned()),
    }
}

/// Reads a YAML or JSON file that holds one mapping.
pub fn read_file(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::local(format!("read the parameters {}: {error}", path.display())))?;
    parse_text(&text).map_err(|(place, what)| Failure::local(format!("{}{place}: {what}", path.display())))
}

fn parse_text(text: &str) -> Result<Map<String, Value>, (String, String)> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        (place, error.without_snippet().to_string())
    })?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err((":1:1".into(), "parameters are a mapping of names to values".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_keep_their_types() {
        let pairs: Vec<_> = [
            "n=5",
            "f=0.5",
            "b=true",
            "s=hello",
            "q=\"5\"",
            "l=[1,2]",
            "e=",
            "eq=a=b",
            "tag=2024",
            "null=null",
        ]
        .iter()
        .map(|text| parse_pair(text).unwrap())
        .collect();
        let schema =
            json!({"type": "object", "properties": {"tag": {"type": "string"}, "n": {"type": "integer"}}});
        assert_eq!(
            Value::Object(collect(None, &pairs, Some(&schema))),
            json!({"n": 5, "f": 0.5, "b": true, "s": "hello", "q": "5", "l": [1, 2], "e": "", "eq": "a=b", "tag": "2024", "null": null})
        );
    }

    #[test]
    fn a_pair_overrides_the_file() {
        let file = parse_text("threshold: 0.5\nname: x\n").unwrap();
        let params = collect(Some(file), &[("threshold".into(), "0.9".into())], None);
        assert_eq!(Value::Object(params), json!({"threshold": 0.9, "name": "x"}));
    }

    #[test]
    fn a_bad_file_says_where() {
        let (place, _) = parse_text("a: 1\nb: [1,\n").unwrap_err();
        assert!(place.starts_with(":2") || place.starts_with(":3"), "{place}");
        assert_eq!(parse_text("[1]").unwrap_err().1, "parameters are a mapping of names to values");
        assert!(parse_pair("x").is_err() && parse_pair("=x").is_err());
    }
}
