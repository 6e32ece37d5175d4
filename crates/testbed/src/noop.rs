//! An engine that does nothing: it adopts an attempt at once, and the first observation ends it as succeeded.
//!
//! Parameters of the run make it pretend: `lines` of log, `take_ms` until the end, `fail`. What it says follows from the
//! parameters and the cursor alone, so that after a `kill -9` of the process each line is still told once; only the time
//! that it takes begins anew, and a stop that was asked for must be asked for again. Where there is a world to count in
//! ([`crate::world`]), each start and each stop is an effect there, and a stop is remembered there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    id::RunId,
    state::RunState,
};
use qd_kernel::{
    clock::Source,
    engine::{
        EngineReading, EngineState, LogLevel, LogLine, LogStream, Observation, RunEnd, RunEngine, RunTicket,
        Submitted,
    },
};
use serde_json::Value;
use tokio::sync::watch;

use crate::world::client::{Deed, WorldClient};

/// The engine's registered name.
pub const NOOP: &str = "noop";
/// Lines told by one observation at most.
const BATCH: i64 = 1000;
/// How long an observation waits for something to tell.
const LOOK: Duration = Duration::from_secs(1);

type Attempt = (RunId, u32);

pub struct Noop {
    source: Source,
    world: Option<WorldClient>,
    pretending: Mutex<HashMap<Attempt, Pretence>>,
    stops: watch::Sender<u64>,
}

struct Pretence {
    since: Instant,
    stopped: bool,
}

struct Wish {
    lines: i64,
    take: Duration,
    fail: bool,
}

impl Wish {
    fn of(ticket: &RunTicket) -> Self {
        let number = |name: &str| ticket.params[name].as_u64().unwrap_or(0);
        Self {
            lines: i64::try_from(number("lines")).unwrap_or(0),
            take: Duration::from_millis(number("take_ms")),
            fail: ticket.params["fail"] == true,
        }
    }

    /// Lines that are due `after` the start: spread evenly, all of them at the end.
    fn due(&self, after: Duration) -> i64 {
        if after >= self.take {
            return self.lines;
        }
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.lines.saturating_mul(micros(after)) / micros(self.take).max(1)
    }
}

impl Noop {
    pub fn new(source: Source) -> Self {
        Self { source, world: None, pretending: Mutex::default(), stops: watch::Sender::new(0) }
    }

    /// Counts what it does in a world that outlives this process.
    pub fn counting(mut self, world: Option<WorldClient>) -> Self {
        self.world = world;
        self
    }

    /// A stop that a process before this one was asked for.
    async fn remember(&self, ticket: &RunTicket) -> Result<()> {
        let Some(world) = &self.world else { return Ok(()) };
        let key = (ticket.run_id, ticket.attempt);
        if self.pretending().contains_key(&key) {
            return Ok(());
        }
        let stopped = world.holds(&name("stop", ticket)).await?;
        self.pretending().entry(key).or_insert_with(|| Pretence { since: Instant::now(), stopped });
        Ok(())
    }

    async fn count(&self, what: &str, ticket: &RunTicket) -> Result<()> {
        let Some(world) = &self.world else { return Ok(()) };
        world.act(&Deed::once(name(what, ticket), ticket.run_id.to_string())).await.map(drop)
    }

    fn pretending(&self) -> MutexGuard<'_, HashMap<Attempt, Pretence>> {
        self.pretending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be told after `cursor`, which counts the start, then the lines, then the end; or how long until then.
    fn tell(&self, ticket: &RunTicket, cursor: i64) -> std::result::Result<Observation, Duration> {
        let key = (ticket.run_id, ticket.attempt);
        let (after, stopped) = {
            let mut pretending = self.pretending();
            let fresh = || Pretence { since: Instant::now(), stopped: false };
            let pretence = pretending.entry(key).or_insert_with(fresh);
            (pretence.since.elapsed(), pretence.stopped)
        };
        let (wish, now) = (Wish::of(ticket), self.source.now());
        let told = (cursor - 1).max(0);
        let due = if stopped { told } else { wish.due(after).min(told + BATCH) };
        let ends = stopped || (after >= wish.take && due == wish.lines);
        if cursor > 0 && due <= told && !ends {
            return Err(wish.take.saturating_sub(after) / u32::try_from(wish.lines + 1).unwrap_or(u32::MAX));
        }
        let mut seen = Observation { cursor: due.max(told) + 1, ..Observation::default() };
        seen.started_at = (cursor == 0).then_some(now);
        seen.logs = (told + 1..=due)
            .map(|n| LogLine {
                at: now,
                stage: None,
                stream: LogStream::Stdout,
                level: LogLevel::Info,
                text: format!("line {n}"),
            })
            .collect();
        if ends {
            let (state, code) = match (stopped, wish.fail) {
                (true, _) => (RunState::Stopped, None),
                (false, true) => (RunState::Failed, Some("noop_failed")),
                (false, false) => (RunState::Succeeded, None),
            };
            let message = code.map(|_| "the run was asked to fail".to_owned());
            let exit_code = Some(i64::from(state == RunState::Failed));
            seen.cursor += 1;
            seen.end = Some(RunEnd { state, code: code.map(str::to_owned), message, exit_code, at: now });
            self.pretending().remove(&key);
        }
        Ok(seen)
    }
}

