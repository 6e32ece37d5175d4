//! Reading an attempt's journal on from a cursor.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qd_core::error::{Error, Result};
use qd_core::state::RunState;
use qd_core::time::Timestamp;
use qd_kernel::engine::{LogLevel, LogLine, LogStream, Observation, RunEnd, RunTicket};

use super::memory::{Exit, Memory};
use super::{Attempt, Xenna, apart, blocking, ending, events};
use crate::supervisor::journal::{Body, Level, Line, Page, Stream, read_from};
use crate::supervisor::{self, SupervisorState, kill_leftovers, probe, remove_scratch, scratch_dir};

/// An observation that finds nothing new comes back after this.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks; the first ones are closer together.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of the journal in one observation.
const PAGE: usize = 256 * 1024;
/// When the supervisor takes longer than this to end what the runner left, the run has ended all the same.
const GONE_LIMIT: Duration = Duration::from_secs(4);
/// How long killed leftovers may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Xenna {
    pub(super) async fn attempt_observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation> {
        self.check_own(ticket).await?;
        let dir = self.folders.attempt(ticket.run_id, ticket.attempt);
        let offset = u64::try_from(cursor).unwrap_or(0);
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let (state, page) = look(dir.clone(), offset).await?;
            if page.next_offset > offset {
                return self.translate(ticket, &dir, cursor, page).await;
            }
            if let Some(end) = self.end_without_a_word(ticket, &dir, state).await? {
                let memory = self.memory_of(ticket, &dir);
                self.forget(ticket);
                return Ok(ended(Observation { cursor, ..Observation::default() }, &memory, end));
            }
            if began.elapsed() >= LOOK {
                return Ok(Observation { cursor, ..Observation::default() });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// What the records of a page say, once what they say but once has been kept.
    async fn translate(
        &self,
        ticket: &RunTicket,
        dir: &Path,
        cursor: i64,
        page: Page,
    ) -> Result<Observation> {
        let mut memory = self.memory_of(ticket, dir);
        let before = memory.clone();
        let mut seen = Observation::default();
        let metrics = ticket.spec.pointer("/observability/metrics").and_then(serde_json::Value::as_bool);
        if cursor == 0 {
            seen.started_at = page.records.first().map(|record| Timestamp::from_micros(record.t));
        }
        if page.garbage > 0 {
            tracing::warn!(run_id = %ticket.run_id, lines = page.garbage, "read a journal: lines that are no records");
        }
        let mut gone = false;
        for record in page.records {
            let at = Timestamp::from_micros(record.t);
            match record.body {
                Body::Log(line) => seen.logs.push(log_line(line, at)),
                Body::Event { e } => {
                    events::take(e, at, &mut memory, &mut seen, metrics.unwrap_or(true));
                }
                Body::Exit { code, signal, stopped } => {
                    memory.exit = Some(Exit { code, signal, stopped, at: record.t });
                }
                Body::Gone => gone = true,
            }
        }
        seen.cursor = i64::try_from(page.next_offset)
            .map_err(|_| Error::internal("journal_too_long", "a journal is longer than can be counted"))?;
        if memory != before {
            let (kept, dir) = (memory.clone(), dir.to_owned());
            blocking("keep what was observed", move || kept.write(&dir)).await?;
            self.remember(ticket, memory.clone());
        }
        if gone {
            self.forget(ticket);
            let end = match memory.exit {
                Some(exit) => ending::of_exit(&memory, exit, serving(ticket)),
                None => ending::lost(self.clock.now()),
            };
            return Ok(ended(seen, &memory, end));
        }
        Ok(seen)
    }

    /// The end of an attempt whose journal says no more, if it is one.
    async fn end_without_a_word(
        &self,
        ticket: &RunTicket,
        dir: &Path,
        state: SupervisorState,
    ) -> Result<Option<RunEnd>> {
        let exit = self.memory_of(ticket, dir).exit;
        let by_exit = |exit| ending::of_exit(&self.memory_of(ticket, dir), exit, serving(ticket));
        match state {
            SupervisorState::Alive { .. } => {
                let since_exit = |exit: &Exit| self.clock.now().since(Timestamp::from_micros(exit.at));
                Ok(exit.filter(|exit| since_exit(exit) > GONE_LIMIT).map(by_exit))
            }
            SupervisorState::Dead => {
                let (run_id, attempt, dir) = (ticket.run_id.to_string(), ticket.attempt, dir.to_owned());
                apart("end what a dead supervisor left", move || {
                    let held = scratch_dir(&dir);
                    kill_leftovers(&run_id, Some(attempt), held.as_deref(), PATIENCE)?;
                    remove_scratch(&dir).map(drop)
                })
                .await?;
                Ok(Some(exit.map_or_else(|| ending::lost(self.clock.now()), by_exit)))
            }
            // The journal was read to its end before (its last record ends the run), or the folder was removed.
            SupervisorState::Finished | SupervisorState::NotStarted => {
                Ok(Some(exit.map_or_else(|| ending::lost(self.clock.now()), by_exit)))
            }
        }
    }

    fn memory_of(&self, ticket: &RunTicket, dir: &Path) -> Memory {
        let key = (ticket.run_id, ticket.attempt);
        if let Some(known) = self.attempts().get(&key).and_then(|attempt| attempt.memory.clone()) {
            return known;
        }
        let memory = Memory::read(dir);
        self.remember(ticket, memory.clone());
        memory
    }

    fn remember(&self, ticket: &RunTicket, memory: Memory) {
        let mut attempts = self.attempts();
        attempts.entry((ticket.run_id, ticket.attempt)).or_insert_with(Attempt::new).memory = Some(memory);
    }

    fn forget(&self, ticket: &RunTicket) {
        self.attempts().remove(&(ticket.run_id, ticket.attempt));
    }
}

/// The supervisor's state and then what the journal holds: in this order, so that a journal which is read to its end
/// under a dead supervisor has no more to say.
async fn look(dir: PathBuf, offset: u64) -> Result<(SupervisorState, Page)> {
    blocking("read the run's journal", move || {
        let state = probe(&dir)?;
        Ok((state, read_from(&dir.join(supervisor::JOURNAL_FILE), offset, PAGE)?))
    })
    .await
}

/// Failure and results once more, beside the end that they explain.
pub(super) fn ended(mut seen: Observation, memory: &Memory, end: RunEnd) -> Observation {
    if end.state == RunState::Failed {
        seen.failure = seen.failure.or_else(|| memory.failure.clone());
    }
    seen.results = seen.results.or_else(|| memory.results.clone());
    seen.end = Some(end);
    seen
}

fn serving(ticket: &RunTicket) -> bool {
    ticket.spec.get("execution_mode").and_then(serde_json::Value::as_str) == Some("serving")
}

pub(super) fn log_line(line: Line, at: Timestamp) -> LogLine {
    LogLine {
        at,
        stage: line.stage,
        stream: match line.stream {
            Stream::Stdout => LogStream::Stdout,
            Stream::Stderr => LogStream::Stderr,
            Stream::Driver => LogStream::Driver,
        },
        level: match line.level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warning => LogLevel::Warning,
            Level::Error => LogLevel::Error,
        },
        text: line.text,
    }
}
