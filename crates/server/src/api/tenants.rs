//! Tenants of the platform, the projects of one, and the quotas and exports of both.

pub mod delete;
pub mod export;
pub mod projects;
pub mod quotas;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use qd_kernel::{
    page::Page,
    tenants::admin::{Patch, TenantInfo, TenantState},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    http::{
        body::Body,
        caller::PlatformCaller,
        condition::{IfMatch, Tagged},
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::App,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedBody {
    pub name: String,
    #[serde(default)]
    pub display_name: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPatchBody {
    pub name: Option<String>,
    pub display_name: Option<String>,
    pub state: Option<TenantState>,
    /// Why; kept in the audit.
    #[serde(default)]
    pub reason: String,
}

/// Those that the caller may know of.
pub async fn list(
    State(app): State<App>,
    caller: PlatformCaller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<TenantInfo>>, Problem> {
    caller.within_limits("tenants.list")?;
    Ok(Json(app.kernel.tenant_list(&caller.identity, query.page()?).await?))
}

pub async fn create(
    State(app): State<App>,
    caller: PlatformCaller,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let NamedBody { name, display_name } = body.json()?;
    let tenant = app.kernel.tenant_create(&caller.context, &name, &display_name).await?;
    Ok((StatusCode::CREATED, Tagged(tenant.version, Json(tenant))))
}

pub async fn patch(
    State(app): State<App>,
    caller: PlatformCaller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let TenantPatchBody { name: new_name, display_name, state, reason } = body.json()?;
    let patch = Patch { name: new_name, display_name, state, reason, ..Patch::default() };
    let tenant = app.kernel.tenant_update(&caller.context, &name, version, patch).await?;
    Ok(Tagged(tenant.version, Json(tenant)))
}
