//! A run engine that does what a test says: it counts submits by external name, adopts what it has, and keeps a journal per
//! attempt that is read from a cursor, as the real ones do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    state::RunState,
    time::Timestamp,
};
use qd_kernel::engine::{
    EngineReading, EngineState, LogLevel, LogLine, LogStream, Observation, RunEnd, RunEngine, RunFact,
    RunTicket, Submitted,
};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The engine's registered name.
pub const FAKE: &str = "fake";
/// Journal entries handed out by one observation at most.
const BATCH: usize = 4096;
/// How long an observation waits for news.
const LOOK: Duration = Duration::from_secs(1);

/// What the next submit comes to; without one it is [`OnSubmit::Adopt`].
pub enum OnSubmit {
    Adopt,
    /// Has the attempt, and never says that it began.
    AdoptUnstarted,
    NotYet(Duration),
    /// Starts the attempt, and then fails as if the answer was lost.
    AdoptAndLose(Error),
    Fail(Error),
    /// Never answers.
    Hang,
}

enum Entry {
    Started,
    Log(LogLine),
    Fact(RunFact),
    Seen(Box<Observation>),
    End(RunEnd),
}

#[derive(Default)]
struct Attempt {
    submits: u32,
    stops: u32,
    started: bool,
    journal: Vec<Entry>,
    ended: bool,
    stopped_after_a_try: Vec<bool>,
}

#[derive(Default)]
struct State {
    script: VecDeque<OnSubmit>,
    attempts: BTreeMap<String, Attempt>,
    unreachable: bool,
    ignore_stop: bool,
    out_of_reach: bool,
    asked: u32,
    observations: u32,
    /// Once a test has said anything of it.
    doubt: Option<Option<String>>,
}

/// Shared by the kernels of a test through an `Arc`, so that it outlives them.
pub struct FakeEngine {
    state: Mutex<State>,
    news: watch::Sender<u64>,
}

impl Default for FakeEngine {
    fn default() -> Self {
        Self { state: Mutex::default(), news: watch::Sender::new(0) }
    }
}

/// The deterministic name under which a ticket's attempt lives here.
pub fn external_name(ticket: &RunTicket) -> String {
    format!("fake-{}-{}", ticket.run_id, ticket.attempt)
}

/// A line that says `text` on standard output.
pub fn line(text: impl Into<String>) -> LogLine {
    LogLine {
        at: Timestamp::EPOCH,
        stage: None,
        stream: LogStream::Stdout,
        level: LogLevel::Info,
        text: text.into(),
    }
}

/// The detail is another one each time, as with real engines, which say since when.
fn doubted(why: Option<&str>, before: Option<&str>, cursor: i64) -> Observation {
    let (event_type, detail) = match why {
        Some(why) => ("run.unknown", json!({ "observation": { "state": "unknown", "reason": why } })),
        None => ("run.known", json!({ "known_after": before })),
    };
    let fact = RunFact { at: Timestamp::EPOCH, event_type: event_type.into(), data: json!({}) };
    Observation { cursor, facts: vec![fact], engine_detail: Some(detail), ..Observation::default() }
}

impl FakeEngine {
    /// What the next submits come to, in this order.
    pub fn on_submit(&self, steps: impl IntoIterator<Item = OnSubmit>) {
        self.state().script.extend(steps);
    }

    pub fn set_unreachable(&self, unreachable: bool) {
        self.state().unreachable = unreachable;
    }

    /// Its attempts can be seen by another process only.
    pub fn set_out_of_reach(&self, out_of_reach: bool) {
        self.state().out_of_reach = out_of_reach;
    }

    /// How often it was asked whether it can see an attempt.
    pub fn asked(&self) -> u32 {
        self.state().asked
    }

    /// A stop is counted and has no effect.
    pub fn set_ignore_stop(&self) {
        self.state().ignore_stop = true;
    }

    /// The names of all attempts that were ever submitted.
    pub fn names(&self) -> Vec<String> {
        self.state().attempts.keys().cloned().collect()
    }

