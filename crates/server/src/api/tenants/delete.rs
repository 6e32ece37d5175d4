//! Deleting a tenant or a project: a job, or the plan of it.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use qd_kernel::tenants::delete::Deletion;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    api::jobs::accepted,
    http::{
        body::Body,
        caller::{PlatformCaller, TenantCaller},
        condition::MaybeKey,
        dry_run::DryRun,
        path::Path,
        problem::Problem,
        query::Params,
    },
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeletionBody {
    /// The name once more; not wanted by a dry run.
    pub confirm: String,
    /// Why; not wanted by a dry run.
    pub reason: String,
}

pub async fn tenant(
    State(app): State<App>,
    caller: PlatformCaller,
    key: MaybeKey,
    Path(name): Path<String>,
    Params(DryRun { dry_run }): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    caller.may("tenants.delete")?;
    let DeletionBody { confirm, reason } = body.json()?;
    if dry_run {
        let (context, request) = app.kernel.tenant_delete_request(&caller.context, &name, &reason).await?;
        return Ok(Json(app.kernel.change_preview(&context, &request).await?).into_response());
    }
    let key = key.with_body(&body.bytes)?;
    let asked = Deletion { name, confirm, reason };
    Ok(accepted(app.kernel.tenant_delete(&caller.context, asked, key).await?, None))
}

pub async fn project(
    State(app): State<App>,
    caller: TenantCaller,
    key: MaybeKey,
    Path(name): Path<String>,
    Params(DryRun { dry_run }): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    caller.may("projects.delete")?;
    let DeletionBody { confirm, reason } = body.json()?;
    if dry_run {
        let (context, request) = app.kernel.project_delete_request(&caller.context, &name, &reason).await?;
        return Ok(Json(app.kernel.change_preview(&context, &request).await?).into_response());
    }
    let key = key.with_body(&body.bytes)?;
    let asked = Deletion { name, confirm, reason };
    Ok(accepted(app.kernel.project_delete(&caller.context, asked, key).await?, None))
}
