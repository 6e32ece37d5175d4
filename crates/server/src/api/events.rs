//! The events of a scope, as pages or as a stream that resumes without gap or repeat.

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use qd_kernel::{
    Kernel,
    access::sight::Sight,
    context::Scope,
    events::{Event, EventFilter},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stream::{self, Topics};
use crate::{
    http::{caller::Caller, problem::Problem, query::Params, sse},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct EventsQuery {
    /// Events after this position.
    pub after: Option<i64>,
    /// The newest events before this position; 0 means from the end.
    pub before: Option<i64>,
    /// 1 to 500; 100 without.
    pub limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct EventList {
    /// Oldest first.
    pub items: Vec<Event>,
    /// Where to read on.
    pub after: i64,
}

pub async fn page_of_events(
    kernel: &Kernel,
    scope: Scope,
    (filter, sight): (EventFilter, Sight),
    query: &EventsQuery,
) -> Result<Json<EventList>, Problem> {
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let after = query.after.unwrap_or(0);
    let items = match query.before {
        Some(before) => {
            kernel.events_before(scope, filter, sight, Some(before).filter(|b| *b > 0), limit).await?
        }
        None => kernel.events_seen_after(scope, filter, sight, after, limit).await?,
    };
    let after = items.last().map_or(after, |event| event.pos);
    Ok(Json(EventList { items, after }))
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Params(query): Params<EventsQuery>,
) -> Result<Response, Problem> {
    let sight = caller.sight(&app, "events.list").await?;
    if !sse::wanted(&headers) {
        let seen = (EventFilter { unseen: caller.unseen(), ..EventFilter::default() }, sight);
        return Ok(page_of_events(&app.kernel, caller.scope(), seen, &query).await?.into_response());
    }
    let resumed = sse::last_event_id(&headers).and_then(|id| id.parse().ok());
    let topics = Topics::events(&app, resumed.or(query.after)).await?;
    Ok(stream::respond(app, caller, topics))
}
