//! A SELECT whose WHERE depends on what was asked for.

use uuid::Uuid;

use crate::store::{Backend, Param, Row, StoreResult, Tx};

/// SQL text under construction; each `?` of a pushed clause becomes the next `$n`.
pub(crate) struct Query {
    sql: String,
    args: Vec<Box<dyn Param + Send>>,
}

impl Query {
    pub(crate) fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), args: vec![] }
    }

    /// Adds a clause with one `?` for `arg`.
    pub(crate) fn push(&mut self, clause: &str, arg: impl Param + Send + 'static) -> &mut Self {
        self.push_boxed(clause, Box::new(arg))
    }

    pub(crate) fn push_boxed(&mut self, clause: &str, arg: Box<dyn Param + Send>) -> &mut Self {
        self.args.push(arg);
        self.sql.push_str(&clause.replacen('?', &format!("${}", self.args.len()), 1));
        self
    }

    /// Adds a condition: the column's id is one of these. One parameter whatever their number, so that the text stays the same.
    pub(crate) fn among(
        &mut self,
        backend: Backend,
        column: &str,
        ids: impl Iterator<Item = Uuid>,
    ) -> &mut Self {
        let ids: Vec<String> = ids.map(|id| id.simple().to_string()).collect();
        let list = match backend {
            Backend::Sqlite => "(SELECT unhex(value) FROM json_each(?))",
            Backend::Postgres => {
                "(SELECT CAST(e AS uuid) FROM json_array_elements_text(CAST(CAST(? AS text) AS json)) e)"
            }
        };
        self.push(&format!("{column} IN {list}"), serde_json::json!(ids).to_string())
    }

    /// Adds text without a parameter.
    pub(crate) fn text(&mut self, clause: &str) -> &mut Self {
        self.sql.push_str(clause);
        self
    }

    /// In the text, so that a plan that is kept knows that few rows are wanted.
    pub(crate) fn limit(&mut self, rows: i64) -> &mut Self {
        self.sql.push_str(&format!(" LIMIT {rows}"));
        self
    }

    pub(crate) fn rows<T>(
        &self,
        tx: &mut Tx<'_>,
        row: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let args: Vec<&dyn Param> = self.args.iter().map(|arg| &**arg as &dyn Param).collect();
        tx.rows(&self.sql, &args, row)
    }
}
