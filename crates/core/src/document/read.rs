//! From JSON to a [`Document`], field by field, so that one mistake does not hide the next.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::checks::control_characters;
use super::{API_VERSION, DEPTH_MAX, Document, Metadata, depth_limit};
use crate::canonical::inexact_numbers;
use crate::error::clip;
use crate::name::Name;
use crate::suggest::hint;
use crate::violation::{Found, Pointer, Trail, Violation};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec"];
const METADATA_FIELDS: &[&str] =
    &["name", "display_name", "description", "labels", "tags", "owners", "teams"];
const KIND_MAX: usize = 63;

pub(super) fn document(value: Value) -> Result<Document, Vec<Violation>> {
    // Before anything that recurses.
    let too_deep = depth_limit(&value, DEPTH_MAX);
    if !too_deep.is_empty() {
        return Err(too_deep);
    }
    let mut anywhere = Found::default();
    control_characters(&value, &Trail::ROOT, &mut anywhere);
    inexact_numbers(&value, &Trail::ROOT, &mut anywhere);
    let mut found = Found::default();
    let Value::Object(members) = value else {
        let detail = format!("a document is an object, this is {}", type_name(&value));
        found.add(Violation::new("", "wrong_type", detail));
        found.append(anywhere, |_| false);
        return Err(found.into_vec());
    };
    let mut fields = Fields { at: Pointer::root(), members, known: FIELDS, found: Vec::new() };
    fields.unknown();
    let api_version = fields.api_version();
    let kind = fields.kind();
    let metadata = fields.required("metadata").and_then(|value| metadata(value, &mut fields.found));
    let spec = fields.required("spec").and_then(|value| fields.object("spec", value)).map(Value::Object);
    let mut seen = HashSet::new();
    let mut known = |violation: &Violation| !seen.insert((violation.pointer.clone(), violation.code.clone()));
    for violation in fields.found {
        if !known(&violation) {
            found.add(violation);
        }
    }
    found.append(anywhere, known);
    match (api_version, kind, metadata, spec) {
        (Some(api_version), Some(kind), Some(metadata), Some(spec)) if found.count() == 0 => {
            Ok(Document { api_version, kind, metadata, spec })
        }
        _ => Err(found.into_vec()),
    }
}

fn metadata(value: Value, found: &mut Vec<Violation>) -> Option<Metadata> {
    let at = Pointer::root().key("metadata");
    let Value::Object(members) = value else {
        found.push(wrong_type(&at, "metadata is an object", &value));
        return None;
    };
    let mut fields = Fields { at, members, known: METADATA_FIELDS, found: std::mem::take(found) };
    fields.unknown();
    let name = fields.name();
    let read = Metadata {
        display_name: fields.text("display_name"),
        description: fields.text("description"),
        labels: fields.labels(),
        tags: fields.list("tags"),
        owners: fields.list("owners"),
        teams: fields.list("teams"),
        // A stand-in where the name is bad, so that the limits of the others are checked all the same.
        name: name.clone().or_else(|| Name::parse("x").ok())?,
    };
    fields.found.extend(read.violations(&fields.at));
    *found = fields.found;
    name.map(|_| read)
}

/// The members of one object while they are taken out, and what was found wrong so far.
struct Fields {
    at: Pointer,
    members: Map<String, Value>,
    known: &'static [&'static str],
    found: Vec<Violation>,
}

