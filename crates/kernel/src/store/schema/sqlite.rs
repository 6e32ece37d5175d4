//! The schema as SQLite tells it. Checks and partial indexes it tells only as the text that made them.

use std::collections::BTreeMap;

use super::expression::{checks_of, default_of, predicate_of};
use super::{ForeignKey, LogicalColumn, LogicalIndex, LogicalSchema, LogicalTable, LogicalType};
use crate::params;
use crate::store::{StoreResult, Tx};

const TABLES: &str =
    "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'";
const COLUMNS: &str =
    "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info($1) ORDER BY pk, cid";
const INDEXES: &str = "SELECT l.name, l.\"unique\", l.origin, s.sql FROM pragma_index_list($1) l \
                       LEFT JOIN sqlite_schema s ON s.name = l.name";
const INDEX_COLUMNS: &str = "SELECT name, \"desc\" FROM pragma_index_xinfo($1) WHERE key = 1 ORDER BY seqno";
const FOREIGN_KEYS: &str = "SELECT id, \"table\", \"from\", \"to\", on_delete, on_update \
                            FROM pragma_foreign_key_list($1) ORDER BY id, seq";

pub(super) fn read(tx: &mut Tx<'_>) -> StoreResult<LogicalSchema> {
    let mut schema = LogicalSchema::default();
    for (name, sql) in tx.rows(TABLES, &[], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))? {
        let table = table(tx, &name, &sql)?;
        schema.tables.insert(name, table);
    }
    let keys: BTreeMap<String, Vec<String>> =
        schema.tables.iter().map(|(name, table)| (name.clone(), table.primary_key.clone())).collect();
    for table in schema.tables.values_mut() {
        table.foreign_keys = std::mem::take(&mut table.foreign_keys)
            .into_iter()
            .map(|mut key| {
                if key.referred.is_empty() {
                    key.referred = keys.get(&key.table).cloned().unwrap_or_default();
                }
                key
            })
            .collect();
    }
    Ok(schema)
}

fn table(tx: &mut Tx<'_>, name: &str, sql: &str) -> StoreResult<LogicalTable> {
    let mut table = LogicalTable { checks: checks_of(sql), ..LogicalTable::default() };
    let numbered = sql.to_uppercase().contains("AUTOINCREMENT");
    let columns = tx.rows(COLUMNS, params![name], |row| {
        let (column, kind) = (row.get::<String>(0)?, row.get::<String>(1)?);
        Ok((column, kind, row.get::<bool>(2)?, row.get::<Option<String>>(3)?, row.get::<i64>(4)?))
    })?;
    for (column, kind, not_null, default, key) in columns {
        if key > 0 {
            table.primary_key.push(column.clone());
        }
        let default =
            if key > 0 && numbered { Some("auto".into()) } else { default.as_deref().and_then(default_of) };
        // In a STRICT table the columns of a primary key are never null.
        let not_null = not_null || key > 0;
        table.columns.insert(column, LogicalColumn { kind: logical(&kind), not_null, default });
    }
    let indexes = tx.rows(INDEXES, params![name], |row| {
        Ok((row.get::<String>(0)?, row.get::<bool>(1)?, row.get::<String>(2)?, row.get::<Option<String>>(3)?))
    })?;
    for (index, unique, origin, sql) in indexes {
        let columns = tx.rows(INDEX_COLUMNS, params![index], |row| {
            let column = row.get::<Option<String>>(0)?.unwrap_or_else(|| "(expression)".into());
            Ok(if row.get::<bool>(1)? { format!("{column} desc") } else { column })
        })?;
        match origin.as_str() {
            "u" => {
                table.unique.insert(columns);
            }
            "c" => {
                let predicate = sql.as_deref().and_then(predicate_of);
                table.indexes.insert(index, LogicalIndex { unique, columns, predicate });
            }
            _ => {}
        }
    }
    table.foreign_keys = foreign_keys(tx, name)?.into_values().collect();
    Ok(table)
}

fn foreign_keys(tx: &mut Tx<'_>, name: &str) -> StoreResult<BTreeMap<i64, ForeignKey>> {
    let mut keys: BTreeMap<i64, ForeignKey> = BTreeMap::new();
    let rows = tx.rows(FOREIGN_KEYS, params![name], |row| {
        let (id, table, from) = (row.get::<i64>(0)?, row.get::<String>(1)?, row.get::<String>(2)?);
        let actions = (row.get::<String>(4)?.to_lowercase(), row.get::<String>(5)?.to_lowercase());
        Ok((id, table, from, row.get::<Option<String>>(3)?, actions))
    })?;
    for (id, table, from, to, (on_delete, on_update)) in rows {
        let empty = ForeignKey { columns: Vec::new(), table, referred: Vec::new(), on_delete, on_update };
        let key = keys.entry(id).or_insert(empty);
        key.columns.push(from);
        key.referred.extend(to);
    }
    Ok(keys)
}

fn logical(kind: &str) -> LogicalType {
    match kind.to_uppercase().as_str() {
        "INTEGER" | "INT" => LogicalType::Integer,
        "REAL" => LogicalType::Real,
        "TEXT" => LogicalType::Text,
        "BLOB" => LogicalType::Bytes,
        other => LogicalType::Other(other.to_lowercase()),
    }
}
