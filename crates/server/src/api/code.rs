//! Code archives by content: upload once, find again.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use qd_core::{canonical::Digest, error::Error};
use qd_kernel::code::CodeInfo;

use crate::{
    http::{body::Body, caller::Caller, path::Path, problem::Problem},
    state::App,
};

pub async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(digest): Path<String>,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let digest = parse(&digest)?;
    let bytes = body.bytes.to_vec();
    let wanted = digest.clone();
    let verified = tokio::task::spawn_blocking(move || {
        qd_pipelines::code::inspect(&bytes, &wanted).map(|found| (found.files, bytes))
    });
    let (files, bytes) = verified
        .await
        .map_err(|error| Error::internal("code_verify", "verify a code archive").with_source(error))??;
    let (info, created) =
        app.kernel.code_put(&caller.context, digest, i64::try_from(files).unwrap_or(i64::MAX), bytes).await?;
    Ok((if created { StatusCode::CREATED } else { StatusCode::OK }, Json(info)))
}

pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(digest): Path<String>,
) -> Result<Json<CodeInfo>, Problem> {
    caller.may("code.read")?;
    let found = app.kernel.code().find(caller.scope(), &parse(&digest)?).await?;
    found.map(Json).ok_or_else(|| {
        Problem(Error::not_found("code_not_found", "no code archive with this digest was uploaded"))
    })
}

fn parse(digest: &str) -> Result<Digest, Problem> {
    Digest::parse(digest)
        .map_err(|_| Problem(Error::malformed("bad_digest", "a digest is sha256: and 64 hex digits")))
}