impl Fields {
    fn unknown(&mut self) {
        for key in self.members.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let hint =
                hint(key, self.known.iter().copied().filter(|known| !self.members.contains_key(*known)));
            let detail = format!("there is no field {:?} here{hint}", clip(key, 60));
            self.found.push(Violation::new(self.at.key(key), "unknown_field", detail));
        }
    }

    fn required(&mut self, key: &str) -> Option<Value> {
        let value = self.members.shift_remove(key).filter(|value| !value.is_null());
        if value.is_none() {
            let detail = format!("the field {key:?} is required");
            self.found.push(Violation::new(self.at.key(key), "missing_field", detail));
        }
        value
    }

    /// `null` counts as not given.
    fn optional(&mut self, key: &str) -> Option<Value> {
        self.members.shift_remove(key).filter(|value| !value.is_null())
    }

    fn string(&mut self, key: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text),
            other => {
                self.found.push(not_text(&self.at.key(key), &format!("{key} is text"), &other));
                None
            }
        }
    }

    fn object(&mut self, key: &str, value: Value) -> Option<Map<String, Value>> {
        match value {
            Value::Object(members) => Some(members),
            other => {
                self.found.push(wrong_type(&self.at.key(key), &format!("{key} is an object"), &other));
                None
            }
        }
    }

    fn api_version(&mut self) -> Option<String> {
        let value = self.required("apiVersion")?;
        let text = self.string("apiVersion", value)?;
        if text == API_VERSION {
            return Some(text);
        }
        let detail =
            format!("apiVersion {:?} is not supported, this server reads {API_VERSION:?}", clip(&text, 60));
        self.found.push(Violation::new(self.at.key("apiVersion"), "unsupported_api_version", detail));
        None
    }

    fn kind(&mut self) -> Option<String> {
        let value = self.required("kind")?;
        let text = self.string("kind", value)?;
        let legal = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.chars().all(|c| c.is_ascii_alphanumeric())
            && text.len() <= KIND_MAX;
        if legal {
            return Some(text);
        }
        let shown = clip(&text, 60);
        let detail =
            format!("{shown:?} is no kind: a capital letter, then letters and digits, such as \"Pipeline\"");
        self.found.push(Violation::new(self.at.key("kind"), "invalid_kind", detail));
        None
    }

    fn name(&mut self) -> Option<Name> {
        let value = self.required("name")?;
        let text = self.string("name", value)?;
        Name::parse(&text).map_err(|error| self.found.push(error.at(self.at.key("name")))).ok()
    }

    fn text(&mut self, key: &str) -> String {
        self.optional(key).and_then(|value| self.string(key, value)).unwrap_or_default()
    }

    fn list(&mut self, key: &str) -> Vec<String> {
        let at = self.at.key(key);
        let elements = match self.optional(key) {
            None => return Vec::new(),
            Some(Value::Array(elements)) => elements,
            Some(other) => {
                self.found.push(wrong_type(&at, &format!("{key} is a list of texts"), &other));
                return Vec::new();
            }
        };
        let mut list = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            match element {
                Value::String(text) => list.push(text),
                other => {
                    self.found.push(not_text(
                        &at.index(index),
                        &format!("an entry of {key} is text"),
                        &other,
                    ));
                    // Keeps the index of those behind it.
                    list.push(format!("\u{FFFD}{index}"));
                }
            }
        }
        list
    }

    fn labels(&mut self) -> BTreeMap<String, String> {
        let at = self.at.key("labels");
        let Some(value) = self.optional("labels") else { return BTreeMap::new() };
        let mut labels = BTreeMap::new();
        for (key, value) in self.object("labels", value).unwrap_or_default() {
            match value {
                Value::String(text) => {
                    labels.insert(key, text);
                }
                other => self.found.push(not_text(&at.key(&key), "a label's value is text", &other)),
            }
        }
        labels
    }
}

fn wrong_type(at: &Pointer, rule: &str, value: &Value) -> Violation {
    Violation::new(at, "wrong_type", format!("{rule}, this is {}", type_name(value)))
}

/// YAML turns `1`, `true` and `1.0` into something other than text: say how to keep them.
fn not_text(at: &Pointer, rule: &str, value: &Value) -> Violation {
    let hint = match value {
        Value::Bool(_) | Value::Number(_) => format!("; put it in quotes: \"{value}\""),
        _ => String::new(),
    };
    Violation::new(at, "wrong_type", format!("{rule}, this is {}{hint}", type_name(value)))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
