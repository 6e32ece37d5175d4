//! The quotas of a tenant and of its projects: each limit beside what is used.

use axum::{Json, extract::State, response::IntoResponse};
use qd_kernel::{
    context::Context,
    quotas::{Limits, Quotas},
};

use crate::{
    http::{
        body::Body,
        caller::{PlatformCaller, TenantCaller, let_in},
        condition::{IfMatch, Tagged},
        path::Path,
        problem::Problem,
    },
    state::App,
};

fn tagged(quotas: Quotas) -> impl IntoResponse {
    Tagged(quotas.version, Json(quotas))
}

/// For the platform's own, and for those who hold a role in the tenant.
pub async fn of_tenant(
    State(app): State<App>,
    caller: PlatformCaller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let named = app.kernel.scope_find(Some(&name), None).await?;
    let_in(&caller.identity, &named)?;
    let scope = named.scope.of_tenant();
    let context = Context { principal: caller.identity.principal(scope), scope, ..caller.context };
    Ok(tagged(app.kernel.tenant_quotas(&context, &named.tenant.name).await?))
}

pub async fn of_tenant_set(
    State(app): State<App>,
    caller: PlatformCaller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let limits: Limits = body.json()?;
    Ok(tagged(app.kernel.tenant_quotas_set(&caller.context, &name, version, limits).await?))
}

pub async fn of_project(
    State(app): State<App>,
    caller: TenantCaller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(tagged(app.kernel.project_quotas(&caller.context, &name).await?))
}

pub async fn of_project_set(
    State(app): State<App>,
    caller: TenantCaller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let limits: Limits = body.json()?;
    Ok(tagged(app.kernel.project_quotas_set(&caller.context, &name, version, limits).await?))
}
