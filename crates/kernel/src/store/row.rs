//! One row of a result, from either database.

use rusqlite::types::ValueRef;

use super::{Column, StoreError, StoreResult, Value};

/// A row as [`Tx::rows`](super::Tx::rows) shows it. Columns are read by place: `SELECT *` is never written.
pub struct Row<'a>(pub(super) Source<'a>);

pub(super) enum Source<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// The value of column `index`, counted from 0.
    pub fn get<T: Column>(&self, index: usize) -> StoreResult<T> {
        T::column(self.value(index)?).map_err(|detail| StoreError::Decode { column: index, detail })
    }

    pub fn len(&self) -> usize {
        match self.0 {
            Source::Sqlite(row) => row.as_ref().column_count(),
            Source::Postgres(row) => row.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn value(&self, index: usize) -> StoreResult<Value<'_>> {
        let decode = |detail: String| StoreError::Decode { column: index, detail };
        match self.0 {
            Source::Sqlite(row) => {
                Ok(match row.get_ref(index).map_err(|error| decode(error.to_string()))? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(value) => Value::Int(value),
                    ValueRef::Real(value) => Value::Real(value),
                    ValueRef::Text(text) => Value::Text(
                        std::str::from_utf8(text).map_err(|error| decode(error.to_string()))?.into(),
                    ),
                    ValueRef::Blob(bytes) => Value::Bytes(bytes.into()),
                })
            }
            Source::Postgres(row) => {
                if index >= row.len() {
                    return Err(decode(format!("the row has {} columns", row.len())));
                }
                row.try_get::<_, Value<'_>>(index).map_err(|error| {
                    decode(std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))
                })
            }
        }
    }
}
