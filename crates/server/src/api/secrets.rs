//! Secrets: written, listed, described and removed; never answered. And the exchange of the keys that seal them.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use qd_core::{document::text, error::Error};
use qd_kernel::{
    access::sight::Sight,
    changes::Request,
    operations::secret_rotate::{RotatedKey, rotate_request},
    page::Page,
    secrets::{KeyReading, Secret, SecretInfo, SecretPath},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{jobs::accepted, kind::resource::PageText};
use crate::{
    http::{
        body::Body,
        caller::Caller,
        condition::MaybeKey,
        dry_run::{self, DryRun},
        path::Path,
        problem::Problem,
        query::Params,
    },
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct SecretsQuery {
    #[serde(flatten)]
    pub page: PageText,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct DeleteQuery {
    /// Why; kept in the audit.
    pub reason: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    pub key: RotatedKey,
    /// Why; kept on the job and in the audit.
    #[serde(default)]
    pub reason: String,
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<SecretsQuery>,
) -> Result<Json<Page<SecretInfo>>, Problem> {
    caller.may("secrets.list")?;
    let sight = caller.sight(&app, "secrets.list").await?;
    let mut page = app.kernel.secret_list(caller.scope(), query.page.page()?).await?;
    page.items.iter_mut().for_each(|secret| only_seen(&sight, secret));
    Ok(Json(page))
}

/// What a policy hides from the caller is not among those that refer to a secret.
fn only_seen(sight: &Sight, secret: &mut SecretInfo) {
    secret.referred_by.retain(|referrer| sight.shows(Some(referrer.resource_id)));
}

pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
) -> Result<Json<SecretInfo>, Problem> {
    caller.may("secrets.read")?;
    let sight = caller.sight(&app, "secrets.read").await?;
    let mut secret = app.kernel.secret_get(caller.scope(), &path.parse::<SecretPath>()?).await?;
    only_seen(&sight, &mut secret);
    Ok(Json(secret))
}

/// 201 for the first version, 200 for a further one; either answers what is told of the secret.
pub async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<SecretInfo>), Problem> {
    // Before anything is said of what was sent.
    caller.may("secrets.write")?;
    let path = path.parse::<SecretPath>()?;
    let value = value(&body)?;
    let sight = caller.sight(&app, "secrets.write").await?;
    let (mut secret, created) = app.kernel.secret_put(&caller.context, path, value).await?;
    only_seen(&sight, &mut secret);
    Ok((if created { StatusCode::CREATED } else { StatusCode::OK }, Json(secret)))
}

pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
    Params(DeleteQuery { reason }): Params<DeleteQuery>,
) -> Result<StatusCode, Problem> {
    caller.may("secrets.delete")?;
    let path = path.parse::<SecretPath>()?;
    app.kernel.secret_delete(&caller.context, &path, reason.unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn keys(State(app): State<App>, caller: Caller) -> Result<Json<KeyReading>, Problem> {
    caller.may("secrets.read")?;
    Ok(Json(app.kernel.secret_keys(caller.scope()).await?))
}

pub async fn rotate(
    State(app): State<App>,
    caller: Caller,
    key: MaybeKey,
    Params(DryRun { dry_run }): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    // Whoever may do neither learns nothing of what the body should be.
    caller.may("secrets.read")?;
    let RotateBody { key: rotated, reason } = match body.json() {
        Ok(body) => body,
        Err(problem) => {
            caller.may("secrets.rotate")?;
            return Err(problem);
        }
    };
    let request = rotate_request(&caller.context, rotated, reason)?;
    if dry_run {
        return dry_run::preview(&app.kernel, &caller, request).await;
    }
    let key = key.with_body(&body.bytes)?;
    let Request { act, operation, input } = request;
    let job = app.kernel.job_create(&caller.context, act, &operation, input, key).await?;
    Ok(accepted(job, None))
}

/// Read by hand: the words of a reader that quote what does not fit would quote the secret.
fn value(body: &Body) -> Result<Secret, Problem> {
    let bad =
        || Problem(Error::malformed("bad_body", "a JSON object with one member `value`, a text, is wanted"));
    match text::json(&body.bytes) {
        Ok(Value::Object(mut members)) if members.len() == 1 => match members.remove("value") {
            Some(Value::String(text)) => Ok(Secret::new(text)),
            _ => Err(bad()),
        },
        _ => Err(bad()),
    }
}
