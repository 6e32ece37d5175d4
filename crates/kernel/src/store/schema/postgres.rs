//! The schema as Postgres' catalogue tells it: the tables of the current schema, partitions left out.

use super::expression::{default_of, mentions};
use super::{ForeignKey, LogicalColumn, LogicalIndex, LogicalSchema, LogicalType, split};
use crate::store::{StoreResult, Tx};

const COLUMNS: &str = "
SELECT CAST(c.relname AS text), CAST(a.attname AS text), format_type(a.atttypid, a.atttypmod), a.attnotnull,
  CASE WHEN a.attidentity <> '' THEN 'nextval()' ELSE pg_get_expr(d.adbin, d.adrelid) END
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition";

const CONSTRAINTS: &str = "
SELECT CAST(c.relname AS text), CAST(k.contype AS text), pg_get_constraintdef(k.oid),
  array_to_string(ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY u (n, o)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.o), ','),
  CAST(f.relname AS text),
  array_to_string(ARRAY(SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY u (n, o)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.o), ','),
  CAST(k.confdeltype AS text), CAST(k.confupdtype AS text)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_class f ON f.oid = k.confrelid
WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition";

const INDEXES: &str = "
SELECT CAST(c.relname AS text), CAST(x.relname AS text), i.indisunique,
  array_to_string(ARRAY(SELECT pg_get_indexdef(i.indexrelid, CAST(n AS integer), true)
    || CASE WHEN i.indoption[n - 1] & 1 = 1 THEN ' desc' ELSE '' END
    FROM generate_series(1, i.indnkeyatts) n ORDER BY n), ','),
  pg_get_expr(i.indpred, i.indrelid)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_class x ON x.oid = i.indexrelid
WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND NOT c.relispartition
  AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))";

pub(super) fn read(tx: &mut Tx<'_>) -> StoreResult<LogicalSchema> {
    let mut schema = LogicalSchema::default();
    let columns = tx.rows(COLUMNS, &[], |row| {
        let (table, column, kind) = (row.get::<String>(0)?, row.get::<String>(1)?, row.get::<String>(2)?);
        let default = row.get::<Option<String>>(4)?.as_deref().and_then(default_of);
        Ok((table, column, LogicalColumn { kind: logical(&kind), not_null: row.get(3)?, default }))
    })?;
    for (table, name, column) in columns {
        schema.tables.entry(table).or_default().columns.insert(name, column);
    }
    constraints(tx, &mut schema)?;
    let indexes = tx.rows(INDEXES, &[], |row| {
        let (table, name) = (row.get::<String>(0)?, row.get::<String>(1)?);
        let predicate = row.get::<Option<String>>(4)?.as_deref().map(mentions);
        Ok((
            table,
            name,
            LogicalIndex { unique: row.get(2)?, columns: split(&row.get::<String>(3)?), predicate },
        ))
    })?;
    for (table, name, index) in indexes {
        schema.tables.entry(table).or_default().indexes.insert(name, index);
    }
    Ok(schema)
}

fn constraints(tx: &mut Tx<'_>, schema: &mut LogicalSchema) -> StoreResult<()> {
    let constraints = tx.rows(CONSTRAINTS, &[], |row| {
        let key = ForeignKey {
            columns: split(&row.get::<String>(3)?),
            table: row.get::<Option<String>>(4)?.unwrap_or_default(),
            referred: split(&row.get::<String>(5)?),
            on_delete: action(&row.get::<String>(6)?),
            on_update: action(&row.get::<String>(7)?),
        };
        Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<String>(2)?, key))
    })?;
    for (table, kind, definition, key) in constraints {
        let table = schema.tables.entry(table).or_default();
        match kind.as_str() {
            "p" => table.primary_key = key.columns,
            "u" => {
                table.unique.insert(key.columns);
            }
            "f" => {
                table.foreign_keys.insert(key);
            }
            "c" => {
                table.checks.insert(mentions(definition.strip_prefix("CHECK").unwrap_or(&definition)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn action(letter: &str) -> String {
    let action = match letter.trim() {
        "c" => "cascade",
        "n" => "set null",
        "d" => "set default",
        "r" => "restrict",
        _ => "no action",
    };
    action.to_owned()
}

fn logical(kind: &str) -> LogicalType {
    match kind {
        "boolean" => LogicalType::Bool,
        "bigint" | "integer" | "smallint" => LogicalType::Integer,
        "double precision" => LogicalType::Real,
        "text" => LogicalType::Text,
        "bytea" => LogicalType::Bytes,
        "uuid" => LogicalType::Uuid,
        "json" | "jsonb" => LogicalType::Json,
        "timestamp with time zone" => LogicalType::Time,
        other => LogicalType::Other(other.to_owned()),
    }
}
