//! What happened to a resource: its events and audit records.

use axum::{Json, extract::State};
use qd_kernel::{
    access::{objects::On, sight::Sight},
    audit::{AuditFilter, AuditRecord},
    events::EventFilter,
    page::Page,
};

use crate::{
    api::events::{EventList, EventsQuery, page_of_events},
    http::{
        caller::Caller,
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::KindApp,
};

pub async fn events(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
    Params(query): Params<EventsQuery>,
) -> Result<Json<EventList>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    let resource = kind.app.kernel.resource_get(caller.scope(), info.kind, &name).await?;
    let filter = EventFilter { resource_id: Some(resource.id), ..EventFilter::default() };
    page_of_events(&kind.app.kernel, caller.scope(), (filter, Sight::All), &query).await
}

pub async fn audit(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<AuditRecord>>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, "audit.read", On::resource(info.kind, &name)).await?;
    let resource = kind.app.kernel.resource_get(caller.scope(), info.kind, &name).await?;
    let filter = AuditFilter { object_id: Some(resource.id.uuid()), ..AuditFilter::default() };
    Ok(Json(kind.app.kernel.audit_list(caller.scope(), filter, query.page()?).await?))
}
