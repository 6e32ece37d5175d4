//! Appending to the journal: whole lines, dense numbers, and no way for a full disk to end the run.
//!
//! Records are collected while a chunk of output is taken apart and written with one call. When a write fails,
//! the file is cut back to its last whole line (a reader may have it already), what is not in it is dropped and
//! counted, and as soon as a write succeeds again a line says how many are missing. Numbers are given at the write, so that they stay
//! dense over a loss. Logs end at a byte limit. Events have a limit of the same size, after which those that only
//! repeat themselves (how far it is) come once a minute; what is told once is always told.

use std::fs::File;
use std::io::{self, Write};

use serde_json::value::RawValue;

use super::{Body, Level, Line, Record, Stream};

/// Microseconds between two repeating events, past the limit.
const REPEAT_MICROS: i64 = 60_000_000;

/// What the writer needs of a file.
pub(in crate::supervisor) trait Sink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn cut_to(&mut self, length: u64) -> io::Result<()>;
}

impl Sink for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

pub(in crate::supervisor) struct JournalWriter<S> {
    sink: S,
    /// Microseconds since 1970.
    now: fn() -> i64,
    /// Number of the next record to be written.
    next: u64,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Records that wait for `flush`, each without its `{"n":<n>` beginning.
    waiting: Vec<Vec<u8>>,
    lost: u64,
    log_bytes: u64,
    max_log_bytes: u64,
    /// The log limit was reached and said.
    limited: bool,
    /// Lines dropped since, and not told yet.
    over_limit: u64,
    event_bytes: u64,
    /// When a repeating event was last kept.
    repeated_at: i64,
    /// The file could not be cut back after a failed write: the next line starts behind a newline.
    torn: bool,
}

#[derive(serde::Serialize)]
struct RawEvent<'a> {
    t: i64,
    k: &'static str,
    e: &'a RawValue,
}

impl<S: Sink> JournalWriter<S> {
    pub fn new(sink: S, max_log_bytes: u64, now: fn() -> i64) -> Self {
        Self {
            sink,
            now,
            next: 0,
            length: 0,
            waiting: Vec::new(),
            lost: 0,
            log_bytes: 0,
            max_log_bytes,
            limited: false,
            over_limit: 0,
            event_bytes: 0,
            repeated_at: 0,
            torn: false,
        }
    }

    /// Takes a line of output; past the limit it is counted instead.
    pub fn log(&mut self, t: Option<i64>, line: Line) {
        let t = t.unwrap_or_else(self.now);
        let tail = tail_of(t, Body::Log(line));
        if self.limited || self.log_bytes + tail.len() as u64 > self.max_log_bytes {
            if !self.limited {
                self.limited = true;
                let limit = self.max_log_bytes;
                self.note(
                    Level::Warning,
                    format!("log limit reached ({limit} bytes): further lines are dropped"),
                );
            }
            self.over_limit += 1;
            return;
        }
        self.log_bytes += tail.len() as u64;
        self.waiting.push(tail);
    }

    /// Takes an event of the runner as it stands. One that `repeats` is replaced by the next of its kind.
    pub fn event(&mut self, event: &RawValue, repeats: bool) {
        let t = (self.now)();
        if repeats && self.event_bytes > self.max_log_bytes && t - self.repeated_at < REPEAT_MICROS {
            return;
        }
        if repeats {
            self.repeated_at = t;
        }
        let tail = without_brace(serde_json::to_vec(&RawEvent { t, k: "event", e: event }));
        self.event_bytes += tail.len() as u64;
        self.waiting.push(tail);
    }

    /// Takes a line of the supervisor's own.
    pub fn note(&mut self, level: Level, text: String) {
        let line = Line { stream: Stream::Driver, level, stage: None, text };
        self.waiting.push(tail_of((self.now)(), Body::Log(line)));
    }

