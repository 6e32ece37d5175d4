//! A run's results: the files that it wrote, listed and downloaded.

use std::{
    ffi::OsStr,
    path::{Component, PathBuf},
};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use qd_core::error::{Error, Result};
use qd_kernel::access::objects::On;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::{
    http::{caller::Caller, path::Path, problem::Problem},
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
    caller.may_on(&app, "runs.read", On::Run(id.clone())).await?;
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
    caller.may_on(&app, "runs.read", On::Run(id.clone())).await?;
    let root = app.kernel.run_output_dir(caller.scope(), &id).await?;
    let file = inside(root, &path).await?;
    let handle = tokio::fs::File::open(&file).await.map_err(|_| missing(&path))?;
    let length = handle.metadata().await.map_err(|_| missing(&path))?.len();
    // What a header cannot hold: a name may be anything that a stage writes.
    let odd = |letter: char| matches!(letter, '"' | '\\') || letter.is_control();
    let name = file.file_name().map(|name| name.to_string_lossy().replace(odd, "_")).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    // The file may still grow; the reply has the length that it states.
    Ok((headers, Body::from_stream(ReaderStream::new(handle.take(length)))).into_response())
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
        for entry in entries.flatten().filter(|entry| !is_unfinished(&entry.file_name())) {
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
                if items.len() == MOST {
                    return listed(items, true);
                }
                items.push(ResultFile { path, bytes });
            }
        }
    }
    listed(items, false)
}

fn listed(mut items: Vec<ResultFile>, truncated: bool) -> ResultList {
    items.sort_by(|a, b| a.path.cmp(&b.path));
    ResultList { items, truncated }
}

/// A run writes under such a name and renames when it is done.
fn is_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_files_are_listed_and_no_more_than_the_most() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join(".tmp")).unwrap();
        for name in ["a.jsonl", ".b.jsonl.part", ".tmp/c"] {
            std::fs::write(root.path().join(name), "x").unwrap();
        }
        let list = walk(root.path().to_owned());
        assert_eq!(list.items.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a.jsonl"]);
        for n in 1..MOST {
            std::fs::write(root.path().join(n.to_string()), "").unwrap();
        }
        assert!(!walk(root.path().to_owned()).truncated, "exactly as many as are listed");
        std::fs::write(root.path().join("one-more"), "").unwrap();
        let list = walk(root.path().to_owned());
        assert_eq!((list.items.len(), list.truncated), (MOST, true));
    }
}
