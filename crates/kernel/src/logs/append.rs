//! Appending lines to a run's log, and keeping it bounded: by its own size, and by the quotas of its project and tenant.

use std::collections::BTreeSet;

use qd_core::{error::Result, id::RunId, time::Timestamp};

use super::{StoredLine, ship::garbage};
use crate::{
    context::Scope,
    engine::{LogLevel, LogLine, LogStream},
    params, quotas,
    store::Tx,
};

/// A tail chunk smaller than this takes the next lines in, so that a slow log is not a row per line.
pub(super) const MERGE_BELOW: i64 = 8 * 1024;
/// A batch is cut into chunks of about this size.
const CHUNK: usize = 64 * 1024;

struct Tail {
    first_line: i64,
    lines: i64,
    attempt: i64,
    bytes: i64,
    stages: String,
    streams: String,
    max_level: i64,
    moved: bool,
}

/// Appends within the transaction that moves the reader's cursor and holds the run's row, so that each line is kept once.
/// The log of a run that has grown beyond `max_bytes` loses its oldest chunks. Once a quota is used up, no further line of the attempt
/// is kept, and the last one says so.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    scope: Scope,
    run_id: RunId,
    attempt: i64,
    lines: &[LogLine],
    max_bytes: i64,
    now: Timestamp,
) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let tail = tx.opt(
        "SELECT first_line, lines, attempt, bytes, stages, streams, max_level, object IS NOT NULL FROM run_log WHERE run_id = $1
         ORDER BY first_line DESC LIMIT 1",
        params![run_id],
        |row| {
            Ok(Tail {
                first_line: row.get(0)?,
                lines: row.get(1)?,
                attempt: row.get(2)?,
                bytes: row.get(3)?,
                stages: row.get(4)?,
                streams: row.get(5)?,
                max_level: row.get(6)?,
                moved: row.get(7)?,
            })
        },
    )?;
    // From the run: the chunk that was the newest may be gone since.
    let (known, mut bytes, full): (i64, i64, Option<i64>) =
        tx.one("SELECT log_lines, log_bytes, log_full FROM run WHERE id = $1", params![run_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    if full == Some(attempt) {
        return Ok(());
    }
    let within = within_quota(tx, scope, run_id, attempt, lines)?;
    let before = bytes;
    let mut next = known + 1;
    let mut rest = within.as_deref().unwrap_or(lines);
    let goes_on = |tail: &Tail| {
        tail.attempt == attempt
            && !tail.moved
            && tail.bytes < MERGE_BELOW
            && tail.first_line + tail.lines == next
    };
    if let Some(tail) = tail.filter(goes_on) {
        let (chunk, left) = cut(rest);
        merge(tx, run_id, &tail, &chunk)?;
        next += chunk.lines;
        bytes += chunk.bytes();
        rest = left;
    }
    let grew = !rest.is_empty();
    while !rest.is_empty() {
        let (chunk, left) = cut(rest);
        tx.exec(
            "INSERT INTO run_log (run_id, first_line, lines, attempt, stages, streams, max_level, first_at, last_at, bytes, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            params![
                run_id,
                next,
                chunk.lines,
                attempt,
                join(&chunk.stages),
                join(&chunk.streams),
                chunk.max_level,
                chunk.first_at,
                chunk.last_at,
                chunk.bytes(),
                chunk.body
            ],
        )?;
        next += chunk.lines;
        bytes += chunk.bytes();
        rest = left;
    }
    if grew {
        bytes -= trim(tx, run_id, bytes - max_bytes, now)?;
    }
    tx.exec_later(
        "UPDATE run SET log_lines = $2, log_bytes = $3 WHERE id = $1",
        params![run_id, next - 1, bytes],
    )?;
    quotas::log_count(tx, scope, run_id, bytes - before)
}

/// Those of the lines that there is room for, with one behind them that says that there is no more; none where all may stay.
fn within_quota(
    tx: &mut Tx<'_>,
    scope: Scope,
    run_id: RunId,
    attempt: i64,
    lines: &[LogLine],
) -> Result<Option<Vec<LogLine>>> {
    let Some((room, why)) = quotas::log_room(tx, scope)? else { return Ok(None) };
    let (room, mut used) = (usize::try_from(room).unwrap_or(0), 0);
    let fits = |line: &&LogLine| {
        used += stored(line).len() + 1;
        used <= room
    };
    let mut kept: Vec<LogLine> = lines.iter().take_while(fits).cloned().collect();
    let Some(first_gone) = lines.get(kept.len()) else { return Ok(None) };
    kept.push(LogLine {
        at: first_gone.at,
        stage: None,
        stream: LogStream::Driver,
        level: LogLevel::Warning,
        text: format!("further lines of this attempt are not kept: {why}"),
    });
    tx.exec_later("UPDATE run SET log_full = $2 WHERE id = $1", params![run_id, attempt])?;
    Ok(Some(kept))
}

