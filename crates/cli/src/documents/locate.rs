//! Where each value of a YAML text stands, by JSON pointer.
//!
//! The server finds what is wrong and says it by pointer; an editor wants line and column. Walking the parser's
//! events gives both that map and the exact bytes of one scalar, so that `apply` can replace a code folder by its
//! digest without touching another character of the file. Aliases are left as they are: their target has its own place.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScanError};

/// The places of one document.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    values: HashMap<String, Place>,
}

#[derive(Debug, Clone)]
struct Place {
    line: usize,
    column: usize,
    scalar: Option<Scalar>,
}

/// A scalar value and the bytes of the text that it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    pub value: String,
    pub bytes: Range<usize>,
}

impl Positions {
    /// Line and column (from 1) of the value at `pointer`, or of the closest parent that exists.
    pub fn nearest(&self, pointer: &str) -> (usize, usize) {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.values.get(pointer) {
                return (place.line, place.column);
            }
            match pointer.rfind('/') {
                Some(cut) => pointer = &pointer[..cut],
                None => return (1, 1),
            }
        }
    }

    /// The scalar at `pointer`, when there is one.
    pub fn scalar(&self, pointer: &str) -> Option<&Scalar> {
        self.values.get(pointer)?.scalar.as_ref()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

enum Level {
    Sequence { next: usize },
    Mapping { key: Option<String> },
}

#[derive(Default)]
struct Walk {
    documents: Vec<Positions>,
    levels: Vec<(Level, String)>,
}

impl Walk {
    /// The pointer of the node that begins now, or `None` when it is a mapping's key.
    fn pointer(&mut self) -> Option<String> {
        let Some((level, parent)) = self.levels.last_mut() else { return Some(String::new()) };
        match level {
            Level::Sequence { next } => {
                let pointer = format!("{parent}/{next}");
                *next += 1;
                Some(pointer)
            }
            Level::Mapping { key } => {
                let key = key.take()?;
                Some(format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1")))
            }
        }
    }

    fn node(&mut self, line: usize, column: usize, scalar: Option<Scalar>) -> String {
        let pointer = self.pointer();
        match (pointer, self.levels.last_mut()) {
            (Some(pointer), _) => {
                if let Some(document) = self.documents.last_mut() {
                    document.values.insert(pointer.clone(), Place { line, column, scalar });
                }
                pointer
            }
            (None, Some((Level::Mapping { key }, _))) => {
                // A key that is itself a collection has no pointer; any text keeps the walk in step.
                *key = Some(scalar.map_or_else(|| "?".to_owned(), |scalar| scalar.value));
                "?".to_owned()
            }
            (None, _) => String::new(),
        }
    }
}

/// The positions of every document in `text`, in order.
///
/// # Errors
/// The text is not YAML.
pub fn positions(text: &str) -> Result<Vec<Positions>, ScanError> {
    let mut walk = Walk::default();
    for step in Parser::new_from_str(text) {
        let (event, span) = step?;
        let (line, column) = (span.start.line(), span.start.col() + 1);
        match event {
            Event::DocumentStart(..) => {
                walk.levels.clear();
                walk.documents.push(Positions::default());
            }
            Event::Scalar(value, ..) => {
                let bytes = span.byte_range();
                walk.node(line, column, bytes.map(|bytes| Scalar { value: value.into_owned(), bytes }));
            }
            Event::Alias(..) => {
                walk.node(line, column, None);
            }
            Event::SequenceStart(..) => {
                let pointer = walk.node(line, column, None);
                walk.levels.push((Level::Sequence { next: 0 }, pointer));
            }
            Event::MappingStart(..) => {
                let pointer = walk.node(line, column, None);
                walk.levels.push((Level::Mapping { key: None }, pointer));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                walk.levels.pop();
            }
            _ => {}
        }
    }
    Ok(walk.documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# head\n---\nspec:\n  runtime: {target: local, code: './co de' } # here\n  list:\n    - a\n    - b: 1\n      \"x/y~z\": ü\n---\nname: second\n";

    #[test]
    fn pointers_have_their_places() {
        let documents = positions(TEXT).unwrap();
        assert_eq!(documents.len(), 2);
        let at = |pointer: &str| documents[0].nearest(pointer);
        assert_eq!(at("/spec/runtime/code"), (4, 34));
        assert_eq!(at("/spec/list/1/b"), (7, 10));
        assert_eq!(at("/spec/list/1/x~1y~0z"), (8, 16));
        assert_eq!(at("/spec/list/9/deep"), (6, 5), "the closest parent");
        assert_eq!(documents[1].nearest("/name"), (10, 7));
    }

    #[test]
    fn a_scalar_knows_its_bytes() {
        let documents = positions(TEXT).unwrap();
        let scalar = documents[0].scalar("/spec/runtime/code").unwrap();
        assert_eq!(scalar.value, "./co de");
        assert_eq!(&TEXT[scalar.bytes.clone()], "'./co de'");
        assert_eq!(documents[0].scalar("/spec/runtime"), None);
    }

    #[test]
    fn json_is_yaml() {
        let documents = positions(r#"{"spec": {"runtime": {"code": "./code"}}}"#).unwrap();
        assert_eq!(documents[0].scalar("/spec/runtime/code").unwrap().value, "./code");
    }

    #[test]
    fn keys_that_are_collections_do_not_shift_what_follows() {
        let documents = positions("? [a, b]\n: c\nd: e\n").unwrap();
        assert_eq!(documents[0].nearest("/d"), (3, 4));
    }

    #[test]
    fn bad_yaml_is_an_error() {
        assert!(positions("a: [1,\n").is_err());
    }
}
