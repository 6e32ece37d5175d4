//! What a kind tells of an item beyond its records, laid out by its shape alone: a sentence, single values, lists, and lists of
//! objects as tables.

use serde_json::Value;

use crate::client::shapes::text_of;
use crate::output::clean_lines;
use crate::output::paint::Paint;
use crate::output::table::{Cell, Table};

/// Empty for a kind that tells nothing.
pub fn describe(status: &Value, paint: Paint) -> String {
    let Some(members) = status.as_object() else { return String::new() };
    let mut text = format!("\n{}\n", paint.bold("status"));
    if let Some(sentence) = members.get("sentence").and_then(Value::as_str) {
        text.push_str(&format!("{}.\n", clean_lines(sentence)));
    }
    let mut single = Table::new(&["", ""]);
    for (name, value) in members.iter().filter(|(name, value)| *name != "sentence" && !value.is_array()) {
        single.row([word(name).into(), text_of(value).into()]);
    }
    if !single.is_empty() {
        text.push_str(single.render(paint).trim_start_matches(char::is_whitespace));
    }
    for (name, items) in members.iter().filter_map(|(name, value)| Some((name, value.as_array()?))) {
        if items.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", paint.bold(&word(name))));
        match items.first() {
            Some(Value::Object(_)) => text.push_str(&table(items).render(paint)),
            _ => items.iter().for_each(|item| text.push_str(&format!("{}\n", clean_lines(&text_of(item))))),
        }
    }
    text
}

fn word(name: &str) -> String {
    name.replace('_', " ")
}

/// A column for each member that has a value in some row.
fn table(items: &[Value]) -> Table {
    let mut names: Vec<&str> = vec![];
    for (name, value) in items.iter().filter_map(Value::as_object).flatten() {
        if !value.is_null() && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let headers: Vec<String> = names.iter().map(|name| word(name).to_uppercase()).collect();
    let mut table = Table::new(&headers.iter().map(String::as_str).collect::<Vec<_>>());
    for item in items {
        table.row(names.iter().map(|name| cell(name, &item[*name])));
    }
    table
}

fn cell(name: &str, value: &Value) -> Cell {
    match (value["ref"].as_str(), value["state"].as_str()) {
        (Some(reference), Some(state)) => format!("{reference} {state}").into(),
        _ if matches!(name, "state" | "outcome") => Cell::state(text_of(value)),
        _ => text_of(value).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_laid_out_by_its_shape() {
        let status = json!({
            "sentence": "It fires next at 02:00:00 UTC; the last firing, due at 01:00:00 UTC, started curate#7, which is running",
            "paused": false,
            "next": ["2026-01-01T02:00:00.000000Z", "2026-01-01T03:00:00.000000Z"],
            "firings": [
                { "due_at": "2026-01-01T01:00:00.000000Z", "outcome": "started", "missed": 0, "code": null, "message": null,
                  "run": { "id": "r", "ref": "curate#7", "state": "running" } },
                { "due_at": "2026-01-01T00:00:00.000000Z", "outcome": "refused", "missed": 2, "code": "resource_archived",
                  "message": "curate is archived; restore it first", "run": null },
            ],
        });
        insta::assert_snapshot!(describe(&status, Paint::plain()));
        assert_eq!(describe(&Value::Null, Paint::plain()), "");
    }
}
