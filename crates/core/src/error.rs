//! The one error that crosses crates: few kinds, a stable code, one sentence for a person, all violations.
//!
//! A kind decides the HTTP status and how a client should react; a code says which case it is and is listed in
//! [`CODES`], the one place that documents them. `Display` is the detail alone and never repeats the source: whoever
//! logs walks the chain. Details leave the process, so they hold no secret, no SQL and no path of the machine;
//! what only an operator may see belongs in the source.

mod codes;

use std::error::Error as StdError;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::violation::Violation;

pub use codes::{CODES, END_CODES, VIOLATION_CODES};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    pub kind: ErrorKind,
    /// Stable, in snake_case, listed in [`CODES`].
    pub code: &'static str,
    pub detail: String,
    /// Everything that is wrong with what was sent; empty where that is not the matter.
    pub violations: Vec<Violation>,
    /// Seconds after which another try makes sense (`Retry-After`).
    pub retry_after_s: Option<u32>,
    pub source: Option<Box<dyn StdError + Send + Sync + 'static>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Cannot be read at all: syntax, a missing header, an id that is none.
    Malformed,
    /// Readable, and breaks a rule of its kind.
    Invalid,
    Unauthenticated,
    Forbidden,
    /// Not there, or in a scope that the caller must not know of.
    NotFound,
    /// Legal in itself, but not in the present state.
    Conflict,
    /// Somebody else changed it since it was read (`If-Match`).
    Stale,
    /// `If-Match` is missing.
    PreconditionRequired,
    TooLarge,
    RateLimited,
    /// Something that is needed cannot be reached now; the same request may succeed later.
    Unavailable,
    /// A defect of Quarterdeck or its store.
    Internal,
}

impl ErrorKind {
    pub const ALL: &[Self] = &[
        Self::Malformed,
        Self::Invalid,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Stale,
        Self::PreconditionRequired,
        Self::TooLarge,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    pub const fn http_status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Stale => 412,
            Self::TooLarge => 413,
            Self::Invalid => 422,
            Self::PreconditionRequired => 428,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The `title` of a problem document: the same for every error of the kind.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "Malformed request",
            Self::Invalid => "Invalid content",
            Self::Unauthenticated => "Not signed in",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::Conflict => "Conflict with the present state",
            Self::Stale => "Changed since it was read",
            Self::PreconditionRequired => "Precondition required",
            Self::TooLarge => "Too large",
            Self::RateLimited => "Too many requests",
            Self::Unavailable => "Unavailable for now",
            Self::Internal => "Internal error",
        }
    }
}

macro_rules! constructors {
    ($($name:ident => $kind:ident),+ $(,)?) => {$(
        pub fn $name(code: &'static str, detail: impl Into<String>) -> Self {
            Self::new(ErrorKind::$kind, code, detail)
        }
    )+};
}

impl Error {
    pub fn new(kind: ErrorKind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), violations: Vec::new(), retry_after_s: None, source: None }
    }

    constructors! {
        malformed => Malformed,
        invalid => Invalid,
        unauthenticated => Unauthenticated,
        forbidden => Forbidden,
        not_found => NotFound,
        conflict => Conflict,
        stale => Stale,
        precondition_required => PreconditionRequired,
        too_large => TooLarge,
        rate_limited => RateLimited,
        unavailable => Unavailable,
        internal => Internal,
    }

    /// The refusal of a document for `violations`: kind invalid, code `invalid_document`.
    pub fn from_violations(violations: Vec<Violation>) -> Self {
        let detail = match violations.as_slice() {
            [one] => one.to_string(),
            many => format!("the document has {} violations", many.len()),
        };
        Self::invalid("invalid_document", detail).with_violations(violations)
    }

    #[must_use]
    pub fn with_violations(mut self, violations: Vec<Violation>) -> Self {
        self.violations = violations;
        self
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> Self {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub fn http_status(&self) -> u16 {
        self.kind.http_status()
    }
}

/// `text` cut to `max` characters for a message, with an ellipsis where something was cut.
pub fn clip(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
