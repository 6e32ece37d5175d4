//! A chain as a file: lines of JSON that are read and verified without this server.
//!
//! It is streamed as it is read. Where the database goes away midway the connection is cut, so that what arrived is not taken for
//! the whole; its verification says so too.

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::stream;
use qd_kernel::audit::export::AuditExport;
use schemars::JsonSchema;
use serde::Deserialize;

use super::whose;
use crate::{
    http::{caller::Caller, problem::Problem, query::Params},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ExportQuery {
    /// `tenant`, which it is without, `platform`, or `tenant:ID` for one that is gone.
    pub reach: Option<String>,
    /// The first record's number; without, the first that is kept.
    pub from: Option<i64>,
    /// The last record's number; without, the last that is sealed.
    pub to: Option<i64>,
}

pub async fn export(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<ExportQuery>,
) -> Result<Response, Problem> {
    let tenant = whose(&caller, query.reach.as_deref())?;
    let export = app.kernel.audit_export(tenant, query.from, query.to).await?;
    let name = tenant.map_or_else(|| "platform".to_owned(), |tenant| tenant.to_string());
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"audit-{name}.jsonl\"")),
    ];
    let lines = stream::unfold(Some(export), async |export: Option<AuditExport>| {
        let mut export = export?;
        match export.next().await {
            Ok(Some(lines)) => Some((Ok(lines), Some(export))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok((headers, Body::from_stream(lines)).into_response())
}
