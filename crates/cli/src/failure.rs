//! Everything that can go wrong in a command, and how it is told to a person.
//!
//! A verb returns a [`Failure`]; `main` prints it once on standard error and ends with its exit code.
//! What the server refused stays a [`Problem`] with all its violations, nothing is flattened into a string.

use std::io;

use crate::client::problem::{Problem, Sources};
use crate::exit::Exit;
use crate::output::paint::Paint;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{}", .0.title)]
    Problem(Box<Problem>),
    #[error("cannot reach {server}: {detail}")]
    Unreachable { server: String, detail: String },
    #[error("{server} gave an answer that is not understood: {detail}")]
    Answer { server: String, detail: String },
    #[error("{what}")]
    Local { what: String, help: Option<String> },
    #[error("{0}")]
    Usage(String),
    /// The refresh token of the context is good for nothing any more.
    #[error("the session has ended")]
    SessionEnded,
    /// The reader of standard output went away; nothing is said about it.
    #[error("standard output was closed")]
    OutputClosed,
    /// Same failure, but the command states another exit code for it.
    #[error("{source}")]
    Coded { exit: Exit, source: Box<Failure> },
}

impl Failure {
    pub fn local(what: impl Into<String>) -> Self {
        Self::Local { what: what.into(), help: None }
    }

    pub fn local_with_help(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Local { what: what.into(), help: Some(help.into()) }
    }

    pub fn usage(what: impl Into<String>) -> Self {
        Self::Usage(what.into())
    }

    /// Keeps wrong usage at 64 and gives everything else the code `exit`.
    #[must_use]
    pub fn with_exit(self, exit: Exit) -> Self {
        match self {
            Self::Usage(_) | Self::OutputClosed | Self::Coded { .. } => self,
            other => Self::Coded { exit, source: Box::new(other) },
        }
    }

    /// Tells the problem's violations in the files they came from.
    #[must_use]
    pub fn in_sources(mut self, sources: Sources) -> Self {
        match &mut self {
            Self::Problem(problem) => problem.sources = sources,
            Self::Coded { source, .. } => {
                if let Self::Problem(problem) = source.as_mut() {
                    problem.sources = sources;
                }
            }
            _ => {}
        }
        self
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::USAGE,
            Self::OutputClosed => Exit::OUTPUT_CLOSED,
            Self::Coded { exit, .. } => *exit,
            _ => Exit::ERROR,
        }
    }

    /// The HTTP status, when it was the server that refused.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::Coded { source, .. } => source.status(),
            _ => None,
        }
    }

    /// The text for standard error, without a trailing line break. Empty when there is nothing to say.
    pub fn render(&self, paint: Paint) -> String {
        match self {
            Self::Problem(problem) => problem.render(paint),
            Self::Coded { source, .. } => source.render(paint),
            Self::OutputClosed => String::new(),
            Self::Unreachable { detail, .. } => with_help(paint, &self.to_string(), Some(way_to(detail))),
            Self::Answer { .. } => with_help(
                paint,
                &self.to_string(),
                Some("is this a Quarterdeck server of about this version? `qd version` shows both"),
            ),
            Self::Local { what, help } => with_help(paint, what, help.as_deref()),
            Self::SessionEnded => with_help(paint, &self.to_string(), Some("sign in again with `qd login`")),
            Self::Usage(what) => {
                with_help(paint, what, Some("`qd help` lists the commands, `qd help <command>` explains one"))
            }
        }
    }
}

fn with_help(paint: Paint, what: &str, help: Option<&str>) -> String {
    let mut text = format!("{} {what}", paint.bad("error:"));
    if let Some(help) = help {
        text.push_str(&format!("\n{} {help}", paint.dim("what to do:")));
    }
    text
}

impl From<qd_core::error::Error> for Failure {
    fn from(error: qd_core::error::Error) -> Self {
        let mut what = format!("{} ({})", error.detail, error.code);
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            what.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self::local(what)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::local(error.to_string())
        }
    }
}

/// What to do where a server is not reached, by the words of the library that tried.
fn way_to(detail: &str) -> &'static str {
    if detail.contains("certificate") {
        "name the certificate that its own is signed with: --cacert FILE or QD_CACERT"
    } else if detail.contains("InvalidContentType") {
        "it does not speak TLS: use http:// in its address"
    } else {
        "start it with `qd up`, or choose another one with `qd context use` or QD_SERVER; `qd doctor` looks closer"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_keeps_its_code_under_a_verb_that_states_another() {
        assert_eq!(Failure::usage("x").with_exit(Exit::COULD_NOT_START).exit(), Exit::USAGE);
        assert_eq!(Failure::local("x").with_exit(Exit::COULD_NOT_START).exit(), Exit::COULD_NOT_START);
        assert_eq!(Failure::local("x").exit(), Exit::ERROR);
    }

    #[test]
    fn an_unreachable_server_is_told_with_what_to_do() {
        let failure = Failure::Unreachable {
            server: "http://127.0.0.1:7070".into(),
            detail: "connection refused".into(),
        };
        insta::assert_snapshot!(failure.render(Paint::plain()), @r"
        error: cannot reach http://127.0.0.1:7070: connection refused
        what to do: start it with `qd up`, or choose another one with `qd context use` or QD_SERVER; `qd doctor` looks closer
        ");
    }

    #[test]
    fn a_certificate_that_is_not_trusted_has_a_way_of_its_own() {
        let way = |detail: &str| {
            let (server, detail) = ("https://127.0.0.1:7070".into(), detail.into());
            Failure::Unreachable { server, detail }.render(Paint::plain())
        };
        assert!(way("invalid peer certificate: UnknownIssuer").contains("--cacert FILE"));
        assert!(way("received corrupt message of type InvalidContentType").contains("use http://"));
    }
}
