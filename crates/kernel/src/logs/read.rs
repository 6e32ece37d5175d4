//! Reading a run's log by line number, forwards or back from the end, with filters.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use qd_core::{
    error::{Error, Result},
    id::RunId,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{LogRecord, StoredLine};
use crate::{
    context::Scope,
    engine::{LogLevel, LogStream},
    kernel::Kernel,
    params,
    query::Query,
    runs::run_not_found,
    store::{Backend, StoreError, StoreResult, Tx},
};

/// One read looks at this much of the log at most; the page says where to go on.
const SCAN_BYTES: i64 = 8 * 1024 * 1024;
const CHUNKS_AT_ONCE: i64 = 16;

/// Which lines are wanted; empty means all.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    pub stage: Option<String>,
    /// This level and above.
    pub level: Option<LogLevel>,
    pub stream: Option<LogStream>,
    pub attempt: Option<i64>,
    /// Part of the text, without regard to case.
    pub text: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogPage {
    /// In the order of their numbers.
    pub items: Vec<LogRecord>,
    /// Read on after this line (forwards) or before it (back); none at the end of what there is.
    pub next: Option<i64>,
    /// The oldest line still kept, 0 without any.
    pub first: i64,
    /// The newest line, 0 without any.
    pub last: i64,
}

/// The column of a chunk's lines in what is selected.
const BODY: usize = 3;

struct Chunk {
    first_line: i64,
    attempt: i64,
    bytes: i64,
    body: String,
    /// Where the lines are, if not in the body.
    object: Option<String>,
}

/// Which chunks come next. A line is asked for, not a chunk: one that was read before may have grown since.
#[derive(Clone, Copy)]
enum Range {
    /// The one that holds the line, and those after it.
    From(i64),
    /// Those that hold lines before it, the newest first.
    Before(i64),
}

impl Kernel {
    /// Lines after a number, oldest first.
    pub async fn log_after(
        &self,
        scope: Scope,
        run_id: RunId,
        filter: LogFilter,
        after: i64,
        limit: u32,
    ) -> Result<LogPage> {
        let limit = limit as usize;
        let wanted = filter.clone();
        let (first, last, mut found) = self
            .store
            .read(move |tx| -> Result<_> {
                let (first, last) = bounds(tx, scope, run_id)?;
                Ok((first, last, chunks(tx, run_id, &wanted, Range::From(after.saturating_add(1)))?))
            })
            .await?;
        let mut page = LogPage { items: vec![], next: None, first, last };
        let (mut scanned, mut read) = (0, after);
        loop {
            let before = read;
            for chunk in self.bodies(run_id, found).await? {
                scanned += chunk.bytes;
                for record in records(&chunk)?.into_iter().skip_while(|record| record.n <= before) {
                    read = record.n;
                    if matches(&record, &filter) {
                        if page.items.len() == limit {
                            page.next = page.items.last().map(|line| line.n);
                            return Ok(page);
                        }
                        page.items.push(record);
                    }
                }
            }
            if read == before {
                return Ok(page);
            }
            if scanned > SCAN_BYTES {
                page.next = Some(read);
                return Ok(page);
            }
            found = self.chunks(run_id, &filter, Range::From(read + 1)).await?;
        }
    }

    /// The lines before a number (`None`: the end), the newest of them; still in ascending order.
    pub async fn log_before(
        &self,
        scope: Scope,
        run_id: RunId,
        filter: LogFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<LogPage> {
        let (limit, before) = (limit as usize, before.unwrap_or(i64::MAX));
        let wanted = filter.clone();
        let (first, last, mut found) = self
            .store
            .read(move |tx| -> Result<_> {
                let (first, last) = bounds(tx, scope, run_id)?;
                Ok((first, last, chunks(tx, run_id, &wanted, Range::Before(before))?))
            })
            .await?;
        let mut page = LogPage { items: vec![], next: None, first, last };
        let (mut until, mut scanned) = (before, 0);
        'all: while !found.is_empty() {
            for chunk in self.bodies(run_id, found).await? {
                let above = until;
                (until, scanned) = (chunk.first_line, scanned + chunk.bytes);
                for record in records(&chunk)?.into_iter().rev() {
                    if record.n < above && matches(&record, &filter) {
                        if page.items.len() == limit {
                            page.next = page.items.last().map(|line| line.n);
                            break 'all;
                        }
                        page.items.push(record);
                    }
                }
            }
            if scanned > SCAN_BYTES {
                page.next = Some(until);
                break;
            }
            found = self.chunks(run_id, &filter, Range::Before(until)).await?;
        }
        page.items.reverse();
        Ok(page)
    }

    async fn chunks(&self, run_id: RunId, filter: &LogFilter, range: Range) -> Result<Vec<Chunk>> {
        let filter = filter.clone();
        self.store.read(move |tx| chunks(tx, run_id, &filter, range)).await
    }

