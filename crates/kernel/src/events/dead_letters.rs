//! Dead letters: events that a consumer did not take, kept whole until somebody sends them again.
//!
//! They outlive the event's own retention. Where there is NATS each is also published to the stream `QD_<installation>_DEAD`,
//! subject `qd.<installation>.dead.<consumer>`, for whoever watches from outside; the row is the truth.

use std::time::Duration;

use async_nats::jetstream::{self, message::PublishMessage, stream::Config};
use qd_core::{
    diff::Change,
    error::{Error, Result},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Event,
    consumers::{Consumer, deliver},
};
use crate::{
    access::sight::{Sifted, Sight, sifted},
    bus::nats::Nats,
    context::{Context, Scope},
    jobs::JobError,
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    page::{Page, PageRequest},
    params,
    query::Query,
    store::{Json, Row, StoreResult, Tx},
};

const POLL: Duration = Duration::from_secs(5);
const BATCH: i64 = 64;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DeadLetter {
    pub id: Uuid,
    pub consumer: String,
    /// `dead`, `due` (to be sent again) or `delivered`.
    pub state: String,
    pub event: Event,
    pub attempts: i64,
    pub error: JobError,
    pub died_at: Timestamp,
    pub delivered_at: Option<Timestamp>,
}

/// Which to list; empty means all of the scope that were not delivered.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    pub consumer: Option<String>,
    /// Also those that were delivered since.
    pub delivered: bool,
    /// About which resources.
    pub sight: Sight,
}

/// One about to be written.
pub(super) struct NewLetter {
    pub id: Uuid,
    pub scope: Scope,
    pub consumer: String,
    pub event: Event,
    pub attempts: i64,
    pub error: JobError,
    pub now: Timestamp,
}

impl NewLetter {
    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<()> {
        let event = serde_json::to_string(&self.event)
            .map_err(|error| Error::internal("event_unwritable", "write an event").with_source(error))?;
        tx.exec(
            "INSERT INTO dead_letter (id, tenant_id, project_id, consumer, pos, event, state, attempts, error_code, error_message,
               died_at)
             VALUES ($1, $2, $3, $4, $5, $6, 'dead', $7, $8, $9, $10) ON CONFLICT (consumer, pos) DO NOTHING",
            params![
                self.id,
                self.scope.tenant_id,
                self.scope.project_id,
                self.consumer,
                self.event.pos,
                event,
                self.attempts,
                self.error.code,
                self.error.message,
                self.now
            ],
        )?;
        Ok(())
    }
}

const COLUMNS: &str =
    "id, consumer, state, event, attempts, error_code, error_message, died_at, delivered_at";

