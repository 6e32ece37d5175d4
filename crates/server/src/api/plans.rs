//! Plans: make one of a change, look at it, decide on it, apply it by id.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use qd_core::{document::Document, error::Error, id::PlanId, state::PlanState};
use qd_kernel::{
    Kernel,
    access::objects::On,
    apply::apply_request,
    changes::Request,
    context::Context,
    kind::Kind,
    operations::secret_rotate::{RotatedKey, rotate_request},
    page::Page,
    plans::{PlanFilter, PlanSummary, StoredPlan},
    revisions::{publish_request, rollback_request},
    runs::start_request,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{jobs::ReasonBody, kind::resource::PageText};
use crate::{
    http::{body::Body, caller::Caller, condition::Key, path::Path, problem::Problem, query::Params},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct PlansQuery {
    #[serde(flatten)]
    pub page: PageText,
    pub state: Option<PlanState>,
}

/// For a body of YAML documents, which are to be applied.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct PlanQuery {
    /// Of YAML documents: publishes what is new.
    #[serde(default)]
    pub publish: bool,
    /// Of YAML documents: why, for whoever reads the history.
    #[serde(default)]
    pub message: String,
}

/// A change that is to be planned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanBody {
    Apply {
        /// As in `POST /apply`.
        documents: Vec<Value>,
        /// Publishes what is new.
        #[serde(default)]
        publish: bool,
        #[serde(default)]
        message: String,
    },
    Publish {
        /// `Pipeline` or `pipelines`
        kind: String,
        name: String,
        /// The newest revision where absent.
        revision: Option<i64>,
        #[serde(default)]
        reason: String,
    },
    Rollback {
        kind: String,
        name: String,
        /// The revision whose spec is wanted back.
        to: i64,
        reason: String,
    },
    Run {
        kind: String,
        name: String,
        #[serde(default = "no_params")]
        params: Value,
        /// The published revision where absent.
        revision: Option<i64>,
    },
    Stop {
        /// An id or a reference (`curate#42`).
        run: String,
        #[serde(default)]
        reason: String,
    },
    Retry {
        /// An id or a reference (`curate#42`).
        run: String,
        #[serde(default)]
        reason: String,
    },
    /// Exchanges keys of secrets.
    Rotate {
        key: RotatedKey,
        #[serde(default)]
        reason: String,
    },
}

fn no_params() -> Value {
    json!({})
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    /// Of the plan that was looked at: an approval is given to its hash.
    pub hash: String,
    #[serde(default)]
    pub reason: String,
}

/// The reply to a plan that was applied.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanApplied {
    pub plan: StoredPlan,
    /// None where there was nothing for a job to do.
    pub job: Option<qd_kernel::jobs::Job>,
}

pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<PlanQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let request = if body.yaml {
        apply_request(body.documents()?, query.message, query.publish)
    } else if query.publish || !query.message.is_empty() {
        let detail = "publish and message are for YAML documents; in a JSON body they are members";
        return Err(Problem(Error::malformed("bad_query", detail)));
    } else {
        request_of(&app.kernel, &caller.context, body.json()?).await?
    };
    created(&app.kernel, &caller.context, request).await
}

/// 201 with the plan's address.
pub async fn created(kernel: &Kernel, context: &Context, request: Request) -> Result<Response, Problem> {
    let plan = kernel.plan_create(context, request).await?;
    let location = format!("/api/v1/plans/{}", plan.id);
    Ok((StatusCode::CREATED, [("location", location)], Json(plan)).into_response())
}

async fn request_of(kernel: &Kernel, context: &Context, body: PlanBody) -> Result<Request, Problem> {
    Ok(match body {
        PlanBody::Apply { documents, publish, message } => {
            apply_request(documents_of(documents)?, message, publish)
        }
        PlanBody::Publish { kind, name, revision, reason } => {
            publish_request(kind_of(kernel, &kind)?, &name, revision, reason)
        }
        PlanBody::Rollback { kind, name, to, reason } => {
            rollback_request(kind_of(kernel, &kind)?, &name, to, reason)?
        }
        PlanBody::Run { kind, name, params, revision } => {
            start_request(kind_of(kernel, &kind)?, &name, params, revision)?
        }
        PlanBody::Stop { run, reason } => kernel.stop_request(context, &run, reason).await?,
        PlanBody::Retry { run, reason } => kernel.retry_request(context, &run, reason).await?,
        PlanBody::Rotate { key, reason } => rotate_request(context, key, reason)?,
    })
}

fn documents_of(values: Vec<Value>) -> Result<Vec<Document>, Problem> {
    let (mut documents, mut violations) = (vec![], vec![]);
    for (index, value) in values.into_iter().enumerate() {
        match Document::from_value(value) {
            Ok(document) => documents.push(document),
            Err(found) => violations.extend(found.into_iter().map(|v| v.in_document(index))),
        }
    }
    if violations.is_empty() { Ok(documents) } else { Err(Problem(Error::from_violations(violations))) }
}

fn kind_of<'a>(kernel: &'a Kernel, word: &str) -> Result<&'a dyn Kind, Problem> {
    let found = kernel.registry.find_plural(word).or_else(|| kernel.registry.find_kind(word));
    found.map(|kind| &**kind).ok_or_else(|| {
        Problem(Error::not_found("resource_not_found", format!("there is no kind {word:?} here")))
    })
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<PlansQuery>,
) -> Result<Json<Page<PlanSummary>>, Problem> {
    let sight = caller.sight(&app, "plans.list").await?;
    let filter = PlanFilter { state: query.state, sight, unseen: caller.unseen() };
    Ok(Json(app.kernel.plan_list(caller.scope(), filter, query.page.page()?).await?))
}

pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<StoredPlan>, Problem> {
    let id = plan_id(&id)?;
    caller.may_on(&app, "plans.read", On::Plan(id)).await?;
    Ok(Json(app.kernel.plan_get(&caller.context, id).await?))
}

pub async fn approve(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<StoredPlan>, Problem> {
    let ApproveBody { hash, reason } = body.json()?;
    Ok(Json(app.kernel.plan_approve(&caller.context, plan_id(&id)?, hash, reason).await?))
}

pub async fn reject(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<StoredPlan>, Problem> {
    let ReasonBody { reason } = body.json()?;
    Ok(Json(app.kernel.plan_reject(&caller.context, plan_id(&id)?, reason).await?))
}

pub async fn apply(
    State(app): State<App>,
    caller: Caller,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let id = plan_id(&id)?;
    let key = key.with_body(&body.bytes)?;
    let job = app.kernel.plan_apply(&caller.context, id, key).await?;
    let plan = app.kernel.plan_get(&caller.context, id).await?;
    let applied = |job| Json(PlanApplied { plan, job });
    Ok(match job {
        Some(job) => {
            let location = format!("/api/v1/jobs/{}", job.id);
            (StatusCode::ACCEPTED, [("location", location)], applied(Some(job))).into_response()
        }
        None => applied(None).into_response(),
    })
}

fn plan_id(id: &str) -> Result<PlanId, Problem> {
    id.parse().map_err(|_| Problem(Error::not_found("plan_not_found", format!("there is no plan {id} here"))))
}
