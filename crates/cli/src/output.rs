//! What a command prints: data on standard output, progress and problems on standard error.
//!
//! Rendering is done by pure functions elsewhere; this type only knows the two streams, whether they are
//! terminals, and how loud to be. A closed standard output ends the command without a word, like other tools.

pub mod age;
pub mod changes;
pub mod file;
pub mod format;
pub mod lists;
pub mod object;
pub mod paint;
pub mod plan;
pub mod records;
pub mod status;
pub mod table;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use paint::Paint;

use crate::failure::Failure;

/// Text from elsewhere, fit for one line of a terminal: every control character becomes a blank.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Like [`clean`], but line breaks and tabs stay: for tracebacks and other longer texts.
pub fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c }).collect()
}

#[derive(Debug, Clone, Copy)]
pub struct Out {
    quiet: bool,
    stdout_terminal: bool,
    stderr_terminal: bool,
}

impl Out {
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal: io::stderr().is_terminal(),
        }
    }

    /// Colour for standard output.
    pub fn paint(&self) -> Paint {
        Paint::for_terminal(self.stdout_terminal)
    }

    /// Colour for standard error.
    pub fn error_paint(&self) -> Paint {
        Paint::for_terminal(self.stderr_terminal)
    }

    /// True when standard error may be redrawn in place.
    pub fn may_redraw(&self) -> bool {
        self.stderr_terminal && !self.quiet && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    pub fn stdout_is_terminal(&self) -> bool {
        self.stdout_terminal
    }

    /// True when standard output may be redrawn in place.
    pub fn may_redraw_data(&self) -> bool {
        self.stdout_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Prints data exactly as given and flushes it, so that a reader on a pipe sees each line at once.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    pub fn line(&self, text: &str) -> Result<(), Failure> {
        let mut owned = String::with_capacity(text.len() + 1);
        owned.push_str(text);
        owned.push('\n');
        self.bytes(owned.as_bytes())
    }

    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(())
    }

    /// Somebody else's text for standard output: as it is for a program, without control characters for a terminal.
    pub fn foreign<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.stdout_terminal { clean_lines(text).into() } else { text.into() }
    }

    /// A line of progress on standard error; silent under `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.error_line(text);
        }
    }

    /// A line on standard error that `--quiet` does not silence.
    pub fn error_line(&self, text: &str) {
        // Nobody is left to be told when standard error itself is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_prints_cannot_steer_a_terminal() {
        let out = |stdout_terminal| Out { quiet: false, stdout_terminal, stderr_terminal: false };
        let text = "a\tb\u{1b}[2J";
        assert_eq!(out(true).foreign(text), "a\tb [2J");
        assert_eq!(out(false).foreign(text), text);
    }
}
