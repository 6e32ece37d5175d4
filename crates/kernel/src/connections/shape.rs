//! Reading the spec of a connection as its type: what does not fit is said with its place, and never repeated, because it may
//! be a secret that somebody wrote where its name belongs.

use qd_core::violation::{Pointer, Violation};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use super::{SecretRef, WANTED};

/// JSON Schema of a whole spec.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
    }
    schema
}

/// The spec as its type, or the first thing that does not fit.
pub(crate) fn read<T: DeserializeOwned>(spec: &Value) -> Result<T, Vec<Violation>> {
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let at = error.path().iter().fold(Pointer::root(), |at, segment| match segment {
            serde_path_to_error::Segment::Seq { index } => at.index(*index),
            serde_path_to_error::Segment::Map { key } => at.key(key),
            _ => at,
        });
        vec![misfit(at, &error.into_inner().to_string())]
    })
}

/// The reader's words name fields, and quote values, which are left out.
fn misfit(at: Pointer, said: &str) -> Violation {
    let quoted = |said: &str| said.split('`').nth(1).unwrap_or_default().to_owned();
    if said.contains(WANTED) {
        return Violation::new(at, "wrong_type", WANTED);
    }
    if said.starts_with("missing field") {
        let field = quoted(said);
        return Violation::new(at.key(&field), "missing_field", format!("{field:?} is required"));
    }
    if said.starts_with("unknown field") {
        // The path leads to the field itself.
        return Violation::new(at, "unknown_field", "there is no such field");
    }
    let wanted = said.rsplit_once("expected ").map_or("another value", |(_, wanted)| wanted);
    Violation::new(at, "wrong_type", format!("{wanted} is wanted"))
}

/// The spec with its defaults written out.
pub(super) fn written<T: Serialize>(spec: &T, violations: Vec<Violation>) -> Result<Value, Vec<Violation>> {
    if !violations.is_empty() {
        return Err(violations);
    }
    serde_json::to_value(spec).map_err(|error| vec![Violation::new("", "invalid_value", error.to_string())])
}

/// What is wrong with an address. Nothing of it is repeated: somebody may have written a password into it.
pub(super) fn address(address: &str, query: bool) -> Vec<Violation> {
    let at = Pointer::root().key("address");
    let wrong = |why: &str| vec![Violation::new(at.clone(), "invalid_format", why)];
    let Ok(url) = Url::parse(address) else { return wrong("no URL such as https://host:8443/path") };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return wrong("a URL with http or https and a host is wanted");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("an address holds no user and no password: secrets have fields of their own");
    }
    if url.fragment().is_some() || (!query && url.query().is_some()) {
        return wrong("an address ends with its path");
    }
    vec![]
}

/// What is wrong with the secrets that a spec names.
pub(super) fn secrets<'a>(named: impl IntoIterator<Item = (Pointer, &'a SecretRef)>) -> Vec<Violation> {
    named.into_iter().flat_map(|(at, reference)| reference.violations(&at)).collect()
}
