//! Consumers: what takes events onward, each event at least once and in order.
//!
//! How far a consumer is stands in the database and moves only behind what was delivered, so that neither a crash nor the
//! loss of a message broker skips anything. One that fails is tried again with growing pauses; an event that it does not take
//! in the end is a [dead letter](super::dead_letters), and the next ones go on. One process serves a consumer at a time, by
//! a duty; two that do it all the same repeat a delivery, which "at least once" allows, and the position moves once.
//!
//! Not here: exactly once. A consumer that must not repeat itself remembers the event's position.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Event, EventFilter, dead_letters};
use crate::{context::Scope, jobs::JobError, kernel::Kernel, params};

/// One delivery, and deliveries after which the position is stored and the duty renewed: together less than what is left at
/// least of the duty's lease when a pass begins.
const LIMIT: Duration = Duration::from_secs(5);
const TURN: Duration = Duration::from_secs(2);
/// Events read at once; after a crash as many may be delivered again.
const BATCH: u32 = 64;
const POLL: Duration = Duration::from_secs(2);

/// How often an event is tried, and how long is waited in between: doubled each time, up to `most`.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub attempts: u32,
    pub first: Duration,
    pub most: Duration,
}

impl Default for Patience {
    /// About ten minutes in all.
    fn default() -> Self {
        Self { attempts: 10, first: Duration::from_secs(1), most: Duration::from_mins(5) }
    }
}

/// What a plane registers to get events.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Never another one's: the position is kept under it.
    fn name(&self) -> &str;

    /// Whose events alone it gets; those of all where it does not say.
    fn scope(&self) -> Option<Scope> {
        None
    }

    /// Whether it gets events of this type.
    fn wants(&self, _event_type: &str) -> bool {
        true
    }

    fn patience(&self) -> Patience {
        Patience::default()
    }

    /// Why an event of a type that it wants is not for it: it is passed over, and none that was set aside is sent again.
    async fn withheld(&self, _scope: Scope, _event: &Event) -> Result<Option<Error>> {
        Ok(None)
    }

    /// Also of an event that it had before: see the module.
    async fn deliver(&self, scope: Scope, event: &Event) -> Result<()>;
}

/// How a consumer is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConsumerReading {
    pub name: String,
    /// The position of the last event that it is done with.
    pub pos: i64,
    /// Events that it has still to see.
    pub behind: i64,
    /// Attempts that failed of the event that it is at.
    pub failures: i64,
    pub error: Option<JobError>,
    /// When it is tried again, while it fails.
    pub due_at: Option<Timestamp>,
    /// Events that it did not take.
    pub dead: i64,
}

/// Where a consumer is.
struct Place {
    pos: i64,
    failures: i64,
    due_at: Timestamp,
}

/// What there is to see behind a place.
struct Ahead {
    events: Vec<(Scope, Event)>,
    /// There is nothing else for the consumer up to here.
    end: i64,
}

/// What a look came to.
enum Pass {
    More,
    /// Nothing to do until then, or until there are events.
    Idle(Duration),
}

impl Kernel {
    /// Serves one consumer until cancelled, and leaves the duties of this process.
    pub(crate) async fn consumer_run(self, consumer: Arc<dyn Consumer>, stop: CancellationToken) {
        self.consumer_serve(consumer, &stop).await;
        self.duties_leave().await;
    }

    /// Serves one consumer until cancelled.
    pub(crate) async fn consumer_serve(&self, consumer: Arc<dyn Consumer>, stop: &CancellationToken) {
        let mut news = self.bus.follow_events();
        let (mut failing, mut passed) = (false, None);
        loop {
            news.mark_unchanged();
            let pass = tokio::select! {
                () = stop.cancelled() => break,
                pass = self.consumer_pass(&*consumer, &mut passed) => pass,
            };
            let wait = match pass {
                Ok(Pass::More) => continue,
                Ok(Pass::Idle(wait)) => {
                    failing = false;
                    wait
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(consumer = consumer.name(), %error, "serve a consumer: will try again");
                    }
                    failing = true;
                    POLL
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                _ = news.changed(), if !failing => {}
            }
        }
    }

