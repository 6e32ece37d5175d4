//! One thing that is wrong with a document, and where: a JSON pointer, and a line when the text is known.
//!
//! Validation returns *all* violations of a document at once, so this is plain data and not an error. The pointer of
//! something missing is where it should stand (`/metadata/name`), so that a form can mark the field. The codes of this crate are listed in [`crate::error::VIOLATION_CODES`].

mod walk;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use walk::VIOLATIONS_MAX;
pub(crate) use walk::{Found, Trail};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// RFC 6901; empty for the whole document.
    pub pointer: String,
    /// Stable, in snake_case.
    pub code: String,
    pub detail: String,
    /// Line in the text that was sent, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Index, from 0, of the document in a text of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<usize>,
}

impl Violation {
    pub fn new(pointer: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.into(),
            detail: detail.into(),
            line: None,
            column: None,
            document: None,
        }
    }

    #[must_use]
    pub fn at_line(mut self, line: u32, column: u32) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    #[must_use]
    pub fn in_document(mut self, document: usize) -> Self {
        self.document = Some(document);
        self
    }

    /// The same violation seen from a parent, where `prefix` is the pointer of what was validated.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(document) = self.document {
            write!(f, "document {}: ", document + 1)?;
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.detail)
    }
}

/// A JSON pointer (RFC 6901) under construction; each token is escaped as it is added.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(String);

impl Pointer {
    /// The whole document.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// The member `key` of the object here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut pointer = Self(String::with_capacity(self.0.len() + key.len() + 1));
        pointer.0.push_str(&self.0);
        pointer.push_key(key);
        pointer
    }

    fn push_key(&mut self, key: &str) {
        self.0.push('/');
        for c in key.chars() {
            match c {
                '~' => self.0.push_str("~0"),
                '/' => self.0.push_str("~1"),
                other => self.0.push(other),
            }
        }
    }

    /// The element `index` of the array here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The unescaped tokens of a pointer; `None` when the text is no pointer.
    pub fn tokens(pointer: &str) -> Option<Vec<String>> {
        if pointer.is_empty() {
            return Some(Vec::new());
        }
        pointer.strip_prefix('/')?.split('/').map(unescape).collect()
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut text = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => match chars.next()? {
                '0' => text.push('~'),
                '1' => text.push('/'),
                _ => return None,
            },
            other => text.push(other),
        }
    }
    Some(text)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

impl From<&Pointer> for String {
    fn from(pointer: &Pointer) -> Self {
        pointer.0.clone()
    }
}
