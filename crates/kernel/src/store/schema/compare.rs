//! Two schemas held against each other, less a written list of differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{LogicalSchema, LogicalTable, LogicalType};

/// Something that the two schemas say differently; what one lacks is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `run.column.state`, `run.check`, `run.index.run_list`, …
    pub path: String,
    pub left: Option<String>,
    pub right: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "{}: {} against {}", self.path, side(&self.left), side(&self.right))
    }
}

impl LogicalSchema {
    /// What differs from `other`, less what `allowed` names: paths, or their beginnings followed by `*`, each with the
    /// reason. An allowance that nothing needs is itself reported, so that the list cannot outlive its reasons.
    pub fn differences(&self, other: &Self, allowed: &[(&str, &str)]) -> Vec<Difference> {
        let (left, right) = (self.flat(other), other.flat(self));
        let paths: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        let mut differences = Vec::new();
        let mut used = BTreeSet::new();
        for path in paths {
            let (left, right) = (left.get(path).cloned(), right.get(path).cloned());
            if left == right {
                continue;
            }
            let fits = |(pattern, _): &&(&str, &str)| match pattern.strip_suffix('*') {
                Some(beginning) => path.starts_with(beginning),
                None => path == pattern,
            };
            match allowed.iter().find(fits) {
                Some((pattern, _)) => {
                    used.insert(*pattern);
                }
                None => differences.push(Difference { path: path.clone(), left, right }),
            }
        }
        for (pattern, reason) in allowed.iter().filter(|(pattern, _)| !used.contains(pattern)) {
            let left = Some(format!("an allowed difference ({reason})"));
            differences.push(Difference { path: (*pattern).to_owned(), left, right: None });
        }
        differences
    }

    /// Every statement of the schema under a path of its own.
    fn flat(&self, other: &Self) -> BTreeMap<String, String> {
        let mut flat = BTreeMap::new();
        for (name, table) in &self.tables {
            flat.insert(name.clone(), "a table".into());
            for (column, says) in &table.columns {
                let null = if says.not_null { "not null" } else { "null" };
                let default =
                    says.default.as_deref().map(|default| format!(" default {default}")).unwrap_or_default();
                flat.insert(
                    format!("{name}.column.{column}"),
                    format!("{} {null}{default}", says.kind.storage()),
                );
            }
            flat.insert(format!("{name}.primary_key"), table.primary_key.join(","));
            for columns in &table.unique {
                flat.insert(format!("{name}.unique.{}", columns.join(",")), "unique".into());
            }
            for check in table.checks.iter().filter(|check| !stands_for_a_type(check, other.tables.get(name)))
            {
                flat.insert(format!("{name}.check.{check}"), "a check".into());
            }
            for key in &table.foreign_keys {
                let path = format!("{name}.foreign_key.{}", key.columns.join(","));
                let referred = key.referred.join(",");
                let says = format!("{}({referred}) {} {}", key.table, key.on_delete, key.on_update);
                flat.insert(path, says);
            }
            for (index, says) in &table.indexes {
                let unique = if says.unique { "unique " } else { "" };
                let predicate = says.predicate.as_deref().unwrap_or("all");
                let text = format!("{unique}{} where {predicate}", says.columns.join(","));
                flat.insert(format!("{name}.index.{index}"), text);
            }
        }
        flat
    }
}

/// SQLite's `b IN (0, 1)` says what Postgres' boolean says, and `length(u) = 16` what uuid says.
fn stands_for_a_type(check: &str, other: Option<&LogicalTable>) -> bool {
    let Some(other) = other else { return false };
    let words: BTreeSet<&str> = check.split(' ').collect();
    other.columns.iter().any(|(name, column)| {
        let fixed: &[&str] = match column.kind {
            LogicalType::Bool => &["0", "1", "="],
            LogicalType::Uuid => &["length", "16", "="],
            _ => return false,
        };
        words == fixed.iter().copied().chain([name.as_str()]).collect()
    })
}
