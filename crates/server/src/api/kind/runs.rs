//! The runs of a resource: list and start.

use axum::{Json, extract::State, response::Response};
use qd_core::state::RunState;
use qd_kernel::{
    access::objects::On,
    page::Page,
    runs::{Run, RunFilter, start_request},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::resource::PageText;
use crate::{
    api::jobs::accepted,
    http::{
        body::Body,
        caller::Caller,
        condition::MaybeKey,
        dry_run::{DryRun, preview},
        path::Path,
        problem::Problem,
        query::Params,
    },
    state::KindApp,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct RunsQuery {
    #[serde(flatten)]
    pub page: PageText,
    pub state: Option<RunState>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// What the spec's `params` ask for; defaults are filled in.
    #[serde(default = "no_params")]
    pub params: Value,
    /// The published revision where absent.
    pub revision: Option<i64>,
}

fn no_params() -> Value {
    json!({})
}

pub async fn list(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
    Params(query): Params<RunsQuery>,
) -> Result<Json<Page<Run>>, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    let kernel = &kind.app.kernel;
    let resource = kernel.resource_get(caller.scope(), info.kind, &name).await?;
    let filter = RunFilter { resource_id: Some(resource.id), state: query.state, ..RunFilter::default() };
    Ok(Json(kernel.run_list(caller.scope(), filter, query.page.page()?).await?))
}

pub async fn start(
    State(kind): State<KindApp>,
    caller: Caller,
    key: MaybeKey,
    Path(name): Path<String>,
    Params(query): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let (kernel, of) = (&kind.app.kernel, &*kind.kind);
    let StartBody { params, revision } = body.json()?;
    if query.dry_run {
        return preview(kernel, &caller, start_request(of, &name, params, revision)?).await;
    }
    let key = key.with_body(&body.bytes)?;
    let (job, run) = kernel.run_start(&caller.context, of, &name, params, revision, key).await?;
    Ok(accepted(job, Some(run)))
}