    pub fn submits(&self, name: &str) -> u32 {
        self.state().attempts.get(name).map_or(0, |attempt| attempt.submits)
    }

    pub fn stops(&self, name: &str) -> u32 {
        self.state().attempts.get(name).map_or(0, |attempt| attempt.stops)
    }

    /// For each stop, whether it was told that a submit may have come before it.
    pub fn stopped_after_a_try(&self, name: &str) -> Vec<bool> {
        self.state().attempts.get(name).map_or_else(Vec::new, |attempt| attempt.stopped_after_a_try.clone())
    }

    /// Why nothing is known of any attempt, until it is taken back; told without a move of the cursor, as real engines do.
    pub fn set_doubt(&self, why: Option<&str>) {
        self.state().doubt = Some(why.map(str::to_owned));
        self.tell();
    }

    pub fn is_started(&self, name: &str) -> bool {
        self.state().attempts.get(name).is_some_and(|attempt| attempt.started)
    }

    pub fn is_ended(&self, name: &str) -> bool {
        self.state().attempts.get(name).is_some_and(|attempt| attempt.ended)
    }

    /// Observations under way right now.
    pub fn watching(&self) -> usize {
        self.news.receiver_count()
    }

    /// How often anything was observed.
    pub fn observations(&self) -> u32 {
        self.state().observations
    }

    pub fn log(&self, name: &str, lines: impl IntoIterator<Item = LogLine>) {
        self.write(name, |journal| journal.extend(lines.into_iter().map(Entry::Log)));
    }

    pub fn fact(&self, name: &str, event_type: &str, data: Value) {
        let fact = RunFact { at: Timestamp::EPOCH, event_type: event_type.into(), data };
        self.write(name, |journal| journal.push(Entry::Fact(fact)));
    }

    /// Numbers of any kind; the cursor of `seen` does not count.
    pub fn see(&self, name: &str, seen: Observation) {
        self.write(name, |journal| journal.push(Entry::Seen(Box::new(seen))));
    }

    pub fn end(&self, name: &str, state: RunState) {
        let code = (state == RunState::Failed).then(|| "fake_failure".to_owned());
        let message = code.as_ref().map(|_| "it was told to fail".to_owned());
        self.end_with(name, RunEnd { state, code, message, exit_code: Some(0), at: Timestamp::EPOCH });
    }

    pub fn end_with(&self, name: &str, end: RunEnd) {
        let mut state = self.state();
        let attempt = state.attempts.get_mut(name).unwrap_or_else(|| panic!("{name} was never submitted"));
        if !std::mem::replace(&mut attempt.ended, true) {
            attempt.journal.push(Entry::End(end));
        }
        drop(state);
        self.tell();
    }

    fn write(&self, name: &str, write: impl FnOnce(&mut Vec<Entry>)) {
        let mut state = self.state();
        let attempt = state.attempts.get_mut(name).unwrap_or_else(|| panic!("{name} was never submitted"));
        write(&mut attempt.journal);
        drop(state);
        self.tell();
    }

