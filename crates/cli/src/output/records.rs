//! Lists of the server's records whose columns are members of theirs, for the verbs that need no more than that.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::format::{self, Format};
use crate::output::table::{Cell, Table};
use crate::verbs::get::List;

/// A header and the member under it; `state` is coloured by its meaning.
pub type Column = (&'static str, &'static str);

/// Prints the list; `name` is the member that `-o name` shows, behind `noun/`.
pub fn print(
    invocation: &Invocation,
    list: &List,
    (noun, name): (&str, &str),
    columns: &[Column],
    output: Format,
) -> Result<(), Failure> {
    let out = &invocation.out;
    match output {
        Format::Json => out.data(&format::json(&json!({ "items": list.items }))?)?,
        Format::Yaml => out.data(&format::yaml(&json!({ "items": list.items }))?)?,
        Format::Name => {
            let lines: String =
                list.items.iter().map(|item| format!("{noun}/{}\n", text(item, name))).collect();
            out.data(&lines)?;
        }
        Format::Table | Format::Wide => {
            let table = table(&list.items, columns);
            if table.is_empty() {
                out.note(&format!("no {noun}"));
            } else {
                out.data(&table.render(out.paint()))?;
            }
        }
    }
    if list.more {
        out.note("there is more: --limit says how many are shown, 0 shows all");
    }
    Ok(())
}

fn table(items: &[Value], columns: &[Column]) -> Table {
    let headers: Vec<&str> = columns.iter().map(|(header, _)| *header).collect();
    let mut table = Table::new(&headers);
    for item in items {
        table.row(columns.iter().map(|(_, member)| match *member {
            "state" => Cell::state(text(item, member)),
            _ => Cell::from(text(item, member)),
        }));
    }
    table
}

/// A member for a person; `allows` and the like are lists of words.
pub fn text(item: &Value, member: &str) -> String {
    match item.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::paint::Paint;

    #[test]
    fn members_are_laid_out_under_their_headers() {
        let items = [
            json!({ "name": "ann", "state": "active", "has_password": true, "allows": ["read", "jobs.*"] }),
            json!({ "name": "robot", "state": "suspended", "has_password": false, "allows": null }),
        ];
        let columns =
            [("NAME", "name"), ("STATE", "state"), ("PASSWORD", "has_password"), ("ALLOWS", "allows")];
        insta::assert_snapshot!(table(&items, &columns).render(Paint::plain()), @r"
        NAME    STATE       PASSWORD   ALLOWS
        ann     active      yes        read,jobs.*
        robot   suspended   no         -
        ");
    }
}