impl Kernel {
    /// Newest first.
    pub async fn dead_letter_list(
        &self,
        scope: Scope,
        filter: DeadLetterFilter,
        page: PageRequest,
    ) -> Result<Page<DeadLetter>> {
        let (before, fetch) = (page.after_uuid("dead-letters")?, page.fetch());
        let (items, rest) = self
            .store
            .read(move |tx| -> Result<Sifted<DeadLetter, Uuid>> {
                let read = |tx: &mut Tx<'_>, before: Option<Uuid>| -> Result<Vec<DeadLetter>> {
                    let mut query = Query::new(&format!("SELECT {COLUMNS} FROM dead_letter WHERE"));
                    query.push(" project_id = ?", scope.project_id);
                    if let Some(consumer) = &filter.consumer {
                        query.push(" AND consumer = ?", consumer.clone());
                    }
                    if !filter.delivered {
                        query.text(" AND state <> 'delivered'");
                    }
                    if let Some(before) = before {
                        query.push(" AND id < ?", before);
                    }
                    query.text(" ORDER BY id DESC").limit(fetch);
                    Ok(query.rows(tx, row)?)
                };
                let shown = |letter: &DeadLetter| filter.sight.shows(letter.event.resource_id);
                sifted(tx, (fetch, before), read, |letter| letter.id, |_, letter| Ok(shown(letter)))
            })
            .await?;
        let rest = rest.map(|id| id.to_string());
        Ok(page.cut_sifted("dead-letters", (items, rest), |letter| letter.id.to_string()))
    }

    /// Asks for the event to be sent to its consumer again; asked twice is asked once.
    pub async fn dead_letter_redeliver_ask(
        &self,
        context: &Context,
        id: Uuid,
        reason: String,
    ) -> Result<DeadLetter> {
        let project_id = context.scope.project_id;
        let act = Act::new("dead-letters", "redeliver").because(reason);
        self.mutate(context, act, move |m| {
            let sql = format!(
                "SELECT {COLUMNS} FROM dead_letter WHERE project_id = $1 AND id = $2{}",
                m.tx.backend().for_update()
            );
            let mut letter = m.tx.opt(&sql, params![project_id, id], row)?.ok_or_else(|| {
                Error::not_found("dead_letter_not_found", format!("there is no dead letter {id} here"))
            })?;
            if letter.state == "delivered" {
                return Err(Error::conflict(
                    "dead_letter_delivered",
                    "its consumer has taken the event since",
                ));
            }
            m.tx.exec("UPDATE dead_letter SET state = 'due' WHERE id = $1", params![id])?;
            let before = std::mem::replace(&mut letter.state, "due".into());
            let change = Change::replace("/state", json!(before), json!("due"));
            m.audit(&Object { kind: "DeadLetter", id, name: &letter.consumer }, &[change], None)?;
            let data = json!({ "id": id, "consumer": letter.consumer, "pos": letter.event.pos });
            m.event("dead_letter.redelivery_asked", Subject::default(), &data)?;
            Ok(letter)
        })
        .await
    }

    /// Sends one that is due to its consumer; false where none is.
    pub(super) async fn dead_letter_redeliver(&self, consumer: &dyn Consumer) -> Result<bool> {
        let name = consumer.name().to_owned();
        let due = self
            .store
            .read(move |tx| -> Result<Option<(Scope, DeadLetter)>> {
                Ok(tx.opt(
                    &format!(
                        "SELECT {COLUMNS}, tenant_id, project_id FROM dead_letter WHERE consumer = $1 AND state = 'due'
                         ORDER BY id LIMIT 1"
                    ),
                    params![name],
                    |found| Ok((Scope { tenant_id: found.get(9)?, project_id: found.get(10)? }, row(found)?)),
                )?)
            })
            .await?;
        let Some((scope, letter)) = due else { return Ok(false) };
        let delivered = match consumer.withheld(scope, &letter.event).await? {
            Some(why) => Err(why),
            None => deliver(consumer, scope, &letter.event).await,
        };
        let now = self.source.now();
        self.store
            .write(move |tx| -> Result<()> {
                match &delivered {
                    Ok(()) => tx.exec(
                        "UPDATE dead_letter SET state = 'delivered', delivered_at = $2, attempts = attempts + 1
                         WHERE id = $1 AND state = 'due'",
                        params![letter.id, now],
                    )?,
                    Err(error) => tx.exec(
                        "UPDATE dead_letter SET state = 'dead', attempts = attempts + 1, error_code = $2, error_message = $3
                         WHERE id = $1 AND state = 'due'",
                        params![letter.id, error.code, error.detail],
                    )?,
                };
                Ok(())
            })
            .await?;
        Ok(true)
    }

    /// Publishes dead letters to their stream until cancelled. One that is published twice has the same `Nats-Msg-Id`.
    pub(crate) async fn dead_letters_run(self, nats: Nats, stop: CancellationToken) {
        let jetstream = jetstream::new(nats.client.clone());
        while !stop.is_cancelled() {
            let published = tokio::select! {
                () = stop.cancelled() => return,
                published = self.dead_letters_publish(&jetstream, nats.installation) => published,
            };
            if let Err(error) = published {
                tracing::debug!(%error, "publish dead letters: will try again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn dead_letters_publish(
        &self,
        jetstream: &jetstream::Context,
        installation: Uuid,
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let letters = self
            .store
            .read(|tx| -> Result<Vec<DeadLetter>> {
                let sql = format!(
                    "SELECT {COLUMNS} FROM dead_letter WHERE published_at IS NULL ORDER BY id LIMIT $1"
                );
                Ok(tx.rows(&sql, params![BATCH], row)?)
            })
            .await?;
        if letters.is_empty() {
            return Ok(());
        }
        let prefix = format!("qd.{}.dead", installation.simple());
        jetstream
            .get_or_create_stream(Config {
                name: format!("QD_{}_DEAD", installation.simple()),
                description: Some("Events that a consumer of Quarterdeck's did not take".into()),
                subjects: vec![format!("{prefix}.>")],
                ..Config::default()
            })
            .await?;
        for letter in letters {
            let message = PublishMessage::build()
                .message_id(letter.id.to_string())
                .payload(serde_json::to_vec(&letter)?.into());
            jetstream.send_publish(format!("{prefix}.{}", letter.consumer), message).await?.await?;
            let (id, now) = (letter.id, self.source.now());
            self.store
                .write(move |tx| -> Result<u64> {
                    Ok(tx.exec("UPDATE dead_letter SET published_at = $2 WHERE id = $1", params![id, now])?)
                })
                .await?;
        }
        Ok(())
    }
}

fn row(row: &Row<'_>) -> StoreResult<DeadLetter> {
    Ok(DeadLetter {
        id: row.get(0)?,
        consumer: row.get(1)?,
        state: row.get(2)?,
        event: row.get::<Json<Event>>(3)?.0,
        attempts: row.get(4)?,
        error: JobError { code: row.get(5)?, message: row.get(6)? },
        died_at: row.get(7)?,
        delivered_at: row.get(8)?,
    })
}
