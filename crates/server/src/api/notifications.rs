//! What the caller is told of in the tenant.

use axum::{Json, extract::State};
use qd_kernel::{notifications::Notification, page::Page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    http::{
        body::Body,
        caller::TenantCaller,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct NotificationsQuery {
    /// 1 to 500; 50 without.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only those that were not read.
    #[serde(default)]
    pub unread: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadBody {
    /// All of one's own in the tenant where there are none; at most 500.
    #[serde(default)]
    pub ids: Vec<Uuid>,
}

/// How many were not read before.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadCount {
    pub read: u64,
}

pub async fn list(
    State(app): State<App>,
    caller: TenantCaller,
    Params(query): Params<NotificationsQuery>,
) -> Result<Json<Page<Notification>>, Problem> {
    caller.within_limits("own.read")?;
    let (scope, unread) = (caller.context.scope, query.unread);
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.page()?;
    Ok(Json(app.kernel.notification_list(&caller.identity, scope, unread, page).await?))
}

pub async fn read(
    State(app): State<App>,
    caller: TenantCaller,
    body: Body,
) -> Result<Json<ReadCount>, Problem> {
    let ReadBody { ids } = body.json()?;
    Ok(Json(ReadCount { read: app.kernel.notification_read(&caller.context, ids).await? }))
}
