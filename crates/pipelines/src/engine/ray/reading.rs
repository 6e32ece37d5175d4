//! What a job's log says, line by line, and what must be kept to understand the next one.
//!
//! A phase or a failure is told once. Since a log is always read from its beginning, nothing of this is stored: the lines
//! before the cursor are understood again, and not told again.

use std::collections::HashMap;

use qd_core::time::Timestamp;
use qd_kernel::engine::Observation;
use serde_json::Value;

use super::log::{Body, Said, said};
use crate::engine::events;
use crate::engine::memory::{Exit, Memory};
use crate::engine::observe::log_line;
use crate::supervisor::driver_lines::DriverLines;
use crate::supervisor::journal::Stream;

pub(super) struct Reading {
    mark: String,
    /// Whether the throughput of stages is wanted.
    metrics: bool,
    pub memory: Memory,
    /// Names that Xenna gives stages, with their ids.
    stages: HashMap<String, String>,
    stdout: DriverLines,
    stderr: DriverLines,
    other: DriverLines,
}

impl Reading {
    pub fn new(mark: &str, metrics: bool) -> Self {
        Self {
            mark: mark.to_owned(),
            metrics,
            memory: Memory::default(),
            stages: HashMap::new(),
            stdout: DriverLines::of(Stream::Stdout),
            stderr: DriverLines::of(Stream::Stderr),
            other: DriverLines::of(Stream::Driver),
        }
    }

    /// `now` is for lines that say no time themselves.
    pub fn take(&mut self, line: &str, now: Timestamp, seen: &mut Observation) {
        let record = match said(line, &self.mark) {
            Said::Record(record) => *record,
            Said::Other("") => return,
            Said::Other(text) => {
                seen.logs.push(log_line(self.other.read(text, &self.stages), now));
                return;
            }
        };
        let at = Timestamp::from_micros(record.t);
        if record.n == 0 {
            seen.started_at = Some(at);
        }
        match record.body {
            Body::Log(line) => seen.logs.push(log_line(line, at)),
            Body::Out { s, m } => {
                let lines = if s == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
                seen.logs.push(log_line(lines.read(&m, &self.stages), at));
            }
            Body::Event { e } => self.event(e, at, seen),
            Body::Exit { code, signal, stopped } => {
                self.memory.exit = Some(Exit { code, signal, stopped, at: record.t });
            }
        }
    }

    fn event(&mut self, event: Value, at: Timestamp, seen: &mut Observation) {
        let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        if event["type"] == "stages" {
            let stages = event["stages"].as_array().into_iter().flatten();
            self.stages =
                stages.filter_map(|one| Some((text(one, "xenna_name")?, text(one, "id")?))).collect();
        }
        events::take(event, at, &mut self.memory, seen, self.metrics);
    }
}
