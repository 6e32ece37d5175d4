//! The journal of an attempt: one JSON object per line, appended by one writer, read by anyone.
//!
//! `n` counts from 0 without a hole, `t` is microseconds since 1970 (UTC). The last record is [`Body::Gone`].
//! A line is written whole or not at all, so a reader that stops at the last newline never sees half a record.

mod reader;
mod writer;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use reader::{Page, read_from};
pub(super) use writer::JournalWriter;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the journal, dense from 0.
    pub n: u64,
    /// Microseconds since 1970, UTC.
    pub t: i64,
    #[serde(flatten)]
    pub body: Body,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "lowercase")]
pub enum Body {
    /// A line of output.
    Log(Line),
    /// What the runner said on its event descriptor, word for word.
    Event { e: Value },
    /// The runner is gone. Its output up to here is in the journal before this record.
    Exit {
        /// Exit code, when it ended by itself. 127 when it could not be started.
        code: Option<i32>,
        /// Signal number, when one killed it.
        signal: Option<i32>,
        /// Whether a stop was asked for before it was gone.
        stopped: bool,
    },
    /// Every descendant is gone: the last record.
    Gone,
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    #[serde(rename = "s")]
    pub stream: Stream,
    #[serde(rename = "l")]
    pub level: Level,
    /// The id of the stage that said it, where that is known.
    #[serde(rename = "st")]
    pub stage: Option<String>,
    #[serde(rename = "m")]
    pub text: String,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
    /// Quarterdeck's own: the supervisor and the runner about themselves.
    Driver,
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_agreed_shape() {
        let line = Line {
            stream: Stream::Stderr,
            level: Level::Warning,
            stage: Some("enrich".into()),
            text: "a \"b\"\n".into(),
        };
        let bodies = [
            (
                Body::Log(line),
                r#"{"n":0,"t":5,"k":"log","s":"stderr","l":"warning","st":"enrich","m":"a \"b\"\n"}"#,
            ),
            (
                Body::Event { e: serde_json::json!({"type": "state"}) },
                r#"{"n":0,"t":5,"k":"event","e":{"type":"state"}}"#,
            ),
            (
                Body::Exit { code: None, signal: Some(9), stopped: false },
                r#"{"n":0,"t":5,"k":"exit","code":null,"signal":9,"stopped":false}"#,
            ),
            (Body::Gone, r#"{"n":0,"t":5,"k":"gone"}"#),
        ];
        for (body, text) in bodies {
            let record = Record { n: 0, t: 5, body };
            assert_eq!(serde_json::to_string(&record).unwrap(), text);
            assert_eq!(serde_json::from_str::<Record>(text).unwrap(), record);
        }
    }
}
