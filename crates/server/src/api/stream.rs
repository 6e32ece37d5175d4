//! One stream for a browser: the events of the scope, the newest numbers of its runs, and the log of the run in view.
//!
//! A frame's id is `<event position>.<log line>`, so that one `Last-Event-ID` resumes both without gap or repeat. Progress
//! frames carry no id: they are the newest numbers and nothing is lost when one is missed. So do `job` frames, which say that a
//! job came to another of its steps; its waits and its end are events.
//!
//! What the caller may see is looked at for each frame, but who the caller is and what it holds only every few seconds, as
//! requests do: a busy project costs a stream no query for each number that moves.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use axum::{extract::State, http::HeaderMap, response::Response};
use qd_core::{
    error::{Error, ErrorKind},
    id::RunId,
};
use qd_kernel::{
    access::{deletions::Unseen, objects::On, sight::Sight},
    context::{Context, Scope},
    credentials::Identity,
    events::{Event, EventFilter},
    logs::{LogFilter, LogRecord},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::{
    http::{
        caller::{Caller, let_in},
        problem::Problem,
        query::Params,
        sse::{self, Frames, Gone},
    },
    state::App,
};

/// How often the caller's credential is looked at again.
const CALLER_CHECK: Duration = Duration::from_secs(60);
/// How long what is known of a caller is used, unless this process learns of a change before.
const REMEMBERED: Duration = Duration::from_secs(5);
/// The net below the wake-ups.
const POLL: Duration = Duration::from_secs(2);
const EVENTS_AT_ONCE: u32 = 500;
const LINES_AT_ONCE: u32 = 1000;

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct StreamQuery {
    /// Events after this position; only new ones where absent.
    pub after: Option<i64>,
    /// The id of a run whose log is wanted as well.
    pub logs: Option<String>,
    /// Log lines after this one.
    pub log_after: Option<i64>,
}

/// What a stream carries, and from where on.
pub struct Topics {
    events: Option<i64>,
    log: Option<(RunId, i64, LogFilter)>,
    /// Frames name both positions, or the one that there is.
    multiplexed: bool,
}

impl Topics {
    /// Events alone; from the end where no position is given.
    pub async fn events(app: &App, after: Option<i64>) -> Result<Self, Problem> {
        Ok(Self { events: Some(position(app, after).await?), log: None, multiplexed: false })
    }

    /// One run's log alone.
    pub fn log(run_id: RunId, after: i64, filter: LogFilter) -> Self {
        Self { events: None, log: Some((run_id, after, filter)), multiplexed: false }
    }
}

#[derive(Serialize)]
struct LogFrame<'a> {
    run_id: RunId,
    #[serde(flatten)]
    line: &'a LogRecord,
}

pub async fn stream(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Params(query): Params<StreamQuery>,
) -> Result<Response, Problem> {
    caller.sight(&app, "events.list").await?;
    let resumed = sse::last_event_id(&headers).and_then(resume_point);
    let log = match &query.logs {
        Some(id) => {
            caller.may_on(&app, "runs.read", On::Run(id.clone())).await?;
            let run = app.kernel.run_log_info(caller.scope(), id).await?;
            let after = resumed.map(|(_, line)| line).or(query.log_after).unwrap_or(0);
            Some((run.id, after, LogFilter::default()))
        }
        None => None,
    };
    let events = position(&app, resumed.map(|(pos, _)| pos).or(query.after)).await?;
    Ok(respond(app, caller, Topics { events: Some(events), log, multiplexed: true }))
}

async fn position(app: &App, after: Option<i64>) -> Result<i64, Problem> {
    match after {
        Some(after) if after >= 0 => Ok(after),
        Some(_) => Err(Problem(Error::malformed("bad_position", "after must be 0 or more"))),
        None => Ok(app.kernel.events_head().await?),
    }
}

