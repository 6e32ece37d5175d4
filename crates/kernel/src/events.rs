//! The event log: ordered facts that a reader follows by position without gap or repeat.
//!
//! On SQLite the single writer gives each event its position as it is written. On Postgres writers append to an outbox and
//! the [`relay`] gives positions in one place, because a sequence is drawn long before its row becomes visible and a reader
//! that pages by it misses what commits late. Order is the outbox's, not commit order across transactions.

mod consumers;
mod dead_letters;
mod outlet;
mod relay;

pub use consumers::{Consumer, ConsumerReading, Patience};
pub use dead_letters::{DeadLetter, DeadLetterFilter};

use qd_core::{
    error::Result,
    id::{JobId, ResourceId, RunId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    access::{deletions::Unseen, sight::Sight},
    context::{Context, Scope},
    kernel::Kernel,
    mutation::Subject,
    query::Query,
    store::{Backend, Param, Row, StoreResult, Tx, rows_of},
};

/// One fact. `pos` is dense and only grows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub pos: i64,
    #[serde(rename = "type")]
    pub event_type: String,
    pub at: Timestamp,
    pub actor: String,
    pub kind: Option<String>,
    pub resource_id: Option<ResourceId>,
    pub resource_name: Option<String>,
    pub run_id: Option<RunId>,
    pub job_id: Option<JobId>,
    pub correlation_id: String,
    pub data: Value,
}

/// Which events to read; empty means all of the scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventFilter {
    pub resource_id: Option<ResourceId>,
    pub run_id: Option<RunId>,
    pub job_id: Option<JobId>,
    pub unseen: Unseen,
}

const COLUMNS: &str = "tenant_id, project_id, type, at, actor, kind, resource_id, resource_name, run_id, job_id, correlation_id, data";

/// A fact about to be appended.
pub(crate) struct NewEvent<'a> {
    pub context: &'a Context,
    pub event_type: &'a str,
    pub subject: Subject<'a>,
    pub data: Value,
}

pub(crate) fn append(
    tx: &mut Tx<'_>,
    context: &Context,
    now: Timestamp,
    event_type: &str,
    subject: &Subject<'_>,
    data: &Value,
) -> Result<()> {
    let event = NewEvent { context, event_type, subject: subject.clone(), data: data.clone() };
    append_all(tx, now, &[event])
}

/// In this order, in as few statements as there are powers of two in their number: each has a text of its own.
pub(crate) fn append_all(tx: &mut Tx<'_>, now: Timestamp, mut events: &[NewEvent<'_>]) -> Result<()> {
    const TYPES: [&str; 12] = [""; 12];
    let table = match tx.backend() {
        Backend::Sqlite => "event",
        Backend::Postgres => "event_outbox",
    };
    while !events.is_empty() {
        let (now_these, later) = events.split_at(1 << events.len().min(64).ilog2());
        events = later;
        // The columns of the table say the types.
        let rows = rows_of(Backend::Sqlite, &TYPES, now_these.len(), 1);
        let data: Vec<String> = now_these.iter().map(|event| event.data.to_string()).collect();
        let mut args: Vec<&dyn Param> = vec![];
        for (event, data) in now_these.iter().zip(&data) {
            let (context, subject) = (event.context, &event.subject);
            args.extend([
                &context.scope.tenant_id as &dyn Param,
                &context.scope.project_id,
                &event.event_type,
                &now,
                &context.principal.name,
                &subject.kind,
                &subject.resource_id,
                &subject.resource_name,
                &subject.run_id,
                &subject.job_id,
                &context.ids.correlation_id,
                data,
            ]);
        }
        tx.exec_later(&format!("INSERT INTO {table} ({COLUMNS}) VALUES {rows}"), &args)?;
    }
    Ok(())
}

impl Kernel {
    /// Events after a position, oldest first.
    pub async fn events_after(
        &self,
        scope: Scope,
        filter: EventFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>> {
        self.events_seen_after(scope, filter, Sight::All, after, limit).await
    }

    /// The same of what a caller may see.
    pub async fn events_seen_after(
        &self,
        scope: Scope,
        filter: EventFilter,
        sight: Sight,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>> {
        self.events_page(scope, (filter, sight), (" AND pos > ?", after), " ORDER BY pos", limit).await
    }

    /// The newest events before a position (`None`: the end) that a caller may see, still oldest first.
    pub async fn events_before(
        &self,
        scope: Scope,
        filter: EventFilter,
        sight: Sight,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let range = (" AND pos < ?", before.unwrap_or(i64::MAX));
        let mut events = self.events_page(scope, (filter, sight), range, " ORDER BY pos DESC", limit).await?;
        events.reverse();
        Ok(events)
    }

    async fn events_page(
        &self,
        scope: Scope,
        (filter, sight): (EventFilter, Sight),
        (range, bound): (&'static str, i64),
        order: &'static str,
        limit: u32,
    ) -> Result<Vec<Event>> {
        self.store
            .read(move |tx| -> Result<Vec<Event>> {
                let mut query = Query::new(
                    "SELECT pos, type, at, actor, kind, resource_id, resource_name, run_id, job_id, correlation_id, data
                     FROM event WHERE",
                );
                query.push(" project_id = ?", scope.project_id).push(range, bound);
                if let Some(id) = filter.run_id {
                    query.push(" AND run_id = ?", id);
                }
                if let Some(id) = filter.job_id {
                    query.push(" AND job_id = ?", id);
                }
                if let Some(id) = filter.resource_id {
                    query.push(" AND resource_id = ?", id);
                }
                filter.unseen.narrow_events(&mut query);
                sight.narrow(&mut query, tx.backend(), "resource_id");
                if matches!(sight, Sight::Except(_)) {
                    // What a job over several resources tells would name them.
                    query.text(" AND (resource_id IS NOT NULL OR job_id IS NULL)");
                }
                query.text(order).limit(i64::from(limit));
                Ok(query.rows(tx, row)?)
            })
            .await
    }

    /// The position of the newest event of all scopes, 0 before the first: where a reader of news starts.
    pub async fn events_head(&self) -> Result<i64> {
        self.store
            .read(|tx| -> Result<i64> {
                Ok(tx.one("SELECT COALESCE(MAX(pos), 0) FROM event", &[], |row| row.get(0))?)
            })
            .await
    }

    /// The oldest position still kept; a reader that asks for older ones has a gap. 0 when there is none.
    pub async fn events_tail(&self) -> Result<i64> {
        self.store
            .read(|tx| -> Result<i64> {
                Ok(tx.one("SELECT COALESCE(MIN(pos), 0) FROM event", &[], |row| row.get(0))?)
            })
            .await
    }
}

/// Whether an event is shown to whom that sight is, as in lists.
pub(crate) fn shown(sight: &Sight, event: &Event) -> bool {
    let of_several = event.resource_id.is_none() && event.job_id.is_some();
    sight.shows(event.resource_id) && !(of_several && matches!(sight, Sight::Except(_)))
}

fn row(row: &Row<'_>) -> StoreResult<Event> {
    Ok(Event {
        pos: row.get(0)?,
        event_type: row.get(1)?,
        at: row.get(2)?,
        actor: row.get(3)?,
        kind: row.get(4)?,
        resource_id: row.get(5)?,
        resource_name: row.get(6)?,
        run_id: row.get(7)?,
        job_id: row.get(8)?,
        correlation_id: row.get(9)?,
        data: row.get(10)?,
    })
}
