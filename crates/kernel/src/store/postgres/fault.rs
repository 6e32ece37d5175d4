//! What a Postgres error means: for the caller as a [`StoreError`], for the worker as a [`Fault`].

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use crate::store::StoreError;

/// Why a transaction failed, where running it again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is of no more use.
    Connection,
    /// A deadlock or a serialization failure (40P01, 40001).
    Conflict,
    /// A prepared statement no longer fits the schema, or the server forgot it.
    StalePlan,
}

pub(super) fn classify(error: &Error) -> (StoreError, Option<Fault>) {
    match error.as_db_error() {
        Some(error) => classify_answer(error),
        None => {
            let cause = error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
            let lost = error.is_closed() || error.source().is_some_and(|cause| cause.is::<io::Error>());
            // The driver does not tell its other kinds apart but by their words.
            if !lost && cause.starts_with("error serializing parameter") {
                return (StoreError::Refused(cause), None);
            }
            (StoreError::Unavailable(cause), Some(Fault::Connection))
        }
    }
}

fn classify_answer(error: &DbError) -> (StoreError, Option<Fault>) {
    let code = error.code().code();
    let text = format!("{} ({code})", error.message());
    let fatal = matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    match code {
        "53300" => (StoreError::Unavailable(text), Some(Fault::Connection)),
        _ if fatal || code.starts_with("08") || code.starts_with("57P") => {
            (StoreError::Unavailable(text), Some(Fault::Connection))
        }
        "40001" | "40P01" => (StoreError::Retry(text), Some(Fault::Conflict)),
        "26000" => (StoreError::Retry(text), Some(Fault::StalePlan)),
        "0A000" if error.message().contains("cached plan") => {
            (StoreError::Retry(text), Some(Fault::StalePlan))
        }
        "23505" => (StoreError::Unique { constraint: key_columns(error) }, None),
        "23503" => (StoreError::ForeignKey { constraint: constraint_name(error) }, None),
        "23502" => {
            let column = error.column().unwrap_or("?");
            let constraint = format!("{}({column}) not null", error.table().unwrap_or("?"));
            (StoreError::Check { constraint }, None)
        }
        _ if code.starts_with("23") => (StoreError::Check { constraint: constraint_name(error) }, None),
        "25006" => (StoreError::ReadOnly(text), None),
        "25P02" => (StoreError::Poisoned, None),
        "57014" | "55P03" => (StoreError::Timeout(text), None),
        _ if code.starts_with("53") => (StoreError::Full(text), None),
        _ => (StoreError::Other(text), None),
    }
}

fn constraint_name(error: &DbError) -> String {
    error.constraint().unwrap_or("unnamed").to_owned()
}

/// `Key (tenant_id, name)=(…) already exists.` of table `run` → `run(tenant_id,name)`, as SQLite names it. The values
/// stay out: they may be secret.
fn key_columns(error: &DbError) -> String {
    let columns = error.detail().and_then(|detail| detail.split_once('(')?.1.split_once(")=("));
    match (error.table(), columns) {
        (Some(table), Some((columns, _))) => format!("{table}({})", columns.replace(", ", ",")),
        _ => constraint_name(error),
    }
}