    /// Says how many lines fell to the limit since this was last said.
    pub fn close_logs(&mut self) {
        let dropped = std::mem::take(&mut self.over_limit);
        if dropped > 0 {
            self.note(Level::Warning, format!("{dropped} log lines were dropped after the log limit"));
        }
    }

    /// Writes `body` with all that waits before it; `false` when it could not be written (try again).
    pub fn last(&mut self, body: Body) -> bool {
        self.flush();
        self.waiting.push(tail_of((self.now)(), body));
        let written = self.write_waiting().is_ok();
        if !written {
            self.waiting.clear();
        }
        written
    }

    /// Writes what waits; drops and counts it when that fails.
    pub fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.write_waiting().is_err() {
            self.lost += self.waiting.len() as u64;
            self.waiting.clear();
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum()
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        let notice = (self.lost > 0).then(|| {
            let line = Line {
                stream: Stream::Driver,
                level: Level::Error,
                stage: None,
                text: format!("{} journal records were lost: the journal could not be written", self.lost),
            };
            tail_of((self.now)(), Body::Log(line))
        });
        let mut bytes = Vec::with_capacity(self.waiting_bytes() + 24 * self.waiting.len() + 200);
        if self.torn {
            bytes.push(b'\n');
        }
        for (n, tail) in (self.next..).zip(notice.iter().chain(&self.waiting)) {
            bytes.extend_from_slice(format!("{{\"n\":{n},").as_bytes());
            bytes.extend_from_slice(tail);
            bytes.push(b'\n');
        }
        let (written, result) = self.append_all(&bytes);
        let written = bytes.get(..written).unwrap_or_default();
        // Whole lines stay: they may have been read already.
        let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let newlines = written.iter().filter(|byte| **byte == b'\n').count();
        let mut records = newlines.saturating_sub(usize::from(self.torn));
        self.torn &= newlines == 0;
        self.length += whole as u64;
        if whole < written.len() && self.sink.cut_to(self.length).is_err() {
            self.torn = true;
            self.length += (written.len() - whole) as u64;
        }
        self.next += records as u64;
        if notice.is_some() && records > 0 {
            self.lost = 0;
            records -= 1;
        }
        self.waiting.drain(..records);
        result
    }

    /// Answers also how much was written when it fails.
    fn append_all(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let failure = match self.sink.append(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    done += written;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return (done, Err(failure));
        }
        (done, Ok(()))
    }
}

/// The record's JSON from behind `{"n":<n>,`.
fn tail_of(t: i64, body: Body) -> Vec<u8> {
    // Serialised with its number and cut, so that there is one definition of the shape.
    const NUMBERED: &[u8] = b"{\"n\":0,";
    let text = serde_json::to_vec(&Record { n: 0, t, body }).unwrap_or_default();
    text.strip_prefix(NUMBERED).unwrap_or_default().to_vec()
}