    /// `passed`: when the place was last moved behind events of others alone.
    async fn consumer_pass(&self, consumer: &dyn Consumer, passed: &mut Option<Instant>) -> Result<Pass> {
        let (name, now) = (consumer.name(), self.reckoning.now());
        if !self.duty_take(&format!("consumer.{name}")).await? {
            return Ok(Pass::Idle(POLL));
        }
        if self.dead_letter_redeliver(consumer).await? {
            return Ok(Pass::More);
        }
        let place = self.consumer_place(name).await?;
        let wait = place.due_at.since(now);
        // A time further ahead than any pause was written by a clock that was wrong.
        if place.failures > 0 && !wait.is_zero() && wait <= consumer.patience().most {
            return Ok(Pass::Idle(wait.min(POLL)));
        }
        let ahead = self.consumer_ahead(consumer, place.pos).await?;
        let (mut pos, mut failed, mut cut) = (place.pos, None, false);
        let began = Instant::now();
        for (scope, event) in &ahead.events {
            if began.elapsed() >= TURN {
                cut = true;
                break;
            }
            if consumer.wants(&event.event_type) {
                // Without an answer nothing is sent and nothing passed over.
                let withheld = consumer.withheld(*scope, event).await?.is_some();
                if !withheld && let Err(error) = deliver(consumer, *scope, event).await {
                    failed = Some((*scope, event.clone(), error));
                    break;
                }
            }
            pos = event.pos;
        }
        if failed.is_none() && !cut {
            pos = pos.max(ahead.end);
        }
        match failed {
            Some((scope, event, error)) => {
                // Failures count for the event that they are of.
                let failures = if pos == place.pos { place.failures } else { 0 } + 1;
                self.consumer_failed(consumer, (place.pos, pos), failures, scope, &event, error).await?;
            }
            None if pos > place.pos && !ahead.events.is_empty() => {
                self.consumer_moved(name, place.pos, pos).await?;
            }
            // What others do is not worth a write each time: nothing is lost where the place stays behind it.
            None if pos > place.pos && passed.is_none_or(|at| at.elapsed() >= POLL) => {
                self.consumer_moved(name, place.pos, pos).await?;
                *passed = Some(Instant::now());
                return Ok(Pass::Idle(POLL));
            }
            None => return Ok(Pass::Idle(POLL)),
        }
        Ok(Pass::More)
    }

    async fn consumer_ahead(&self, consumer: &dyn Consumer, after: i64) -> Result<Ahead> {
        let Some(scope) = consumer.scope() else {
            let events = self.events_of_all(after, BATCH).await?;
            let end = events.last().map_or(after, |(_, event)| event.pos);
            return Ok(Ahead { events, end });
        };
        // Asked before the events are read: what gets its place in between is seen at the next look.
        let head = self.events_head().await?;
        let events = self.events_after(scope, EventFilter::default(), after, BATCH).await?;
        let end = match events.last() {
            Some(last) if events.len() == BATCH as usize => last.pos,
            _ => head,
        };
        Ok(Ahead { events: events.into_iter().map(|event| (scope, event)).collect(), end })
    }

    /// Made behind what there is when the consumer is first seen.
    async fn consumer_place(&self, name: &str) -> Result<Place> {
        let (now, name, asked) = (self.reckoning.now(), name.to_owned(), name.to_owned());
        let find = "SELECT pos, failures, due_at FROM consumer WHERE name = $1";
        let found = self
            .store
            .read(move |tx| -> Result<Option<Place>> {
                Ok(tx.opt(find, params![asked], |row| {
                    Ok(Place { pos: row.get(0)?, failures: row.get(1)?, due_at: row.get(2)? })
                })?)
            })
            .await?;
        match found {
            Some(place) => Ok(place),
            None => {
                let head = self.events_head().await?;
                self.store
                    .write(move |tx| -> Result<u64> {
                        Ok(tx.exec(
                            "INSERT INTO consumer (name, pos, failures, due_at) VALUES ($1, $2, 0, $3)
                             ON CONFLICT (name) DO NOTHING",
                            params![name, head, now],
                        )?)
                    })
                    .await?;
                Ok(Place { pos: head, failures: 0, due_at: now })
            }
        }
    }

