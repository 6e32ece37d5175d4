//! Following a run or a job until it ends.
//!
//! The event stream only says that something moved; what is shown is always the object itself, read again at most
//! five times a second. So a lost event costs a moment, never a wrong picture. Ctrl-C detaches: nothing is cancelled.

pub mod job;
pub mod job_table;
pub mod narrator;
pub mod run;
pub mod screen;
pub mod stage_table;

use std::time::Duration;

use futures::StreamExt;
use futures::stream::LocalBoxStream;
use tokio::time::Instant;

use crate::client::Client;
use crate::client::follow::Signal;
use crate::client::shapes::{Event, LogLine};
use crate::failure::Failure;

/// Shortest time between two looks at the same object.
const LOOK_GAP: Duration = Duration::from_millis(200);
/// Looks even if no event came: the stream may end at a proxy that swallows it.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

/// What a follower has to do next.
#[derive(Debug)]
pub enum Turn {
    /// Read the object again.
    Look,
    Log(LogLine),
    /// The run's log is complete.
    LogEnd,
    /// Only time has passed.
    Tick,
    /// Ctrl-C.
    Detached,
}

/// Turns the server's stream, the clock and Ctrl-C into [`Turn`]s.
pub struct Watch<'c> {
    signals: LocalBoxStream<'c, Result<Signal, Failure>>,
    interrupt: std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>>>>,
    concerns: Box<dyn Fn(&Event) -> bool + 'c>,
    stale: bool,
    looked: Option<Instant>,
    tick: Duration,
}

impl<'c> Watch<'c> {
    /// Watches for events that `concerns` picks; with `logs`, also for the log lines of that run.
    pub fn new(
        client: &'c Client,
        logs: Option<&str>,
        concerns: impl Fn(&Event) -> bool + 'c,
        tick: Duration,
    ) -> Self {
        let query: Vec<(&str, String)> = logs.iter().map(|run| ("logs", (*run).to_owned())).collect();
        Self {
            signals: client.follow("/api/v1/stream", &query, None).signals(),
            interrupt: Box::pin(tokio::signal::ctrl_c()),
            concerns: Box::new(concerns),
            stale: true,
            looked: None,
            tick,
        }
    }

    pub async fn next(&mut self) -> Result<Turn, Failure> {
        let ticked = Instant::now() + self.tick;
        loop {
            let look_at = match self.looked {
                None => Instant::now(),
                Some(looked) if self.stale => looked + LOOK_GAP,
                Some(looked) => looked + LOOK_ANYWAY,
            };
            tokio::select! {
                biased;
                _ = &mut self.interrupt => return Ok(Turn::Detached),
                () = tokio::time::sleep_until(look_at) => {
                    self.looked = Some(Instant::now());
                    self.stale = false;
                    return Ok(Turn::Look);
                }
                signal = self.signals.next() => {
                    let Some(signal) = signal else {
                        return Err(Failure::local("the event stream has ended"));
                    };
                    if let Some(turn) = self.take(signal?) {
                        return Ok(turn);
                    }
                }
                () = tokio::time::sleep_until(ticked) => return Ok(Turn::Tick),
            }
        }
    }

    /// Carries `work` out; `None` when Ctrl-C came first. A look may be tried again for minutes while the server is away.
    pub async fn unless_interrupted<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = &mut self.interrupt => None,
            done = work => Some(done),
        }
    }

    fn take(&mut self, signal: Signal) -> Option<Turn> {
        let Signal::Message(message) = signal else {
            self.stale = true;
            return None;
        };
        match message.event.as_str() {
            "log" => serde_json::from_str(&message.data).ok().map(Turn::Log),
            // With a reason it is the stream that ended, and not the log: the next connection says more.
            "end" => message.end_reason().is_none().then_some(Turn::LogEnd),
            "gap" => {
                self.stale = true;
                None
            }
            _ => {
                let event: Event = serde_json::from_str(&message.data).unwrap_or_default();
                self.stale |= (self.concerns)(&event);
                None
            }
        }
    }
}
