//! A run's results: the files that it wrote, listed and downloaded.

use std::path::{Component, PathBuf};

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use qd_core::error::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::io::ReaderStream;

use crate::{
    http::{caller::Caller, problem::Problem},
    state::App,
};

/// Files listed at most.
const MOST: usize = 1000;

#[derive(Debug, Serialize, JsonSchema)]
pub struct ResultFile {
    /// Relative to the run's output folder.
    pub path: String,
    pub bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ResultList {
    pub items: Vec<ResultFile>,
    /// There are more files than are listed.
    pub truncated: bool,
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> std::result::Result<Json<ResultList>, Problem> {
    caller.may("runs.read")?;
    let root = app.kernel.run_output_dir(caller.scope(), &id).await?;
    let list = tokio::task::spawn_blocking(move || walk(root))
        .await
        .map_err(|error| Error::internal("results_list", "list the results").with_source(error))?;
    Ok(Json(list))
}

pub async fn download(
    State(app): State<App>,
    caller: Caller,
    Path((id, path)): Path<(String, String)>,
) -> std::result::Result<Response, Problem> {
    caller.may("runs.read")?;
    let root = app.kernel.run_output_dir(caller.scope(), &id).await?;
    let file = inside(root, &path).await?;
    let handle = tokio::fs::File::open(&file).await.map_err(|_| missing(&path))?;
    let length = handle.metadata().await.map_err(|_| missing(&path))?.len();
    let name =
        file.file_name().map(|name| name.to_string_lossy().replace(['"', '\\'], "_")).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(handle))).into_response())
}

/// The file under the run's folder that a path names; links and `..` do not lead out of it.
async fn inside(root: PathBuf, path: &str) -> Result<PathBuf> {
    let relative = PathBuf::from(path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(missing(path));
    }
    let root = tokio::fs::canonicalize(&root).await.map_err(|_| missing(path))?;
    let file = tokio::fs::canonicalize(root.join(relative)).await.map_err(|_| missing(path))?;
    if file.starts_with(&root) && file.is_file() { Ok(file) } else { Err(missing(path)) }
}

fn missing(path: &str) -> Error {
    Error::not_found("result_not_found", format!("the run has no result file {path:?}"))
}

fn walk(root: PathBuf) -> ResultList {
    let (mut folders, mut items) = (vec![root.clone()], vec![]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let bytes = entry.metadata().map_or(0, |m| m.len());
                let path = entry
                    .path()
                    .strip_prefix(&root)
                    .map(|p| p.to_string_lossy().into_owned())
                    .unwrap_or_default();
                items.push(ResultFile { path, bytes });
            }
        }
        if items.len() > MOST {
            break;
        }
    }
    items.sort_by(|a, b| a.path.cmp(&b.path));
    let truncated = items.len() > MOST;
    items.truncate(MOST);
    ResultList { items, truncated }
}
