//! A run's log: pages by line number, a stream, or the whole as text.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use qd_core::{error::Error, id::RunId};
use qd_kernel::{
    Kernel,
    access::objects::On,
    context::Scope,
    engine::{LogLevel, LogStream},
    logs::{LogFilter, LogRecord},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    api::stream::{Topics, respond},
    http::{caller::Caller, path::Path, problem::Problem, query::Params, sse},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct LogsQuery {
    /// Lines after this number, oldest first.
    pub after: Option<i64>,
    /// The newest lines before this number; 0 means from the end.
    pub before: Option<i64>,
    /// 1 to 5000; 500 without.
    pub limit: Option<u32>,
    pub stage: Option<String>,
    /// This level and above: `debug`, `info`, `warning`, `error`.
    pub level: Option<String>,
    /// `stdout`, `stderr` or `driver`.
    pub stream: Option<String>,
    /// Part of the text.
    pub q: Option<String>,
    pub attempt: Option<i64>,
    /// `text` downloads the log as plain text.
    pub format: Option<String>,
}

impl LogsQuery {
    fn filter(&self) -> Result<LogFilter, Problem> {
        let level = self.level.as_deref().filter(|l| !l.is_empty()).map(|word| {
            LogLevel::from_word(word).ok_or_else(|| {
                Error::malformed(
                    "bad_level",
                    format!("{word:?} is no level; there are debug, info, warning, error"),
                )
            })
        });
        let stream = self.stream.as_deref().filter(|s| !s.is_empty()).map(|word| {
            LogStream::from_word(word).ok_or_else(|| {
                Error::malformed(
                    "bad_stream",
                    format!("{word:?} is no stream; there are stdout, stderr, driver"),
                )
            })
        });
        let some = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        Ok(LogFilter {
            stage: some(&self.stage),
            level: level.transpose()?,
            stream: stream.transpose()?,
            attempt: self.attempt,
            text: some(&self.q),
        })
    }
}

pub async fn logs(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Params(query): Params<LogsQuery>,
) -> Result<Response, Problem> {
    caller.may_on(&app, "runs.read", On::Run(id.clone())).await?;
    let run = app.kernel.run_log_info(caller.scope(), &id).await?;
    let filter = query.filter()?;
    if sse::wanted(&headers) {
        let after = sse::last_event_id(&headers).and_then(|id| id.parse().ok()).or(query.after).unwrap_or(0);
        return Ok(respond(app, caller, Topics::log(run.id, after, filter)));
    }
    if query.format.as_deref() == Some("text") {
        return Ok(download(app.kernel, caller.scope(), run.id, filter, &id));
    }
    let limit = query.limit.unwrap_or(500).clamp(1, 5000);
    let page = match query.before {
        Some(before) => {
            app.kernel
                .log_before(caller.scope(), run.id, filter, Some(before).filter(|b| *b > 0), limit)
                .await?
        }
        None => app.kernel.log_after(caller.scope(), run.id, filter, query.after.unwrap_or(0), limit).await?,
    };
    Ok(Json(page).into_response())
}

/// Streams the log page by page, so that a large one is never held whole.
fn download(kernel: Kernel, scope: Scope, run_id: RunId, filter: LogFilter, name: &str) -> Response {
    let pages = stream::unfold(Some(0), move |after| {
        let (kernel, filter) = (kernel.clone(), filter.clone());
        async move {
            match kernel.log_after(scope, run_id, filter, after?, 5000).await {
                Ok(page) => Some((Ok(page.items.iter().map(text_line).collect::<String>()), page.next)),
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{safe}.log\"")),
    ];
    (headers, Body::from_stream(pages)).into_response()
}

fn text_line(line: &LogRecord) -> String {
    let stage = line.stage.as_deref().unwrap_or("-");
    format!("{} {} {} {}\n", line.at, line.level, stage, line.text)
}
