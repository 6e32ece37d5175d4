//! The kind `Connection`: how to reach something outside, and where this server finds the token for it.
//!
//! Planes register the types (`ray`, …), each with its own fields, in one spec told apart by `type`. What is used is the
//! published revision. A token is never part of a spec: the spec names a variable or a file of the server's, which is
//! read when it is needed.
//!
//! Not done here: calling what a connection leads to. That is the engine's that uses it.

mod secret_ref;

use async_trait::async_trait;
use qd_core::violation::Violation;
use serde_json::{Value, json};

pub use secret_ref::{Secret, SecretRef};

use crate::{
    kind::{Kind, KindInfo, KindScope},
    registry::Registry,
};

/// The kind's name in documents.
pub const CONNECTION: &str = "Connection";

/// A type of connection, as a plane brings it.
#[derive(Debug, Clone)]
pub struct ConnectionType {
    /// As in `type`.
    pub name: &'static str,
    /// JSON Schema of the whole spec of such a connection, `type` included.
    pub schema: Value,
    pub example: Value,
    /// Answers the spec with its defaults written out, or everything that is wrong with it.
    pub parse: fn(&Value) -> std::result::Result<Value, Vec<Violation>>,
}

/// Adds the kind, where a plane has brought a type for it.
pub(crate) fn register(registry: &mut Registry) {
    let types = registry.connection_types().to_vec();
    if let Some(first) = types.first() {
        let info = KindInfo {
            kind: CONNECTION,
            plural: "connections",
            singular: "connection",
            title: "Connections",
            summary: "How to reach something outside, and where the server finds the token for it.",
            group: "platform",
            scope: KindScope::Project,
            engine: None,
            actions: vec![],
            schema: schema(&types),
            example: first.example.clone(),
        };
        registry.kind(Connections { info, types });
    }
}

struct Connections {
    info: KindInfo,
    types: Vec<ConnectionType>,
}

fn schema(types: &[ConnectionType]) -> Value {
    match types {
        [only] => only.schema.clone(),
        many => json!({ "oneOf": many.iter().map(|one| one.schema.clone()).collect::<Vec<_>>() }),
    }
}

#[async_trait]
impl Kind for Connections {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        let names = || self.types.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
        let violation = |code: &'static str, detail| Err(vec![Violation::new("/type", code, detail)]);
        match spec.get("type") {
            Some(Value::String(name)) => match self.types.iter().find(|known| known.name == name) {
                Some(known) => (known.parse)(spec),
                None => violation("not_an_option", format!("there is no such type; there is {}", names())),
            },
            Some(_) => violation("wrong_type", "type is a text".to_owned()),
            None => violation("missing_field", format!("a connection has a type: {}", names())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> std::sync::Arc<dyn Kind> {
        let mut registry = Registry::default();
        registry.connection_type(ConnectionType {
            name: "post",
            schema: json!({ "type": "object" }),
            example: json!({ "type": "post" }),
            parse: |spec| Ok(spec.clone()),
        });
        register(&mut registry);
        registry.find_kind(CONNECTION).unwrap().clone()
    }

    #[test]
    fn the_type_decides_who_reads_the_spec() {
        let of = |spec: Value| {
            kind().parse(&spec).map_err(|found| (found[0].pointer.to_string(), found[0].code.to_string()))
        };
        let at_type = |code: &str| Err(("/type".to_owned(), code.to_owned()));
        assert_eq!(of(json!({ "type": "post" })), Ok(json!({ "type": "post" })));
        assert_eq!(of(json!({})), at_type("missing_field"));
        assert_eq!(of(json!({ "type": "pigeon" })), at_type("not_an_option"));
        assert_eq!(of(json!({ "type": 1 })), at_type("wrong_type"));
    }

    #[test]
    fn without_a_type_there_is_no_such_kind() {
        let mut registry = Registry::default();
        register(&mut registry);
        assert!(registry.find_kind(CONNECTION).is_none());
    }
}
