//! What is said about a resource beside its spec, and how much of it there may be.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::control_character;
use crate::name::Name;
use crate::violation::{Pointer, Violation};

/// Longest `display_name`, in characters.
pub const DISPLAY_NAME_MAX: usize = 200;
/// Longest `description`, in characters.
pub const DESCRIPTION_MAX: usize = 4000;
/// Most labels, tags, owners or teams.
pub const ENTRIES_MAX: usize = 64;
/// Longest label key, label value or tag, in characters.
pub const LABEL_MAX: usize = 63;
/// Longest name of an owner or a team, in characters.
pub const SUBJECT_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    pub name: Name,
    /// What people read; the name where it is empty.
    #[serde(default)]
    #[schemars(length(max = DISPLAY_NAME_MAX))]
    pub display_name: String,
    #[serde(default)]
    #[schemars(length(max = DESCRIPTION_MAX))]
    pub description: String,
    #[serde(default)]
    #[schemars(extend("maxProperties" = ENTRIES_MAX))]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    #[schemars(length(max = ENTRIES_MAX))]
    pub tags: Vec<String>,
    #[serde(default)]
    #[schemars(length(max = ENTRIES_MAX))]
    pub owners: Vec<String>,
    #[serde(default)]
    #[schemars(length(max = ENTRIES_MAX))]
    pub teams: Vec<String>,
}

impl Metadata {
    /// Only the name; the rest empty.
    pub fn named(name: Name) -> Self {
        Self {
            name,
            display_name: String::new(),
            description: String::new(),
            labels: BTreeMap::new(),
            tags: Vec::new(),
            owners: Vec::new(),
            teams: Vec::new(),
        }
    }

    /// Every limit that is broken, with pointers below `at` (`/metadata`, or the root for a PATCH).
    pub fn violations(&self, at: &Pointer) -> Vec<Violation> {
        let mut found = Vec::new();
        text(
            &self.display_name,
            DISPLAY_NAME_MAX,
            false,
            &at.key("display_name"),
            "display_name",
            &mut found,
        );
        text(&self.description, DESCRIPTION_MAX, true, &at.key("description"), "description", &mut found);
        labels(&self.labels, &at.key("labels"), &mut found);
        list(&self.tags, LABEL_MAX, &at.key("tags"), "tag", &mut found);
        list(&self.owners, SUBJECT_MAX, &at.key("owners"), "owner", &mut found);
        list(&self.teams, SUBJECT_MAX, &at.key("teams"), "team", &mut found);
        found
    }
}

fn labels(labels: &BTreeMap<String, String>, at: &Pointer, found: &mut Vec<Violation>) {
    too_many(labels.len(), at, "labels", found);
    for (key, value) in labels {
        let at = at.key(key);
        if key.is_empty() {
            found.push(Violation::new(&at, "empty", "a label's key must not be empty"));
        }
        if let Some(c) = key.chars().find(|c| matches!(c, ':' | '=' | ',')) {
            let detail = format!("a label's key must not hold {c:?}, which filters use to end it");
            found.push(Violation::new(&at, "invalid_label", detail));
        }
        text(key, LABEL_MAX, false, &at, "a label's key", found);
        text(value, LABEL_MAX, false, &at, "a label's value", found);
    }
}

fn list(entries: &[String], max: usize, at: &Pointer, noun: &str, found: &mut Vec<Violation>) {
    too_many(entries.len(), at, &format!("{noun}s"), found);
    let mut seen = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = at.index(index);
        if entry.is_empty() {
            found.push(Violation::new(&at, "empty", format!("the {noun} must not be empty")));
        } else if !seen.insert(entry) {
            found.push(Violation::new(&at, "duplicate", format!("the {noun} stands in the list already")));
        }
        text(entry, max, false, &at, &format!("the {noun}"), found);
    }
}

fn too_many(count: usize, at: &Pointer, nouns: &str, found: &mut Vec<Violation>) {
    if count > ENTRIES_MAX {
        let detail = format!("at most {ENTRIES_MAX} {nouns} are allowed, these are {count}");
        found.push(Violation::new(at, "too_many", detail));
    }
}

fn text(text: &str, max: usize, multiline: bool, at: &Pointer, what: &str, found: &mut Vec<Violation>) {
    let length = text.chars().count();
    if length > max {
        let detail = format!("{what} has at most {max} characters, this has {length}");
        found.push(Violation::new(at, "too_long", detail));
    }
    found.extend(control_character(text, multiline, at, what));
}
