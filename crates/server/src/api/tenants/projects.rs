//! The projects of a tenant.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use qd_kernel::{
    page::Page,
    reviews::{ApprovalFrom, ReviewMode},
    tenants::admin::{Patch, ProjectInfo},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::NamedBody;
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
pub struct ProjectPatchBody {
    pub name: Option<String>,
    pub display_name: Option<String>,
    /// What the project asks of a revision before it is published.
    pub review: Option<ReviewMode>,
    /// From which risk on its plans want a second person.
    pub approval_from: Option<ApprovalFrom>,
    /// Wanted with another review.
    #[serde(default)]
    pub reason: String,
}

/// Those that the caller holds anything in.
pub async fn list(
    State(app): State<App>,
    caller: TenantCaller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<ProjectInfo>>, Problem> {
    caller.within_limits("projects.list")?;
    let (scope, page) = (caller.context.scope, query.page()?);
    let seen = caller.identity.projects_in(scope.tenant_id);
    Ok(Json(app.kernel.project_list(scope, seen, page).await?))
}

pub async fn create(
    State(app): State<App>,
    caller: TenantCaller,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let NamedBody { name, display_name } = body.json()?;
    let project = app.kernel.project_create(&caller.context, &name, &display_name).await?;
    Ok((StatusCode::CREATED, Tagged(project.version, Json(project))))
}

pub async fn patch(
    State(app): State<App>,
    caller: TenantCaller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let ProjectPatchBody { name: new_name, display_name, review, approval_from, reason } = body.json()?;
    let patch = Patch { name: new_name, display_name, state: None, review, approval_from, reason };
    let project = app.kernel.project_update(&caller.context, &name, version, patch).await?;
    Ok(Tagged(project.version, Json(project)))
}
