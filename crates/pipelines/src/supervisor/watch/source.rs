//! One pipe of the runner, and how its bytes become journal records.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::driver_lines::DriverLines;
use super::super::journal::{JournalWriter, Level, Line, Stream};
use super::super::lines::{Lines, MAX_EVENT, MAX_LINE};

/// Bytes of one read.
const CHUNK: usize = 64 * 1024;
/// Bytes that a pipe can hold at most without privileges, unless its size was raised.
const PIPE_SIZE: usize = 1024 * 1024;

/// Events of which the newest says all.
const REPEATING: [&str; 2] = ["progress", "serving"];

pub(super) struct Source {
    pipe: File,
    lines: Lines,
    meaning: Meaning,
}

enum Meaning {
    Output(DriverLines),
    Events,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    More,
    Empty,
    Closed,
}

impl Next {
    pub fn is_open(self) -> bool {
        self != Self::Closed
    }
}

/// What every event has.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// `{"type":"log"}`: a line that the runner has judged itself.
#[derive(Deserialize)]
struct LogEvent {
    t: Option<i64>,
    s: Option<Stream>,
    l: Option<Level>,
    st: Option<String>,
    m: String,
}

/// `{"type":"stages"}`: how Xenna calls the stages in its output.
#[derive(Deserialize)]
struct StagesEvent {
    stages: Vec<NamedStage>,
}

#[derive(Deserialize)]
struct NamedStage {
    id: String,
    xenna_name: String,
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Source {
    pub fn output(stream: Stream, pipe: OwnedFd) -> io::Result<Self> {
        Self::new(pipe, Lines::up_to(MAX_LINE), Meaning::Output(DriverLines::of(stream)))
    }

    pub fn events(pipe: OwnedFd) -> io::Result<Self> {
        Self::new(pipe, Lines::up_to(MAX_EVENT), Meaning::Events)
    }

    fn new(pipe: OwnedFd, lines: Lines, meaning: Meaning) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pipe: File::from(pipe), lines, meaning })
    }

    pub fn read_once(
        &mut self,
        journal: &mut JournalWriter<File>,
        stages: &mut HashMap<String, String>,
    ) -> Next {
        let mut chunk = [0; CHUNK];
        let read = match self.pipe.read(&mut chunk) {
            Ok(0) => return Next::Closed,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Empty,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Next::More,
            Err(_) => return Next::Closed,
        };
        let meaning = &mut self.meaning;
        let bytes = chunk.get(..read).unwrap_or_default();
        self.lines.feed(bytes, |line| meaning.take(line, journal, stages));
        Next::More
    }

    /// Takes what lies in the pipe now; at its end also a last line without a newline.
    pub fn drain(&mut self, journal: &mut JournalWriter<File>, stages: &mut HashMap<String, String>) -> Next {
        for _ in 0..=PIPE_SIZE / CHUNK {
            let next = self.read_once(journal, stages);
            journal.flush();
            match next {
                Next::More => {}
                Next::Empty => return next,
                Next::Closed => {
                    self.end(journal, stages);
                    return next;
                }
            }
        }
        Next::More
    }

    /// Takes a last line without a newline.
    pub fn end(&mut self, journal: &mut JournalWriter<File>, stages: &mut HashMap<String, String>) {
        let meaning = &mut self.meaning;
        self.lines.finish(|line| meaning.take(line, journal, stages));
    }

    /// Takes all that is left, when nobody writes any more.
    pub fn finish(mut self, journal: &mut JournalWriter<File>, stages: &mut HashMap<String, String>) {
        let _ = self.drain(journal, stages);
        self.end(journal, stages);
        journal.flush();
    }
}

impl Meaning {
    fn take(&mut self, line: &str, journal: &mut JournalWriter<File>, stages: &mut HashMap<String, String>) {
        match self {
            Self::Output(lines) => journal.log(None, lines.read(line, stages)),
            Self::Events if line.trim().is_empty() => {}
            Self::Events => take_event(line, journal, stages),
        }
    }
}

fn take_event(line: &str, journal: &mut JournalWriter<File>, stages: &mut HashMap<String, String>) {
    let (Ok(raw), Ok(Kind { kind })) = (serde_json::from_str::<&RawValue>(line), serde_json::from_str(line))
    else {
        let start: String = line.chars().take(200).collect();
        let bytes = line.len();
        journal.note(
            Level::Warning,
            format!("an event of {bytes} bytes is not readable and was dropped: {start}"),
        );
        return;
    };
    if kind == "log"
        && let Ok(LogEvent { t, s, l, st, m }) = serde_json::from_str(line)
    {
        let (stream, level) = (s.unwrap_or(Stream::Driver), l.unwrap_or(Level::Info));
        journal.log(t, Line { stream, level, stage: st, text: m });
        return;
    }
    if kind == "stages"
        && let Ok(event) = serde_json::from_str::<StagesEvent>(line)
    {
        stages.extend(event.stages.into_iter().map(|stage| (stage.xenna_name, stage.id)));
    }
    journal.event(raw, REPEATING.contains(&kind.as_str()));
}