/// What an attempt's start or stop is called in the world.
fn name(what: &str, ticket: &RunTicket) -> String {
    format!("{what}/{}/{}", ticket.run_id, ticket.attempt)
}

#[async_trait]
impl RunEngine for Noop {
    fn name(&self) -> &'static str {
        NOOP
    }

    async fn health(&self) -> EngineReading {
        EngineReading {
            name: NOOP.into(),
            title: "No-op".into(),
            state: EngineState::Healthy,
            detail: "Pretends, in this process".into(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            observed_at: self.source.now(),
            progress: None,
        }
    }

    async fn submit(&self, ticket: &RunTicket) -> Result<Submitted> {
        self.count("start", ticket).await?;
        Ok(Submitted::Adopted { external_id: format!("noop-{}-{}", ticket.run_id, ticket.attempt) })
    }

    async fn observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation> {
        self.remember(ticket).await?;
        let until = Instant::now() + LOOK;
        let mut stops = self.stops.subscribe();
        loop {
            stops.borrow_and_update();
            let wait = match self.tell(ticket, cursor) {
                Ok(seen) => return Ok(seen),
                Err(wait) => wait.max(Duration::from_millis(1)),
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Observation { cursor, ..Observation::default() });
            }
            // An error says that the engine is going, and then the wait does not matter.
            let _ = tokio::time::timeout(wait.min(left), stops.changed()).await;
        }
    }

    async fn stop(&self, ticket: &RunTicket) -> Result<()> {
        self.count("stop", ticket).await?;
        let fresh = || Pretence { since: Instant::now(), stopped: false };
        self.pretending().entry((ticket.run_id, ticket.attempt)).or_insert_with(fresh).stopped = true;
        self.stops.send_modify(|n| *n += 1);
        Ok(())
    }

    async fn request(&self, _ticket: &RunTicket, _item: Value, _timeout: Duration) -> Result<Value> {
        Err(Error::conflict("run_not_serving", "a no-op run serves nothing"))
    }
}

#[cfg(test)]
mod tests {
    use qd_core::id::{ProjectId, ResourceId, TenantId};
    use qd_kernel::{clock, context::Scope};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn ticket(params: Value) -> RunTicket {
        let id = Uuid::from_u128(1);
        RunTicket {
            run_id: RunId::from(id),
            scope: Scope { tenant_id: TenantId::from(id), project_id: ProjectId::from(id) },
            resource_id: ResourceId::from(id),
            run_ref: "toy#1".into(),
            kind: "Toy".into(),
            attempt: 1,
            spec: json!({}),
            params,
            correlation_id: String::new(),
            external_id: None,
            engine_detail: None,
            tried_before: false,
        }
    }

    #[tokio::test]
    async fn one_observation_ends_a_run_that_asks_for_nothing() {
        let seen = Noop::new(clock::system()).observe(&ticket(json!({})), 0).await.unwrap();
        assert!(seen.started_at.is_some() && seen.logs.is_empty());
        assert_eq!(seen.end.map(|end| end.state), Some(RunState::Succeeded));
    }

    #[tokio::test]
    async fn each_line_is_told_once_also_by_a_second_engine_that_goes_on() {
        let ticket = ticket(json!({ "lines": 2500, "take_ms": 20, "fail": true }));
        let (mut engine, mut cursor, mut lines) = (Noop::new(clock::system()), 0, vec![]);
        let end = loop {
            let seen = engine.observe(&ticket, cursor).await.unwrap();
            cursor = seen.cursor;
            lines.extend(seen.logs.into_iter().map(|line| line.text));
            if let Some(end) = seen.end {
                break end;
            }
            if lines.len() > 1000 {
                engine = Noop::new(clock::system());
            }
        };
        assert_eq!(lines, (1..=2500).map(|n| format!("line {n}")).collect::<Vec<_>>());
        assert_eq!((end.state, end.code.as_deref()), (RunState::Failed, Some("noop_failed")));
    }

    #[tokio::test]
    async fn a_stop_ends_a_run_that_would_take_for_ever() {
        let (engine, ticket) = (Noop::new(clock::system()), ticket(json!({ "take_ms": 3_600_000 })));
        let seen = engine.observe(&ticket, 0).await.unwrap();
        assert!(seen.end.is_none());
        let (seen, ()) =
            tokio::join!(engine.observe(&ticket, seen.cursor), async { engine.stop(&ticket).await.unwrap() });
        assert_eq!(seen.unwrap().end.map(|end| end.state), Some(RunState::Stopped));
    }
}
