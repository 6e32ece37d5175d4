//! Exports of a tenant or a project: the job that writes one, or the plan of it; those that there are; and the archive, streamed as it
//! is read. Where the database goes away midway the connection is cut, so that what arrived is not taken for the whole.

use axum::{
    Json,
    body::Body as Bytes,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::stream;
use qd_kernel::{
    context::Context,
    page::Page,
    tenants::{
        NamedScope,
        export::{Export, ExportDownload},
    },
};

use crate::{
    api::jobs::{ReasonBody, accepted},
    http::{
        body::Body,
        caller::{PlatformCaller, TenantCaller, let_in},
        condition::MaybeKey,
        dry_run::DryRun,
        path::Path,
        problem::Problem,
        query::{PageQuery, Params},
    },
    state::App,
};

/// The tenant that the address names, and the caller within it; for the platform's own, also while it is suspended.
async fn within(app: &App, caller: PlatformCaller, name: &str) -> Result<(NamedScope, Context), Problem> {
    let named = app.kernel.scope_find(Some(name), None).await?;
    let_in(&caller.identity, &named)?;
    let scope = named.scope.of_tenant();
    let context = Context { principal: caller.identity.principal(scope), scope, ..caller.context };
    Ok((named, context))
}

pub async fn tenant(
    State(app): State<App>,
    caller: PlatformCaller,
    key: MaybeKey,
    Path(name): Path<String>,
    Params(DryRun { dry_run }): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let (named, context) = within(&app, caller, &name).await?;
    let ReasonBody { reason } = body.json()?;
    if dry_run {
        let (context, request) = app.kernel.tenant_export_request(&context, &named, &reason).await?;
        return Ok(Json(app.kernel.change_preview(&context, &request).await?).into_response());
    }
    let key = key.with_body(&body.bytes)?;
    Ok(accepted(app.kernel.tenant_export(&context, &named, &reason, key).await?, None))
}

pub async fn project(
    State(app): State<App>,
    caller: TenantCaller,
    key: MaybeKey,
    Path(name): Path<String>,
    Params(DryRun { dry_run }): Params<DryRun>,
    body: Body,
) -> Result<Response, Problem> {
    let ReasonBody { reason } = body.json()?;
    if dry_run {
        let (context, request) = app.kernel.project_export_request(&caller.context, &name, &reason).await?;
        return Ok(Json(app.kernel.change_preview(&context, &request).await?).into_response());
    }
    let key = key.with_body(&body.bytes)?;
    Ok(accepted(app.kernel.project_export(&caller.context, &name, &reason, key).await?, None))
}

pub async fn list(
    State(app): State<App>,
    caller: PlatformCaller,
    Path(name): Path<String>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Export>>, Problem> {
    let (_, context) = within(&app, caller, &name).await?;
    Ok(Json(app.kernel.export_list(&context, query.page()?).await?))
}

pub async fn get(
    State(app): State<App>,
    caller: PlatformCaller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Export>, Problem> {
    let (_, context) = within(&app, caller, &name).await?;
    Ok(Json(app.kernel.export_get(&context, &id).await?))
}

pub async fn archive(
    State(app): State<App>,
    caller: PlatformCaller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (_, context) = within(&app, caller, &name).await?;
    let archive = app.kernel.export_fetch(&context, &id).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_LENGTH, archive.export.bytes.unwrap_or_default().to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", archive.file_name())),
    ];
    let parts = stream::unfold(Some(archive), async |archive: Option<ExportDownload>| {
        let mut archive = archive?;
        match archive.next().await {
            Ok(Some(part)) => Some((Ok(part), Some(archive))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok((headers, Bytes::from_stream(parts)).into_response())
}