    fn tell(&self) {
        self.news.send_modify(|n| *n += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adopt(&self, name: &str) {
        let mut state = self.state();
        let attempt = state.attempts.entry(name.to_owned()).or_default();
        if !std::mem::replace(&mut attempt.started, true) {
            attempt.journal.push(Entry::Started);
        }
        drop(state);
        self.tell();
    }

    fn read(&self, ticket: &RunTicket, cursor: i64) -> Result<Option<Observation>> {
        let name = external_name(ticket);
        let mut state = self.state();
        state.observations += 1;
        let stored =
            ticket.engine_detail.as_ref().and_then(|detail| detail["observation"]["reason"].as_str());
        if let Some(doubt) = &state.doubt
            && doubt.as_deref() != stored
        {
            return Ok(Some(doubted(doubt.as_deref(), stored, cursor)));
        }
        if state.unreachable {
            return Err(Error::unavailable("engine_unreachable", "the engine does not answer"));
        }
        let Some(attempt) = state.attempts.get(&name) else {
            return Err(Error::not_found("attempt_unknown", format!("there is no {name} here")));
        };
        let from = usize::try_from(cursor).unwrap_or(0);
        let new = &attempt.journal[from.min(attempt.journal.len())..];
        if new.is_empty() {
            return Ok(None);
        }
        let mut seen = Observation { cursor, ..Observation::default() };
        for entry in new.iter().take(BATCH) {
            seen.cursor += 1;
            match entry {
                Entry::Started => seen.started_at = Some(Timestamp::EPOCH),
                Entry::Log(line) => seen.logs.push(line.clone()),
                Entry::Fact(fact) => seen.facts.push(fact.clone()),
                Entry::End(end) => seen.end = Some(end.clone()),
                Entry::Seen(more) => {
                    seen.engine_detail = more.engine_detail.clone().or(seen.engine_detail);
                    seen.progress = more.progress.clone().or(seen.progress);
                    seen.failure = more.failure.clone().or(seen.failure);
                    seen.serving = more.serving.clone().or(seen.serving);
                    seen.results = more.results.clone().or(seen.results);
                    seen.points.extend(more.points.iter().cloned());
                }
            }
        }
        Ok(Some(seen))
    }
}

#[async_trait]
impl RunEngine for FakeEngine {
    fn name(&self) -> &'static str {
        FAKE
    }

    async fn health(&self) -> EngineReading {
        EngineReading {
            name: FAKE.into(),
            title: "Fake".into(),
            state: EngineState::Healthy,
            detail: "does what the test says".into(),
            version: None,
            observed_at: Timestamp::EPOCH,
            progress: None,
        }
    }

    async fn submit(&self, ticket: &RunTicket) -> Result<Submitted> {
        let name = external_name(ticket);
        let next = {
            let mut state = self.state();
            state.attempts.entry(name.clone()).or_default().submits += 1;
            state.script.pop_front().unwrap_or(OnSubmit::Adopt)
        };
        match next {
            OnSubmit::Adopt => self.adopt(&name),
            OnSubmit::AdoptUnstarted => {}
            OnSubmit::NotYet(look_again) => {
                return Ok(Submitted::NotYet { look_again, waiting_for: "the engine to be ready".into() });
            }
            OnSubmit::AdoptAndLose(error) => {
                self.adopt(&name);
                return Err(error);
            }
            OnSubmit::Fail(error) => return Err(error),
            OnSubmit::Hang => std::future::pending().await,
        }
        Ok(Submitted::Adopted { external_id: name })
    }

    async fn reaches(&self, _external_id: &str) -> bool {
        let mut state = self.state();
        state.asked += 1;
        !state.out_of_reach
    }

    async fn observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation> {
        let mut news = self.news.subscribe();
        let read = async {
            loop {
                news.borrow_and_update();
                if let Some(seen) = self.read(ticket, cursor)? {
                    return Ok(seen);
                }
                news.changed().await.expect("the engine holds its own sender");
            }
        };
        match tokio::time::timeout(LOOK, read).await {
            Ok(seen) => seen,
            Err(_) => Ok(Observation { cursor, ..Observation::default() }),
        }
    }

    async fn stop(&self, ticket: &RunTicket) -> Result<()> {
        let name = external_name(ticket);
        {
            let mut state = self.state();
            if state.out_of_reach {
                return Err(Error::unavailable("another_servers_run", "it was started by another server"));
            }
            let ignore = state.ignore_stop;
            let Some(attempt) = state.attempts.get_mut(&name) else { return Ok(()) };
            attempt.stops += 1;
            attempt.stopped_after_a_try.push(ticket.tried_before);
            if ignore {
                return Ok(());
            }
        }
        self.end(&name, RunState::Stopped);
        Ok(())
    }

    async fn request(&self, _ticket: &RunTicket, item: Value, _timeout: Duration) -> Result<Value> {
        Ok(json!({ "echo": item }))
    }
}
