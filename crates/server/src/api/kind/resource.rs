//! Listing, reading, creating, describing, archiving and restoring resources.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use qd_core::{error::Error, state::ResourceState};
use qd_kernel::{
    access::objects::On,
    page::Page,
    resources::{MetadataPatch, Resource, ResourceFilter},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    http::{
        body::Body,
        caller::Caller,
        condition::{IfMatch, Tagged},
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::KindApp,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ListQuery {
    #[serde(flatten)]
    pub page: PageText,
    /// Part of the name or display name.
    pub q: Option<String>,
    /// `key:value`; several separated by commas must all be there.
    pub label: Option<String>,
    pub state: Option<ResourceState>,
}

/// The page parameters as text: a flattened query reads no numbers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct PageText {
    /// 1 to 500; 50 without.
    #[schemars(with = "Option<u32>", range(min = 1, max = 500))]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageText {
    pub fn page(&self) -> Result<qd_kernel::page::PageRequest, Problem> {
        let limit = self.limit.as_deref().map(|text| {
            text.parse::<u32>().map_err(|_| {
                Problem(Error::malformed(
                    "bad_limit",
                    format!("limit is {text:?}; it must be between 1 and 500"),
                ))
            })
        });
        PageQuery { limit: limit.transpose()?, cursor: self.cursor.clone() }.page()
    }
}

/// A resource with its published spec.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResourceDetail {
    #[serde(flatten)]
    pub resource: Resource,
    /// The published spec, none before the first publish.
    pub spec: Option<Value>,
    /// JSON Schema of what a run asks for, where it asks for anything.
    pub params_schema: Option<Value>,
    /// The actions that one may do to it, of those of its kind.
    pub allowed: Vec<String>,
    /// What the kind tells of it beyond its records; absent for kinds that tell nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

pub async fn list(
    State(kind): State<KindApp>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Resource>>, Problem> {
    let info = kind.kind.info();
    let sight = caller.sight(&kind.app, &format!("{}.list", info.plural)).await?;
    let mut labels = vec![];
    for pair in query.label.iter().flat_map(|text| text.split(',')) {
        let (key, value) = pair
            .split_once(':')
            .ok_or_else(|| Error::malformed("bad_label", format!("{pair:?} is not key:value")))?;
        labels.push((key.to_owned(), value.to_owned()));
    }
    let text = query.q.filter(|q| !q.is_empty());
    let filter = ResourceFilter { state: query.state, text, labels, sight };
    Ok(Json(kind.app.kernel.resource_list(caller.scope(), info.kind, filter, query.page.page()?).await?))
}

pub async fn create(
    State(kind): State<KindApp>,
    caller: Caller,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let resource = kind.app.kernel.resource_create(&caller.context, &*kind.kind, body.document()?).await?;
    let location = format!("/api/v1/{}/{}", kind.kind.info().plural, resource.name);
    Ok((StatusCode::CREATED, [("location", location)], Tagged(resource.version, Json(resource))))
}

pub async fn get(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let info = kind.kind.info();
    caller.may_on(&kind.app, &format!("{}.read", info.plural), On::resource(info.kind, &name)).await?;
    let kernel = &kind.app.kernel;
    let resource = kernel.resource_get(caller.scope(), info.kind, &name).await?;
    let spec = match &resource.published {
        Some(published) => {
            Some(kernel.revision_get(caller.scope(), info.kind, &name, published.number).await?.spec)
        }
        None => None,
    };
    let params_schema = spec.as_ref().and_then(|spec| kind.kind.params_schema(spec));
    let status = kind.kind.status(kernel, caller.scope(), &resource).await?;
    let allowed = kernel.resource_allowed(&caller.context, info.kind, &name).await?;
    Ok(Tagged(resource.version, Json(ResourceDetail { resource, spec, params_schema, allowed, status })))
}

pub async fn patch(
    State(kind): State<KindApp>,
    caller: Caller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let patch: MetadataPatch = body.json()?;
    let resource =
        kind.app.kernel.resource_patch(&caller.context, &*kind.kind, &name, version, patch).await?;
    Ok(Tagged(resource.version, Json(resource)))
}

pub async fn archive(
    State(kind): State<KindApp>,
    caller: Caller,
    IfMatch(version): IfMatch,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let kernel = &kind.app.kernel;
    let resource = kernel
        .resource_set_state(&caller.context, &*kind.kind, &name, Some(version), ResourceState::Archived)
        .await?;
    Ok(Tagged(resource.version, Json(resource)))
}

pub async fn restore(
    State(kind): State<KindApp>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let kernel = &kind.app.kernel;
    let resource =
        kernel.resource_set_state(&caller.context, &*kind.kind, &name, None, ResourceState::Active).await?;
    Ok(Tagged(resource.version, Json(resource)))
}
