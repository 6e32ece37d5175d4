//! Who holds which role: in a tenant and its projects, or everywhere.

use axum::{Json, extract::State, http::StatusCode};
use qd_kernel::{
    access::bindings::{Grant, Member},
    page::Page,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    http::{
        caller::{PlatformCaller, TenantCaller},
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::App,
};

/// A role is granted in the whole tenant where no project is named.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantQuery {
    /// The name of a project.
    pub project: Option<String>,
}

pub async fn list(
    State(app): State<App>,
    caller: TenantCaller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Member>>, Problem> {
    caller.may("members.list")?;
    Ok(Json(app.kernel.member_list(caller.context.scope, query.page()?).await?))
}

pub async fn grant(
    State(app): State<App>,
    caller: TenantCaller,
    Path((name, role)): Path<(String, String)>,
    Params(query): Params<GrantQuery>,
) -> Result<StatusCode, Problem> {
    let grant = Grant { principal: name, role, project: query.project };
    app.kernel.role_grant(&caller.context, grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn revoke(
    State(app): State<App>,
    caller: TenantCaller,
    Path((name, role)): Path<(String, String)>,
    Params(query): Params<GrantQuery>,
) -> Result<StatusCode, Problem> {
    let grant = Grant { principal: name, role, project: query.project };
    app.kernel.role_revoke(&caller.context, grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn platform_list(
    State(app): State<App>,
    caller: PlatformCaller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Member>>, Problem> {
    caller.may("members.list")?;
    Ok(Json(app.kernel.member_list(caller.context.scope, query.page()?).await?))
}

pub async fn platform_grant(
    State(app): State<App>,
    caller: PlatformCaller,
    Path((name, role)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.kernel.role_grant(&caller.context, Grant { principal: name, role, project: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn platform_revoke(
    State(app): State<App>,
    caller: PlatformCaller,
    Path((name, role)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.kernel.role_revoke(&caller.context, Grant { principal: name, role, project: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}
