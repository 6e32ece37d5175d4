//! A job's log, taken apart: whole lines with the place where each ends, and what each says.
//!
//! Ray hands the log out as text, always from its first character. The place of a line is how many bytes of that text
//! come up to its end, so it is the same whoever reads, however often, and in whatever pieces the text arrives.

use serde::Deserialize;
use serde_json::Value;

use crate::supervisor::journal::{Line, Stream};

/// Bytes of a line. What is longer, because nobody ends it, is given out in pieces of this length.
const LINE: usize = 64 * 1024;
/// Bytes of a line that the runner's `job` writes: it keeps below what Ray passes on at once.
const RECORD: usize = 4 * 1024 * 1024;
/// Stands before each record that the runner's `job` writes.
const MARK: &str = "@qd1 ";

/// Text as it arrives, as lines.
#[derive(Debug, Default)]
pub(super) struct JobLog {
    /// What came and is no whole line yet, or was not asked for yet.
    held: String,
    /// Bytes of `held` that were given out.
    given: usize,
    /// Bytes of the log before `held`.
    before: u64,
}

impl JobLog {
    pub fn feed(&mut self, text: &str) {
        self.held.drain(..self.given);
        self.before += self.given as u64;
        self.given = 0;
        self.held.push_str(text);
    }

    /// Bytes that came so far.
    pub fn received(&self) -> u64 {
        self.before + self.held.len() as u64
    }

    /// Where the last line that was given out ends.
    pub fn place(&self) -> u64 {
        self.before + self.given as u64
    }

    /// The next whole line, without its end. Where one that is too long is cut follows from its text alone.
    pub fn line(&mut self) -> Option<&str> {
        let start = self.given;
        let rest = self.held.get(start..)?;
        let most = if rest.starts_with(MARK) { RECORD } else { LINE };
        let here = rest.as_bytes().get(..=most).unwrap_or(rest.as_bytes());
        if let Some(length) = here.iter().position(|byte| *byte == b'\n') {
            self.given = start + length + 1;
            return self.held.get(start..start + length);
        }
        if here.len() <= most {
            return None;
        }
        let length = rest.floor_char_boundary(most);
        self.given = start + length;
        self.held.get(start..start + length)
    }

    /// What is left when no more comes: a line that was never ended.
    pub fn rest(&mut self) -> Option<&str> {
        let start = self.given;
        self.given = self.held.len();
        self.held.get(start..).filter(|rest| !rest.is_empty())
    }
}

/// A record of the runner's `job` (see `runner/qd_runner/job.py`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Record {
    /// From 0, without a hole.
    pub n: u64,
    /// Microseconds since 1970.
    pub t: i64,
    #[serde(flatten)]
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "k", rename_all = "lowercase")]
pub(super) enum Body {
    Log(Line),
    /// A line of the runner's own output, of which nothing is known but its stream.
    Out {
        s: Stream,
        m: String,
    },
    Event {
        e: Value,
    },
    Exit {
        code: Option<i32>,
        signal: Option<i32>,
        stopped: bool,
    },
}

/// What a line of the log is.
#[derive(Debug, PartialEq)]
pub(super) enum Said<'a> {
    Record(Box<Record>),
    /// Not the runner's: Ray's own, or something that wrote past it.
    Other(&'a str),
}