/// A line as a chunk holds it.
fn stored(line: &LogLine) -> String {
    let level = line.level as i64;
    let stored =
        StoredLine(line.at.micros(), line.stage.clone(), line.stream.letter(), level, line.text.clone());
    serde_json::to_string(&stored).unwrap_or_else(|_| "[0,null,\"d\",20,\"\"]".into())
}

struct Chunk {
    lines: i64,
    stages: BTreeSet<String>,
    streams: BTreeSet<String>,
    max_level: i64,
    first_at: Timestamp,
    last_at: Timestamp,
    body: String,
}

impl Chunk {
    fn bytes(&self) -> i64 {
        i64::try_from(self.body.len()).unwrap_or(i64::MAX)
    }
}

/// Takes lines from the front until a chunk is full.
fn cut(lines: &[LogLine]) -> (Chunk, &[LogLine]) {
    let at = lines.first().map_or(Timestamp::EPOCH, |line| line.at);
    let mut chunk = Chunk {
        lines: 0,
        stages: BTreeSet::new(),
        streams: BTreeSet::new(),
        max_level: 0,
        first_at: at,
        last_at: at,
        body: String::new(),
    };
    let mut taken = 0;
    for line in lines {
        if !chunk.body.is_empty() && chunk.body.len() + line.text.len() > CHUNK {
            break;
        }
        let level = line.level as i64;
        chunk.body.push_str(&stored(line));
        chunk.body.push('\n');
        chunk.stages.extend(line.stage.clone());
        chunk.streams.insert(line.stream.letter().to_string());
        chunk.max_level = chunk.max_level.max(level);
        chunk.first_at = chunk.first_at.min(line.at);
        chunk.last_at = chunk.last_at.max(line.at);
        chunk.lines += 1;
        taken += 1;
    }
    (chunk, &lines[taken..])
}

fn merge(tx: &mut Tx<'_>, run_id: RunId, tail: &Tail, chunk: &Chunk) -> Result<()> {
    let split =
        |text: &str| text.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>();
    let stages: BTreeSet<String> = split(&tail.stages).union(&chunk.stages).cloned().collect();
    let streams: BTreeSet<String> = split(&tail.streams).union(&chunk.streams).cloned().collect();
    tx.exec(
        "UPDATE run_log SET lines = lines + $3, stages = $4, streams = $5, max_level = $6, last_at = $7, bytes = bytes + $8,
           body = body || $9
         WHERE run_id = $1 AND first_line = $2",
        params![
            run_id,
            tail.first_line,
            chunk.lines,
            join(&stages),
            join(&streams),
            tail.max_level.max(chunk.max_level),
            chunk.last_at,
            chunk.bytes(),
            chunk.body
        ],
    )?;
    Ok(())
}

/// `,a,b,` so that one stage is found by `,a,`.
fn join(set: &BTreeSet<String>) -> String {
    if set.is_empty() {
        return String::new();
    }
    let mut out = String::from(",");
    for item in set {
        out.push_str(item);
        out.push(',');
    }
    out
}

/// Removes the oldest chunks until `over` bytes are gone; how many went. The newest chunk stays, however large.
fn trim(tx: &mut Tx<'_>, run_id: RunId, over: i64, now: Timestamp) -> Result<i64> {
    let mut gone = 0;
    while gone < over {
        let oldest: Vec<(i64, i64, Option<String>)> = tx.rows(
            "SELECT first_line, bytes, object FROM run_log WHERE run_id = $1 ORDER BY first_line LIMIT 2",
            params![run_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let [(first_line, bytes, object), _] = &oldest[..] else { break };
        if let Some(object) = object {
            garbage(tx, object, now)?;
        }
        tx.exec("DELETE FROM run_log WHERE run_id = $1 AND first_line = $2", params![run_id, *first_line])?;
        gone += bytes;
    }
    Ok(gone)
}