fn without_brace(json: serde_json::Result<Vec<u8>>) -> Vec<u8> {
    json.unwrap_or_default().strip_prefix(b"{").unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        can_cut: bool,
    }

    #[derive(Clone, Default)]
    struct SharedDisk(Rc<RefCell<Disk>>);

    impl Sink for SharedDisk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.borrow_mut();
            let fits = bytes.len().min(disk.room - disk.bytes.len());
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.bytes.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn cut_to(&mut self, length: u64) -> io::Result<()> {
            let mut disk = self.0.borrow_mut();
            if !disk.can_cut {
                return Err(io::ErrorKind::Other.into());
            }
            disk.bytes.truncate(length as usize);
            Ok(())
        }
    }

    fn line(text: &str) -> Line {
        Line { stream: Stream::Stdout, level: Level::Info, stage: None, text: text.into() }
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        let records: Vec<Record> =
            bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        assert!(
            records.iter().enumerate().all(|(index, record)| record.n == index as u64),
            "dense: {records:?}"
        );
        records
            .into_iter()
            .map(|record| match record.body {
                Body::Log(line) => line.text,
                other => serde_json::to_string(&other).unwrap(),
            })
            .collect()
    }

    #[test]
    fn a_full_disk_loses_whole_lines_and_says_so_later() {
        for can_cut in [true, false] {
            let disk = SharedDisk::default();
            *disk.0.borrow_mut() = Disk { room: 100, can_cut, ..Disk::default() };
            let mut journal = JournalWriter::new(disk.clone(), u64::MAX, || 7);
            journal.log(None, line("first"));
            journal.flush();
            for _ in 0..3 {
                journal.log(None, line("lost"));
                journal.flush();
            }
            assert!(!journal.last(Body::Gone), "a last record is reported, not counted");
            disk.0.borrow_mut().room = 10_000;
            journal.log(None, line("after"));
            journal.flush();
            assert!(journal.last(Body::Gone));
            let seen = texts(&disk.0.borrow().bytes);
            let notice = "3 journal records were lost: the journal could not be written";
            assert_eq!(seen, ["first", notice, "after", r#"{"k":"gone"}"#], "can cut: {can_cut}");
        }
    }

    #[test]
    fn a_write_that_fails_in_the_middle_keeps_what_a_reader_may_have_seen() {
        for can_cut in [true, false] {
            let disk = SharedDisk::default();
            *disk.0.borrow_mut() = Disk { room: 200, can_cut, ..Disk::default() };
            let mut journal = JournalWriter::new(disk.clone(), u64::MAX, || 7);
            for text in ["one", "two", "three", "four"] {
                journal.log(None, line(text));
            }
            journal.flush();
            let seen = texts(&disk.0.borrow().bytes);
            assert_eq!(seen, ["one", "two"], "can cut: {can_cut}");
            disk.0.borrow_mut().room = 10_000;
            assert!(journal.last(Body::Gone));
            let seen = texts(&disk.0.borrow().bytes);
            let notice = "2 journal records were lost: the journal could not be written";
            assert_eq!(seen, ["one", "two", notice, r#"{"k":"gone"}"#], "can cut: {can_cut}");
        }
    }

    #[test]
    fn past_the_limit_only_repeating_events_are_thinned() {
        let disk = SharedDisk::default();
        *disk.0.borrow_mut() = Disk { room: 100_000, can_cut: true, ..Disk::default() };
        let mut journal = JournalWriter::new(disk.clone(), 100, || 7);
        let event = |kind: &str| RawValue::from_string(format!(r#"{{"type":"{kind}"}}"#)).unwrap();
        for _ in 0..9 {
            journal.event(&event("progress"), true);
        }
        journal.event(&event("failure"), false);
        journal.flush();
        let disk = disk.0.borrow();
        let seen = texts(&disk.bytes);
        assert_eq!(seen.len(), 4, "{seen:?}");
        assert!(seen[2].contains("progress") && seen[3].contains("failure"), "{seen:?}");
    }

    #[test]
    fn past_the_limit_logs_are_counted_and_events_go_on() {
        let disk = SharedDisk::default();
        *disk.0.borrow_mut() = Disk { room: 100_000, can_cut: true, ..Disk::default() };
        let mut journal = JournalWriter::new(disk.clone(), 200, || 7);
        for _ in 0..50 {
            journal.log(None, line("0123456789"));
        }
        let event = RawValue::from_string(r#"{"type":"result"}"#.into()).unwrap();
        journal.event(&event, false);
        journal.close_logs();
        journal.close_logs();
        assert!(journal.last(Body::Gone));
        let seen = texts(&disk.0.borrow().bytes);
        assert_eq!(
            seen,
            [
                "0123456789",
                "0123456789",
                "log limit reached (200 bytes): further lines are dropped",
                r#"{"k":"event","e":{"type":"result"}}"#,
                "48 log lines were dropped after the log limit",
                r#"{"k":"gone"}"#
            ]
        );
    }
}
