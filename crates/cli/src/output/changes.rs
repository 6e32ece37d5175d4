//! Differences between two specs, for a person: one line a change, longer values below it.

use serde_json::Value;

use crate::client::shapes::Change;
use crate::output::clean_lines;
use crate::output::paint::Paint;

/// Values that fit are shown on the line of their pointer.
const SHORT: usize = 60;

pub fn render(changes: &[Change], paint: Paint) -> String {
    let width =
        changes.iter().filter(|change| fits(change)).map(|change| change.pointer.len()).max().unwrap_or(0);
    changes.iter().map(|change| one(change, width, paint)).collect()
}

fn one(change: &Change, width: usize, paint: Paint) -> String {
    let pointer = clean_lines(if change.pointer.is_empty() { "/" } else { &change.pointer });
    let sign = match change.op.as_str() {
        "add" => paint.good("+"),
        "remove" => paint.bad("-"),
        _ => paint.warn("~"),
    };
    if fits(change) {
        let values = match change.op.as_str() {
            "add" => paint.good(&inline(change.after.as_ref())),
            "remove" => paint.bad(&inline(change.before.as_ref())),
            _ => format!(
                "{} → {}",
                paint.bad(&inline(change.before.as_ref())),
                paint.good(&inline(change.after.as_ref()))
            ),
        };
        let line = format!("  {sign} {pointer:<width$}  {values}");
        return format!("{}\n", line.trim_end());
    }
    let mut text = format!("  {sign} {pointer}\n");
    if change.op != "add" {
        text.push_str(&block(change.before.as_ref(), "-", |line| paint.bad(line)));
    }
    if change.op != "remove" {
        text.push_str(&block(change.after.as_ref(), "+", |line| paint.good(line)));
    }
    text
}

fn fits(change: &Change) -> bool {
    let short = |value: &Option<Value>| {
        value.as_ref().is_none_or(|value| !has_lines(value) && value.to_string().len() <= SHORT)
    };
    short(&change.before) && short(&change.after)
}

fn has_lines(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\n'))
}

fn inline(value: Option<&Value>) -> String {
    value.map_or_else(String::new, Value::to_string)
}

fn block(value: Option<&Value>, sign: &str, tone: impl Fn(&str) -> String) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string()),
    };
    clean_lines(&text)
        .trim_end()
        .lines()
        .map(|line| format!("      {}\n", tone(&format!("{sign} {line}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_values_stand_in_line_and_long_ones_below() {
        let changes: Vec<Change> = serde_json::from_value(json!([
            {"pointer": "/spec/stages/1/params/threshold", "op": "replace", "before": 0.8, "after": 0.9},
            {"pointer": "/spec/runtime/env/KEY", "op": "add", "after": "x"},
            {"pointer": "/spec/graph", "op": "remove", "before": null},
            {"pointer": "/spec/stages/2", "op": "add", "after": {"id": "annotate", "uses": "curate.stages:Annotate", "params": {"language": "en", "limit": 10}}},
            {"pointer": "/metadata/description", "op": "replace", "before": "one\ntwo", "after": "one\nthree"},
        ]))
        .unwrap();
        insta::assert_snapshot!(render(&changes, Paint::plain()), @r#"
          ~ /spec/stages/1/params/threshold  0.8 → 0.9
          + /spec/runtime/env/KEY            "x"
          - /spec/graph
          + /spec/stages/2
              + id: annotate
              + uses: curate.stages:Annotate
              + params:
              +   language: en
              +   limit: 10
          ~ /metadata/description
              - one
              - two
              + one
              + three
        "#);
    }
}