/// `<event position>.<log line>`
fn resume_point(id: &str) -> Option<(i64, i64)> {
    let (pos, line) = id.split_once('.')?;
    Some((pos.parse().ok()?, line.parse().ok()?))
}

pub fn respond(app: App, caller: Caller, topics: Topics) -> Response {
    let run = topics.log.as_ref().map(|(run_id, ..)| On::Run(run_id.to_string()));
    let events = topics.events.is_some();
    sse::stream(move |frames| async move {
        let stop = app.stop.clone();
        tokio::select! {
            () = stop.cancelled() => frames.moved().await,
            () = frames.closed() => {}
            reason = caller_gone(CALLER_CHECK, || still_may(&app, &caller, events, run.as_ref())) => {
                let _ = frames.send("end", None, &json!({ "reason": reason.code, "detail": reason.detail })).await;
            }
            _ = Writer::new(&app, &caller, &frames, topics).run() => {}
        }
    })
}

/// Whether the caller would be let in anew, to any of what the stream carries: a log alone is ended by its [`Writer`].
async fn still_may(app: &App, caller: &Caller, events: bool, run: Option<&On>) -> Result<(), Error> {
    let context = within(app, caller, &caller.again(app).await?).await?;
    match (events, run) {
        (false, Some(run)) => app.kernel.permit(&context, "runs.read", run.clone()).await,
        _ => app.kernel.sight(&context, "events.list").await.map(drop),
    }
}

/// The caller at work as it is by now: what it holds and what the policies say may have changed since the stream began.
async fn within(app: &App, caller: &Caller, identity: &Identity) -> Result<Context, Error> {
    let (tenant, project) = (caller.named.tenant.id.to_string(), caller.named.project.id.to_string());
    let named = app.kernel.scope_find(Some(&tenant), Some(&project)).await?;
    let_in(identity, &named)?;
    let (ids, source) = (caller.context.ids.clone(), caller.context.source.clone());
    app.kernel.context(identity, caller.scope(), ids, source).await
}

/// Ends when the caller's credential or role does, or the tenant is closed: a stream may outlive them by a minute, not by days.
async fn caller_gone<T, L: Future<Output = Result<T, Error>>>(
    every: Duration,
    look: impl Fn() -> L,
) -> Error {
    loop {
        tokio::time::sleep(every).await;
        match look().await {
            Err(error) if is_refusal(&error) => return error,
            // A store that does not answer now says nothing about the caller.
            _ => {}
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unauthenticated | ErrorKind::Forbidden | ErrorKind::NotFound)
}

/// What is remembered of the caller, and what of it was found that it may see.
struct Known {
    identity: Identity,
    at: Instant,
    changes: u64,
    shown: HashMap<String, bool>,
}

struct Writer<'a> {
    app: &'a App,
    caller: &'a Caller,
    scope: Scope,
    frames: &'a Frames,
    topics: Topics,
    known: Option<Known>,
    log_ended: bool,
    /// Lines before this one are known to be gone, and that was said.
    gap_told: i64,
}

impl<'a> Writer<'a> {
    fn new(app: &'a App, caller: &'a Caller, frames: &'a Frames, topics: Topics) -> Self {
        let scope = caller.scope();
        Self { app, caller, scope, frames, topics, known: None, log_ended: false, gap_told: 0 }
    }

