//! Walking a value that may be hostile: what is at a place is found with borrowed tokens, and a pointer is made only for
//! what is said about it. A body of 2 MB with one key of 1 MB and 500,000 elements below it would else become 500 GB.

use serde_json::Value;

use super::{Pointer, Violation};

/// Violations of one document that are listed at most; the last entry counts the rest.
pub const VIOLATIONS_MAX: usize = 1000;
/// Once the pointers that are listed have this many bytes, the rest is only counted.
const POINTER_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Copy)]
enum Token<'a> {
    Key(&'a str),
    Index(usize),
}

/// A place in a value, as the steps that led there.
#[derive(Clone, Copy)]
pub(crate) struct Trail<'a> {
    last: Option<(&'a Trail<'a>, Token<'a>)>,
    length: usize,
}

impl<'a> Trail<'a> {
    pub(crate) const ROOT: Trail<'static> = Trail { last: None, length: 0 };

    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { last: Some((self, Token::Key(key))), length: self.length + 1 + key.len() }
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        // The digits do not count: they are few.
        Self { last: Some((self, Token::Index(index))), length: self.length + 2 }
    }

    /// The key of the member here; `None` for an element and the root.
    pub(crate) fn last_key(&self) -> Option<&'a str> {
        match self.last {
            Some((_, Token::Key(key))) => Some(key),
            _ => None,
        }
    }

    /// About the bytes that its pointer has.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Each element or member of `value`, which is at this place, with its own place.
    pub(crate) fn children(&'a self, value: &'a Value) -> impl Iterator<Item = (Trail<'a>, &'a Value)> {
        let elements = value.as_array().into_iter().flatten().enumerate();
        let members = value.as_object().into_iter().flatten();
        elements
            .map(|(index, element)| (self.index(index), element))
            .chain(members.map(|(key, member)| (self.key(key), member)))
    }

    pub(crate) fn pointer(&self) -> Pointer {
        let (mut tokens, mut at) = (Vec::new(), self);
        while let Some((parent, token)) = at.last {
            tokens.push(token);
            at = parent;
        }
        let mut pointer = Pointer::root();
        for token in tokens.into_iter().rev() {
            match token {
                Token::Key(key) => pointer.push_key(key),
                Token::Index(index) => pointer = pointer.index(index),
            }
        }
        pointer
    }
}

/// Violations as they are found: no more are kept than somebody reads.
#[derive(Default)]
pub(crate) struct Found {
    kept: Vec<Violation>,
    bytes: usize,
    more: usize,
}

impl Found {
    pub(crate) fn push(&mut self, at: &Trail<'_>, code: &str, detail: impl FnOnce() -> String) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.add(Violation::new(at.pointer(), code, detail()));
        }
    }

    pub(crate) fn add(&mut self, violation: Violation) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.bytes += violation.pointer.len();
            self.kept.push(violation);
        }
    }

    /// Also those that are not kept.
    pub(crate) fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Adds those of another walk, except where `known` says that one is there already.
    pub(crate) fn append(&mut self, other: Self, mut known: impl FnMut(&Violation) -> bool) {
        for violation in other.kept {
            if !known(&violation) {
                self.add(violation);
            }
        }
        self.more += other.more;
    }

    /// What is kept, and a last entry that counts the rest.
    pub(crate) fn into_vec(mut self) -> Vec<Violation> {
        if self.more > 0 {
            let detail = format!("and {} more", self.more);
            self.kept.push(Violation::new("", "more_violations", detail));
        }
        self.kept
    }

    fn is_full(&self) -> bool {
        self.kept.len() >= VIOLATIONS_MAX || self.bytes >= POINTER_BYTES_MAX
    }
}