    /// Fetches the lines of the chunks whose rows do not hold them.
    async fn bodies(&self, run_id: RunId, chunks: Vec<Chunk>) -> Result<Vec<Chunk>> {
        if chunks.iter().all(|chunk| chunk.object.is_none()) {
            return Ok(chunks);
        }
        stream::iter(chunks)
            .map(async |mut chunk| {
                if let Some(object) = &chunk.object {
                    chunk.body = self.body_of(run_id, chunk.first_line, object).await?;
                }
                Ok(chunk)
            })
            .buffered(8)
            .try_collect()
            .await
    }

    async fn body_of(&self, run_id: RunId, first_line: i64, object: &str) -> Result<String> {
        let Some(place) = &self.log_place else {
            let detail =
                "the lines are in an object store that this process does not know: start it with --log-store";
            return Err(Error::unavailable("log_store_unknown", detail));
        };
        if let Some(body) = place.get(object).await? {
            return Ok(body);
        }
        // Trimmed since its row was read: no lines. Else the store has lost them.
        let row = self
            .store
            .read(move |tx| -> Result<Option<i64>> {
                Ok(tx.opt(
                    "SELECT first_line FROM run_log WHERE run_id = $1 AND first_line = $2",
                    params![run_id, first_line],
                    |row| row.get(0),
                )?)
            })
            .await?;
        match row {
            None => Ok(String::new()),
            Some(_) => Err(Error::internal(
                "log_chunk_missing",
                format!("the log store {} has lost the lines from {first_line} on ({object})", place.name),
            )),
        }
    }
}

/// The oldest and the newest line that are kept of a run of the scope.
fn bounds(tx: &mut Tx<'_>, scope: Scope, run_id: RunId) -> Result<(i64, i64)> {
    tx.opt(
        "SELECT id FROM run WHERE project_id = $1 AND id = $2",
        params![scope.project_id, run_id],
        |row| row.get::<RunId>(0),
    )?
    .ok_or_else(|| run_not_found(&run_id.to_string()))?;
    let first = tx.opt(
        "SELECT first_line FROM run_log WHERE run_id = $1 ORDER BY first_line LIMIT 1",
        params![run_id],
        |row| row.get(0),
    )?;
    let last = tx.opt(
        "SELECT first_line + lines - 1 FROM run_log WHERE run_id = $1 ORDER BY first_line DESC LIMIT 1",
        params![run_id],
        |row| row.get(0),
    )?;
    Ok((first.unwrap_or(0), last.unwrap_or(0)))
}

fn chunks(tx: &mut Tx<'_>, run_id: RunId, filter: &LogFilter, range: Range) -> Result<Vec<Chunk>> {
    let (range, bound, order) = match range {
        Range::From(line) => {
            let holds: i64 = tx.one(
                "SELECT COALESCE(MAX(first_line), 0) FROM run_log WHERE run_id = $1 AND first_line <= $2",
                params![run_id, line],
                |row| row.get(0),
            )?;
            (" AND first_line >= ?", holds, " ORDER BY first_line LIMIT ?")
        }
        Range::Before(line) => (" AND first_line < ?", line, " ORDER BY first_line DESC LIMIT ?"),
    };
    let position = match tx.backend() {
        Backend::Sqlite => "instr",
        Backend::Postgres => "strpos",
    };
    let mut query = Query::new("SELECT first_line, attempt, bytes, body, object FROM run_log WHERE");
    query.push(" run_id = ?", run_id).push(range, bound);
    if let Some(attempt) = filter.attempt {
        query.push(" AND attempt = ?", attempt);
    }
    if let Some(level) = filter.level {
        query.push(" AND max_level >= ?", level as i64);
    }
    if let Some(stage) = &filter.stage {
        query.push(&format!(" AND {position}(stages, ?) > 0"), format!(",{stage},"));
    }
    if let Some(stream) = filter.stream {
        query.push(&format!(" AND {position}(streams, ?) > 0"), format!(",{},", stream.letter()));
    }
    query.push(order, CHUNKS_AT_ONCE);
    Ok(query.rows(tx, |row| {
        Ok(Chunk {
            first_line: row.get(0)?,
            attempt: row.get(1)?,
            bytes: row.get(2)?,
            body: row.get(BODY)?,
            object: row.get(4)?,
        })
    })?)
}

fn records(chunk: &Chunk) -> StoreResult<Vec<LogRecord>> {
    let lines = chunk.body.lines().zip(chunk.first_line..);
    lines
        .map(|(line, n)| {
            let StoredLine(at, stage, stream, level, text) = serde_json::from_str(line)
                .map_err(|error| StoreError::Decode { column: BODY, detail: error.to_string() })?;
            Ok(LogRecord {
                n,
                attempt: chunk.attempt,
                at: Timestamp::from_micros(at),
                stage,
                stream: LogStream::from_letter(stream).as_str(),
                level: LogLevel::from_number(level).as_str(),
                text,
            })
        })
        .collect()
}

fn matches(record: &LogRecord, filter: &LogFilter) -> bool {
    filter.stage.as_deref().is_none_or(|stage| record.stage.as_deref() == Some(stage))
        && filter.level.is_none_or(|level| LogLevel::from_word(record.level) >= Some(level))
        && filter.stream.is_none_or(|stream| record.stream == stream.as_str())
        && filter.text.as_ref().is_none_or(|text| record.text.to_lowercase().contains(&text.to_lowercase()))
}
