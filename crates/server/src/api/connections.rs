//! What a connection has beyond the routes of its kind: its test.

use axum::{Json, extract::State};
use qd_kernel::connections::ConnectionReading;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    http::{body::Body, caller::Caller, path::Path, problem::Problem},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestBody {
    /// The published one without, or the newest where none is published.
    #[serde(default)]
    pub revision: Option<i64>,
}

/// 200 also where it does not work: `ok` and `detail` say so.
pub async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<ConnectionReading>, Problem> {
    let TestBody { revision } = body.json()?;
    Ok(Json(app.kernel.connection_test(&caller.context, &name, revision).await?))
}
