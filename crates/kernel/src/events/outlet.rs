//! Passes events on to a JetStream stream, for readers outside Quarterdeck.
//!
//! The database stays the only truth: JetStream acknowledges before it syncs to disk, and may be wiped. How far the
//! stream is, it says itself: its last message carries the position as `Nats-Msg-Id`. Each message goes in only behind the
//! one before (`Nats-Expected-Last-Sequence`), so any number of processes may try: one wins, the others read on. A stream
//! that was wiped is made again and filled with what it would still hold.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    context::{Context as JetStream, PublishAckFuture},
    message::PublishMessage,
    stream::{Config, DiscardPolicy, Stream},
};
use qd_core::{error::Result, time::Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Event;
use crate::{bus::nats::Nats, context::Scope, kernel::Kernel, params};

/// Messages under way at once.
const BATCH: u32 = 256;
/// How long the stream keeps what it was given.
const KEEP: Duration = Duration::from_hours(7 * 24);
const POLL: Duration = Duration::from_secs(5);
/// How long what comes is gathered: work here goes before news for others.
const GATHER: Duration = Duration::from_millis(20);
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MOST: Duration = Duration::from_secs(30);

/// Where the stream is.
struct Tip {
    /// Of its last message.
    sequence: u64,
    /// Of the last event in it.
    pos: i64,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Kernel {
    /// Runs until cancelled. A server that is away, or another process that is faster, is tried again.
    pub(crate) async fn outlet_run(self, nats: Nats, stop: CancellationToken) {
        let jetstream = jetstream::new(nats.client.clone());
        let mut news = self.bus.follow_events();
        let mut wait = BACKOFF_FIRST;
        while !stop.is_cancelled() {
            let passed = tokio::select! {
                () = stop.cancelled() => return,
                passed = self.outlet_fill(&jetstream, nats.installation, &mut news, &mut wait) => passed,
            };
            if let Err(error) = passed {
                tracing::debug!(%error, "pass events on to JetStream: will try again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(BACKOFF_MOST);
        }
    }

    /// Passes on what comes, until something fails.
    async fn outlet_fill(
        &self,
        jetstream: &JetStream,
        installation: Uuid,
        news: &mut watch::Receiver<u64>,
        wait: &mut Duration,
    ) -> std::result::Result<(), Failed> {
        let prefix = format!("qd.{}.events", installation.simple());
        let stream = jetstream.get_or_create_stream(config(installation, &prefix)).await?;
        let mut tip = self.tip(&stream).await?;
        loop {
            news.borrow_and_update();
            let events = self.events_of_all(tip.pos, BATCH).await?;
            if events.is_empty() {
                // A wipe shows as a stream that is gone, at the next look at the latest.
                if tokio::time::timeout(POLL, news.changed()).await.is_ok() {
                    tokio::time::sleep(GATHER).await;
                    continue;
                }
                let info = jetstream.get_stream(&config(installation, &prefix).name).await?;
                if info.cached_info().state.last_sequence != tip.sequence {
                    tip = self.tip(&info).await?;
                }
                continue;
            }
            let mut acks: Vec<PublishAckFuture> = vec![];
            for (scope, event) in &events {
                let subject = format!(
                    "{prefix}.{}.{}.{}",
                    scope.tenant_id.uuid().simple(),
                    scope.project_id.uuid().simple(),
                    event.event_type
                );
                let message = PublishMessage::build()
                    .message_id(event.pos.to_string())
                    .expected_last_sequence(tip.sequence + acks.len() as u64)
                    .payload(serde_json::to_vec(event)?.into());
                acks.push(jetstream.send_publish(subject, message).await?);
            }
            for (ack, (_, event)) in acks.into_iter().zip(&events) {
                let ack = ack.await?;
                tip = Tip { sequence: ack.sequence, pos: event.pos };
            }
            *wait = BACKOFF_FIRST;
        }
    }

    /// Where to go on: behind the stream's last event, or, where it has none, with the oldest event that it would still
    /// hold.
    async fn tip(&self, stream: &Stream) -> std::result::Result<Tip, Failed> {
        let state = &stream.cached_info().state;
        let sequence = state.last_sequence;
        if state.messages > 0 {
            let last = stream.get_raw_message(sequence).await?;
            let pos =
                last.headers.get(async_nats::header::NATS_MESSAGE_ID).and_then(|id| id.as_str().parse().ok());
            if let Some(pos) = pos {
                return Ok(Tip { sequence, pos });
            }
        }
        let oldest = self.source.now().checked_sub(KEEP).unwrap_or(Timestamp::MIN);
        let pos = self
            .store
            .read(move |tx| -> Result<i64> {
                let first = tx.opt(
                    "SELECT pos FROM event WHERE at >= $1 ORDER BY pos LIMIT 1",
                    params![oldest],
                    |row| row.get::<i64>(0),
                )?;
                match first {
                    Some(first) => Ok(first - 1),
                    None => Ok(tx.one("SELECT COALESCE(MAX(pos), 0) FROM event", &[], |row| row.get(0))?),
                }
            })
            .await?;
        Ok(Tip { sequence, pos })
    }

    /// Events of every tenant after a position: for what serves all of them.
    pub(super) async fn events_of_all(&self, after: i64, limit: u32) -> Result<Vec<(Scope, Event)>> {
        self.store
            .read(move |tx| -> Result<Vec<(Scope, Event)>> {
                Ok(tx.rows(
                    "SELECT pos, type, at, actor, kind, resource_id, resource_name, run_id, job_id, correlation_id, data,
                       tenant_id, project_id
                     FROM event WHERE pos > $1 ORDER BY pos LIMIT $2",
                    params![after, i64::from(limit)],
                    |row| Ok((Scope { tenant_id: row.get(11)?, project_id: row.get(12)? }, super::row(row)?)),
                )?)
            })
            .await
    }
}

fn config(installation: Uuid, prefix: &str) -> Config {
    Config {
        name: format!("QD_{}", installation.simple()),
        description: Some("Quarterdeck's events; Nats-Msg-Id is the position".into()),
        subjects: vec![format!("{prefix}.>")],
        max_age: KEEP,
        discard: DiscardPolicy::Old,
        ..Config::default()
    }
}