    /// Where another process got ahead nothing is written.
    async fn consumer_moved(&self, name: &str, from: i64, to: i64) -> Result<()> {
        let name = name.to_owned();
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec(
                    "UPDATE consumer SET pos = $3, failures = 0, error_code = NULL, error_message = NULL
                     WHERE name = $1 AND pos = $2",
                    params![name, from, to],
                )?;
                Ok(())
            })
            .await
    }

    /// Waits longer each time; in the end the event is set aside, and the consumer goes on behind it.
    async fn consumer_failed(
        &self,
        consumer: &dyn Consumer,
        (from, to): (i64, i64),
        failures: i64,
        scope: Scope,
        event: &Event,
        error: Error,
    ) -> Result<()> {
        let (name, patience, now) = (consumer.name().to_owned(), consumer.patience(), self.reckoning.now());
        let dead = failures >= i64::from(patience.attempts);
        let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(20);
        let pause = patience.first.saturating_mul(1 << doublings).min(patience.most);
        let due_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        if dead {
            tracing::warn!(consumer = %name, pos = event.pos, %error, "an event is not taken, and is set aside");
        }
        let error = JobError { code: error.code.into(), message: error.detail };
        let letter = dead.then(|| dead_letters::NewLetter {
            id: self.source.uuid(),
            scope,
            consumer: name.clone(),
            event: event.clone(),
            attempts: failures,
            error: error.clone(),
            now: self.source.now(),
        });
        self.store
            .write(move |tx| -> Result<()> {
                let (to, failures, error) = match &letter {
                    Some(letter) => (letter.event.pos, 0, None),
                    None => (to, failures, Some(&error)),
                };
                let moved = tx.exec(
                    "UPDATE consumer SET pos = $3, failures = $4, error_code = $5, error_message = $6, due_at = $7
                     WHERE name = $1 AND pos = $2",
                    params![
                        name,
                        from,
                        to,
                        failures,
                        error.map(|error| &error.code),
                        error.map(|error| &error.message),
                        due_at
                    ],
                )?;
                match &letter {
                    Some(letter) if moved == 1 => letter.insert(tx),
                    _ => Ok(()),
                }
            })
            .await
    }

    /// Every consumer that this database has seen.
    pub async fn consumer_list(&self) -> Result<Vec<ConsumerReading>> {
        self.store
            .read(|tx| -> Result<Vec<ConsumerReading>> {
                Ok(tx.rows(
                    "SELECT c.name, c.pos, (SELECT COALESCE(MAX(pos), 0) FROM event), c.failures, c.error_code, c.error_message,
                       c.due_at, (SELECT count(*) FROM dead_letter d WHERE d.consumer = c.name AND d.state <> 'delivered')
                     FROM consumer c ORDER BY c.name",
                    &[],
                    |row| {
                        let (pos, head, failures): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
                        let error = row.get::<Option<String>>(4)?.zip(row.get::<Option<String>>(5)?);
                        Ok(ConsumerReading {
                            name: row.get(0)?,
                            pos,
                            behind: (head - pos).max(0),
                            failures,
                            error: error.map(|(code, message)| JobError { code, message }),
                            due_at: if failures > 0 { Some(row.get(6)?) } else { None },
                            dead: row.get(7)?,
                        })
                    },
                )?)
            })
            .await
    }
}

/// One that takes too long has failed.
pub(super) async fn deliver(consumer: &dyn Consumer, scope: Scope, event: &Event) -> Result<()> {
    match tokio::time::timeout(LIMIT, consumer.deliver(scope, event)).await {
        Ok(delivered) => delivered,
        Err(_) => {
            let detail = format!("{} took longer than {LIMIT:?}", consumer.name());
            Err(Error::unavailable("consumer_timeout", detail))
        }
    }
}
