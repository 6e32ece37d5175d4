//! The working copy: read, save, validate.

use axum::{Json, extract::State, response::IntoResponse};
use qd_core::violation::Violation;
use qd_kernel::access::objects::On;
use qd_kernel::resources::WorkingCopy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    http::{
        body::Body,
        caller::Caller,
        condition::{IfMatch, Tagged},
        path::Path,
        problem::Problem,
    },
    state::KindApp,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutBody {
    pub spec: Value,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateBody {
    /// The working copy's spec where absent.
    pub spec: Option<Value>,
}

/// What is wrong; empty when a revision can be cut.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Validation {
    pub violations: Vec<Violation>,
}

pub async fn get(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    let copy: WorkingCopy = kind.app.kernel.working_copy_get(caller.scope(), info.kind, &name).await?;
    Ok(Tagged(copy.version, Json(copy)))
}

pub async fn put(
    State(kind): State<KindApp>,
    caller: Caller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let PutBody { spec } = serde_json::from_value(body.value()?)
        .map_err(|error| qd_core::error::Error::malformed("bad_body", error.to_string()))?;
    let copy = kind.app.kernel.working_copy_put(&caller.context, &*kind.kind, &name, version, spec).await?;
    Ok(Tagged(copy.version, Json(copy)))
}

pub async fn validate(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Validation>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.validate", info.plural), On::resource(info.kind, &name)).await?;
    let body: ValidateBody = body.json()?;
    let kernel = &kind.app.kernel;
    let spec = match body.spec {
        Some(spec) => spec,
        None => kernel.working_copy_get(caller.scope(), info.kind, &name).await?.spec,
    };
    let violations = kernel
        .spec_prepare(&*kind.kind, &spec, &kernel.spec_view(caller.scope()))
        .await?
        .err()
        .unwrap_or_default();
    Ok(Json(Validation { violations }))
}
