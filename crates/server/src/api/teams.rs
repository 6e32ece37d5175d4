//! The teams of a tenant, and who is in them.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use qd_kernel::{
    access::teams::{Team, TeamDetail},
    page::Page,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::tenants::NamedBody;
use crate::{
    http::{
        body::Body,
        caller::TenantCaller,
        condition::{IfMatch, Tagged},
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::App,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamPatchBody {
    pub display_name: Option<String>,
}

pub async fn list(
    State(app): State<App>,
    caller: TenantCaller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Team>>, Problem> {
    caller.may("teams.list")?;
    Ok(Json(app.kernel.team_list(caller.context.scope, query.page()?).await?))
}

pub async fn create(
    State(app): State<App>,
    caller: TenantCaller,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    caller.may("teams.create")?;
    let NamedBody { name, display_name } = body.json()?;
    let team = app.kernel.team_create(&caller.context, &name, &display_name).await?;
    Ok((StatusCode::CREATED, Tagged(team.version, Json(team))))
}

pub async fn get(
    State(app): State<App>,
    caller: TenantCaller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.may("teams.read")?;
    let team: TeamDetail = app.kernel.team_get(caller.context.scope, &name).await?;
    Ok(Tagged(team.team.version, Json(team)))
}

pub async fn patch(
    State(app): State<App>,
    caller: TenantCaller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let TeamPatchBody { display_name } = body.json()?;
    let team = app.kernel.team_update(&caller.context, &name, version, display_name).await?;
    Ok(Tagged(team.version, Json(team)))
}

pub async fn delete(
    State(app): State<App>,
    caller: TenantCaller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.kernel.team_delete(&caller.context, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn add(
    State(app): State<App>,
    caller: TenantCaller,
    Path((name, person)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.kernel.team_member_add(&caller.context, &name, &person).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn remove(
    State(app): State<App>,
    caller: TenantCaller,
    Path((name, person)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.kernel.team_member_remove(&caller.context, &name, &person).await?;
    Ok(StatusCode::NO_CONTENT)
}