/// `mark` names the job whose log it is.
pub(super) fn said<'a>(line: &'a str, mark: &str) -> Said<'a> {
    let record = line.strip_prefix(MARK).and_then(|rest| rest.strip_prefix(mark)?.strip_prefix(' '));
    match record.and_then(|text| serde_json::from_str(text).ok()) {
        Some(record) => Said::Record(Box::new(record)),
        None => Said::Other(line),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::supervisor::journal::Level;

    /// Lines with the places of their ends, fed in pieces of the given sizes.
    fn lines(text: &str, sizes: &[usize]) -> Vec<(String, u64)> {
        let (mut log, mut found, mut rest) = (JobLog::default(), vec![], text);
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let mut end = sizes.next().unwrap_or(1).clamp(1, rest.len());
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            let (piece, more) = rest.split_at(end);
            log.feed(piece);
            rest = more;
            while let Some(line) = log.line().map(str::to_owned) {
                found.push((line, log.place()));
            }
        }
        assert_eq!(log.received(), text.len() as u64);
        if let Some(line) = log.rest().map(str::to_owned) {
            found.push((line, log.place()));
        }
        found
    }

    proptest! {
        #[test]
        fn pieces_change_neither_lines_nor_places(text in "([a-zé…]{0,9}\n?){0,12}", sizes in prop::collection::vec(1..30_usize, 1..8)) {
            let whole = lines(&text, &[usize::MAX]);
            prop_assert_eq!(lines(&text, &sizes), whole.clone());
            for (_, place) in &whole {
                let place = usize::try_from(*place).unwrap();
                prop_assert!(text.is_char_boundary(place));
                prop_assert!(place == text.len() || text[..place].ends_with('\n'));
            }
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_out_in_pieces_wherever_it_is_cut() {
        let endless = "é".repeat(LINE * 2);
        let text = format!("a\n{endless}\nb\n{MARK}{endless}\n{}\nc", "x".repeat(LINE));
        let whole = lines(&text, &[usize::MAX]);
        let lengths: Vec<usize> = whole.iter().map(|(line, _)| line.len()).collect();
        assert_eq!(lengths, [1, LINE, LINE, LINE, LINE, 1, MARK.len() + 4 * LINE, LINE, 1]);
        for sizes in [&[1000_usize][..], &[LINE - 1, 1, 2], &[LINE + 1]] {
            assert_eq!(lines(&text, sizes), whole);
        }
        let mut log = JobLog::default();
        for _ in 0..100 {
            log.feed(&endless);
            while log.line().is_some() {}
            assert!(log.held.len() <= endless.len() + LINE);
        }
    }

    #[test]
    fn records_are_told_from_everything_else() {
        let of = |text: &str| said(text, "qd-a-1").to_owned_kind();
        let log =
            r#"@qd1 qd-a-1 {"n":3,"t":5,"k":"log","s":"stdout","l":"warning","st":"load","m":"a\u2026"}"#;
        let Said::Record(record) = said(log, "qd-a-1") else { panic!("a record: {log}") };
        let line = Line {
            stream: Stream::Stdout,
            level: Level::Warning,
            stage: Some("load".into()),
            text: "a…".into(),
        };
        assert_eq!(*record, Record { n: 3, t: 5, body: Body::Log(line) });
        for (text, kind) in [
            (r#"@qd1 qd-a-1 {"n":0,"t":5,"k":"event","e":{"type":"hello"}}"#, "event"),
            (r#"@qd1 qd-a-1 {"n":0,"t":5,"k":"out","s":"stderr","m":"x"}"#, "out"),
            (r#"@qd1 qd-a-1 {"n":0,"t":5,"k":"exit","code":null,"signal":9,"stopped":false}"#, "exit"),
            (r#"@qd1 qd-a-2 {"n":0,"t":5,"k":"out","s":"stderr","m":"x"}"#, "other"),
            (r#"@qd1 qd-a-1 {"n":0,"t":5,"k":"out","s":"std"#, "other"),
            ("Running entrypoint for job qd-a-1: exec python", "other"),
            ("", "other"),
        ] {
            assert_eq!(of(text), kind, "{text}");
        }
    }

    impl Said<'_> {
        fn to_owned_kind(&self) -> &'static str {
            match self {
                Said::Other(_) => "other",
                Said::Record(record) => match record.body {
                    Body::Log(_) => "log",
                    Body::Out { .. } => "out",
                    Body::Event { .. } => "event",
                    Body::Exit { .. } => "exit",
                },
            }
        }
    }
}