    async fn run(mut self) -> Result<(), Gone> {
        let mut events_moved = self.app.kernel.bus.follow_events();
        let mut logs_grew = self.app.kernel.bus.follow_logs();
        let mut progress = self.app.kernel.bus.follow_progress();
        let mut jobs_moved = self.app.kernel.bus.follow_jobs();
        if !self.topics.multiplexed {
            progress = progress.resubscribe();
            jobs_moved = jobs_moved.resubscribe();
        }
        self.gaps().await?;
        loop {
            events_moved.mark_unchanged();
            logs_grew.mark_unchanged();
            let more_events = self.events().await?;
            let more_lines = self.log().await?;
            if (self.log_ended || self.topics.log.is_none()) && self.topics.events.is_none() {
                return Ok(());
            }
            if more_events || more_lines {
                continue;
            }
            tokio::select! {
                _ = events_moved.changed(), if self.topics.events.is_some() => {}
                _ = logs_grew.changed(), if self.topics.log.is_some() && !self.log_ended => {}
                newest = progress.recv(), if self.topics.multiplexed => match newest {
                    Ok(newest) if newest.scope == self.scope => {
                        let run = newest.run_id.to_string();
                        if self.shows(&run, "runs.read", On::Run(run.clone())).await.unwrap_or(false) {
                            self.frames.send("progress", None, &newest).await?;
                        }
                    }Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
                moved = jobs_moved.recv(), if self.topics.multiplexed => match moved {
                    Ok(moved) if moved.scope == self.scope => {
                        let job = On::Job(moved.job_id);
                        if self.shows(&moved.job_id.to_string(), "jobs.read", job).await.unwrap_or(false) {
                            self.frames.send("job", None, &moved).await?;
                        }
                    }Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn context(&mut self) -> Result<Context, Error> {
        let changes = self.app.kernel.callers_changes();
        let known = self.known.take();
        let known = known.filter(|known| known.changes == changes && known.at.elapsed() < REMEMBERED);
        let known = match known {
            Some(known) => known,
            None => {
                let (identity, at) = (self.caller.again(self.app).await?, Instant::now());
                Known { identity, at, changes, shown: HashMap::new() }
            }
        };
        let context = within(self.app, self.caller, &known.identity).await;
        self.known = Some(known);
        context
    }

    /// Whether the caller may know of the object with that id.
    async fn shows(&mut self, id: &str, action: &str, on: On) -> Result<bool, Error> {
        let context = match self.context().await {
            Err(error) if is_refusal(&error) => return Ok(false),
            context => context?,
        };
        if let Some(shown) = self.known.as_ref().and_then(|known| known.shown.get(id)) {
            return Ok(*shown);
        }
        let shown = match self.app.kernel.permit(&context, action, on).await {
            Err(error) if is_refusal(&error) => false,
            answer => answer.map(|()| true)?,
        };
        if let Some(known) = &mut self.known {
            known.shown.insert(id.to_owned(), shown);
        }
        Ok(shown)
    }

    /// Says so when the reader asks for what is no longer kept.
    async fn gaps(&self) -> Result<(), Gone> {
        if let Some(after) = self.topics.events.filter(|after| *after > 0) {
            let tail = self.app.kernel.events_tail().await.unwrap_or(0);
            if tail > after + 1 {
                self.frames
                    .send("gap", None, &json!({ "topic": "events", "from": after + 1, "to": tail - 1 }))
                    .await?;
            }
        }
        Ok(())
    }

    fn id(&self) -> String {
        let line = self.topics.log.as_ref().map_or(0, |(_, line, _)| *line);
        match (self.topics.multiplexed, self.topics.events) {
            (true, pos) => format!("{}.{line}", pos.unwrap_or(0)),
            (false, Some(pos)) => pos.to_string(),
            (false, None) => line.to_string(),
        }
    }

    /// Sends what is new; true when there may be more at once.
    async fn events(&mut self) -> Result<bool, Gone> {
        let Some(after) = self.topics.events else { return Ok(false) };
        let (events, read_to) = match self.seen_after(after).await {
            Ok(read) => read,
            // Who may see nothing any more is told so by the look at the caller, which ends the stream.
            Err(error) => return self.unavailable(error).await,
        };
        let more = events.len() == EVENTS_AT_ONCE as usize;
        for event in events {
            self.topics.events = Some(event.pos);
            let name = if self.topics.multiplexed { "event" } else { &event.event_type };
            self.frames.send(name, Some(&self.id()), &event).await?;
        }
        if !more {
            self.topics.events = self.topics.events.max(read_to);
        }
        Ok(more)
    }

    /// The events after a position that the caller may see, and up to where there are no others of them.
    async fn seen_after(&mut self, after: i64) -> Result<(Vec<Event>, Option<i64>), Error> {
        let context = self.context().await?;
        let (kernel, scope) = (&self.app.kernel, self.scope);
        let filter = EventFilter { unseen: Unseen::of(&context), ..EventFilter::default() };
        // Most wakes are about another project, and cost no look at what may be seen of this one.
        let all = kernel.events_seen_after(scope, filter, Sight::All, after, EVENTS_AT_ONCE).await?;
        let Some(read_to) = all.last().map(|event| event.pos) else { return Ok((all, None)) };
        let sight = kernel.sight(&context, "events.list").await?;
        if sight.is_all() {
            return Ok((all, Some(read_to)));
        }
        let seen = kernel.events_seen_after(scope, filter, sight, after, EVENTS_AT_ONCE).await?;
        Ok((seen, Some(read_to)))
    }

    async fn log(&mut self) -> Result<bool, Gone> {
        let Some((run_id, after, filter)) = self.topics.log.clone() else { return Ok(false) };
        let run = run_id.to_string();
        match self.shows(&run, "runs.read", On::Run(run.clone())).await {
            Ok(true) => {}
            Ok(false) => {
                self.topics.log = None;
                let detail = "the run may not be read any more";
                let end = json!({ "run_id": run_id, "reason": "action_denied", "detail": detail });
                self.frames.send("end", None, &end).await?;
                return Ok(false);
            }
            Err(error) => return self.unavailable(error).await,
        }
        // Asked before the lines are read: what ends in between is seen at the next look.
        let ended = match self.app.kernel.run_log_info(self.scope, &run_id.to_string()).await {
            Ok(run) => run.ended,
            Err(error) => return self.unavailable(error).await,
        };
        let page = match self.app.kernel.log_after(self.scope, run_id, filter, after, LINES_AT_ONCE).await {
            Ok(page) => page,
            Err(error) => return self.unavailable(error).await,
        };
        if page.first > after + 1 && after > 0 && page.first > self.gap_told {
            self.gap_told = page.first;
            self.frames
                .send(
                    "gap",
                    None,
                    &json!({ "topic": "log", "run_id": run_id, "from": after + 1, "to": page.first - 1 }),
                )
                .await?;
        }
        for line in &page.items {
            self.set_line(line.n);
            self.frames.send("log", Some(&self.id()), &LogFrame { run_id, line }).await?;
            self.log_ended = false;
        }
        match page.next {
            Some(next) => {
                self.set_line(next);
                Ok(true)
            }
            None => {
                // What the filter left out is not looked at again.
                self.set_line(page.last);
                if ended && !self.log_ended {
                    self.log_ended = true;
                    self.frames.send("end", None, &json!({ "run_id": run_id, "last": page.last })).await?;
                }
                Ok(false)
            }
        }
    }

    fn set_line(&mut self, line: i64) {
        if let Some((_, at, _)) = &mut self.topics.log {
            *at = (*at).max(line);
        }
    }

    /// The store does not answer: the reader keeps its connection and gets what it missed afterwards.
    async fn unavailable(&self, error: Error) -> Result<bool, Gone> {
        tracing::warn!(%error, "read for a stream: will try again");
        tokio::time::sleep(POLL).await;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_stream_ends_with_its_credential_and_not_with_the_store() {
        let answers = Mutex::new(vec![
            Err(Error::unauthenticated("bad_credential", "expired")),
            Err(Error::unavailable("store_unavailable", "gone for a moment")),
            Ok(()),
        ]);
        let look = || std::future::ready(answers.lock().unwrap().pop().unwrap());
        assert_eq!(caller_gone(Duration::from_millis(1), look).await.code, "bad_credential");
        assert!(answers.lock().unwrap().is_empty());
    }
}
