//! What a database's schema says, in words that both databases share, so that a test can hold the two equal.
//!
//! Read from the databases themselves, not from the migration files. Expressions (checks, partial indexes) are compared
//! by what they mention: columns, literals, operators and functions. Two different expressions over the same words are
//! taken for equal; that is enough to catch a value or a column that only one side has.

mod compare;
mod expression;
mod postgres;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};

pub use self::compare::Difference;
use super::{Backend, StoreResult, Tx};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogicalSchema {
    pub tables: BTreeMap<String, LogicalTable>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogicalTable {
    pub columns: BTreeMap<String, LogicalColumn>,
    /// In the key's order.
    pub primary_key: Vec<String>,
    /// Each in its constraint's order.
    pub unique: BTreeSet<Vec<String>>,
    /// What each check mentions.
    pub checks: BTreeSet<String>,
    pub foreign_keys: BTreeSet<ForeignKey>,
    /// Those made by CREATE INDEX, by name.
    pub indexes: BTreeMap<String, LogicalIndex>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalColumn {
    pub kind: LogicalType,
    pub not_null: bool,
    /// `auto` where the database numbers the rows.
    pub default: Option<String>,
}

/// As exactly as the database knows it: SQLite knows the last four alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogicalType {
    Bool,
    Time,
    Uuid,
    Json,
    Integer,
    Real,
    Text,
    Bytes,
    Other(String),
}

impl LogicalType {
    /// What SQLite stores it as.
    fn storage(&self) -> &str {
        match self {
            Self::Bool | Self::Time | Self::Integer => "integer",
            Self::Uuid | Self::Bytes => "bytes",
            Self::Json | Self::Text => "text",
            Self::Real => "real",
            Self::Other(name) => name,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    pub table: String,
    pub referred: Vec<String>,
    /// `no action`, `cascade`, `set null`, …
    pub on_delete: String,
    pub on_update: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalIndex {
    pub unique: bool,
    /// Column or expression, with ` desc` where it runs down.
    pub columns: Vec<String>,
    /// What the WHERE of a partial index mentions.
    pub predicate: Option<String>,
}

pub(super) fn read(tx: &mut Tx<'_>) -> StoreResult<LogicalSchema> {
    match tx.backend() {
        Backend::Sqlite => sqlite::read(tx),
        Backend::Postgres => postgres::read(tx),
    }
}

fn split(list: &str) -> Vec<String> {
    list.split(',').filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect()
}
