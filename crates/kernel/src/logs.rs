//! A run's log: append-only chunks with an index, kept after the engine is gone.
//!
//! Lines are numbered from 1 per run, densely, across attempts; the number is a line's address and a reader's cursor. A
//! chunk's row says which stages, streams, levels and times it holds, so that a filtered read skips what cannot match.
//! The lines themselves stay in the row, or move to another [`place`] once the chunk takes no more.

mod append;
pub mod place;
mod read;
mod ship;

use qd_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{LogLevel, LogStream};

pub(crate) use append::append;
pub use read::{LogFilter, LogPage};
pub(crate) use ship::{garbage, objects_of_run};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogRecord {
    /// From 1, dense.
    pub n: i64,
    pub attempt: i64,
    pub at: Timestamp,
    pub stage: Option<String>,
    /// `stdout`, `stderr` or `driver`.
    pub stream: &'static str,
    /// `debug`, `info`, `warning` or `error`.
    pub level: &'static str,
    pub text: String,
}

/// A line as a chunk holds it: one JSON array a line, in this order.
#[derive(Serialize, Deserialize)]
struct StoredLine(i64, Option<String>, char, i64, String);

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warning" => Self::Warning,
            "error" => Self::Error,
            _ => return None,
        })
    }

    fn from_number(n: i64) -> Self {
        match n {
            ..=10 => Self::Debug,
            11..=20 => Self::Info,
            21..=30 => Self::Warning,
            _ => Self::Error,
        }
    }
}

impl LogStream {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Driver => "driver",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            "driver" => Self::Driver,
            _ => return None,
        })
    }

    fn letter(self) -> char {
        match self {
            Self::Stdout => 'o',
            Self::Stderr => 'e',
            Self::Driver => 'd',
        }
    }

    fn from_letter(letter: char) -> Self {
        match letter {
            'o' => Self::Stdout,
            'e' => Self::Stderr,
            _ => Self::Driver,
        }
    }
}
