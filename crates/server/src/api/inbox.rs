//! What waits for the caller in the tenant, in all of its projects where he may decide.

use axum::{Json, extract::State};
use qd_kernel::{
    page::Page,
    reviews::{InboxCounts, InboxItem},
};

use crate::{
    http::{
        caller::TenantCaller,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::App,
};

pub async fn list(
    State(app): State<App>,
    caller: TenantCaller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<InboxItem>>, Problem> {
    caller.within_limits("own.read")?;
    Ok(Json(app.kernel.inbox(&caller.identity, caller.context.scope, query.page()?).await?))
}

pub async fn counts(State(app): State<App>, caller: TenantCaller) -> Result<Json<InboxCounts>, Problem> {
    caller.within_limits("own.read")?;
    Ok(Json(app.kernel.inbox_counts(&caller.identity, caller.context.scope).await?))
}
