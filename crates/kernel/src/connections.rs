//! The kind `Connection`: how to reach something outside, and where this server finds the secrets for it.
//!
//! Planes register the types (`ray`, …) beside the kernel's own ([`http`], [`postgres`], [`s3`], [`webhook`]), each with its own
//! fields, in one spec told apart by `type`. What is used is the published revision. A secret is never part of a spec: the spec
//! names it ([`SecretRef`]), and it is read when it is needed.
//!
//! Each type says how one of it is tested ([`Probe`]): called once, in the way in which it is used. Not done here: any other call.
//! That is the engine's that uses it.

mod call;
pub(crate) mod http;
pub(crate) mod postgres;
mod reading;
pub(crate) mod s3;
mod secret_ref;
pub(crate) mod shape;
pub mod webhook;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use qd_core::{
    error::Result,
    id::{PrincipalId, ResourceId},
    violation::{Pointer, Violation},
};
use schemars::JsonSchema;
use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};

pub use call::{Call, Probe};
pub use reading::ConnectionReading;
pub use secret_ref::{SecretRef, WANTED, is_plain_absolute};

use crate::{
    context::Scope,
    kernel::Kernel,
    kind::{ActionInfo, Kind, KindInfo, KindScope, SpecView},
    mutation::Mutation,
    params,
    registry::Registry,
    resources::Resource,
    secrets::references,
};

/// The kind's name in documents.
pub const CONNECTION: &str = "Connection";

/// A type of connection, as a plane brings it.
#[derive(Clone)]
pub struct ConnectionType {
    /// As in `type`.
    pub name: &'static str,
    /// JSON Schema of the whole spec of such a connection, `type` included.
    pub schema: Value,
    pub example: Value,
    /// Answers the spec with its defaults written out, or everything that is wrong with it.
    pub parse: fn(&Value) -> std::result::Result<Value, Vec<Violation>>,
    /// Where secrets are named, as pointers; `*` stands for every member.
    pub secret_fields: &'static [&'static str],
    /// How one is tested.
    pub probe: Arc<dyn Probe>,
}

impl fmt::Debug for ConnectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionType({})", self.name)
    }
}

/// What a connection tells of itself.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConnectionStatus {
    pub sentence: String,
    /// What the last test came to; its age is that of `tested_at`.
    pub last_test: Option<ConnectionReading>,
}

/// The kernel's own types.
pub(crate) fn register_types(registry: &mut Registry) {
    registry
        .connection_type(http::connection_type())
        .connection_type(postgres::connection_type())
        .connection_type(s3::connection_type())
        .connection_type(webhook::connection_type());
}

/// Adds the kind, where there is a type for it.
pub(crate) fn register(registry: &mut Registry) {
    let types = registry.connection_types().to_vec();
    if let Some(first) = types.first() {
        let info = KindInfo {
            kind: CONNECTION,
            plural: "connections",
            singular: "connection",
            title: "Connections",
            summary: "How to reach something outside, and where the server finds the secrets for it.",
            group: "platform",
            scope: KindScope::Project,
            engine: None,
            actions: vec![ActionInfo { verb: "test", title: "Test", reason: false }],
            schema: schema(&types),
            example: first.example.clone(),
        };
        registry.kind(Connections { info, types });
    }
}

/// What stands where a type names a secret.
fn secret_places<'a>(spec: &'a Value, field: &str) -> Vec<(Pointer, &'a Value)> {
    let mut places = vec![(Pointer::root(), spec)];
    for part in field.split('/').skip(1) {
        let members = places.into_iter().filter_map(|(at, value)| Some((at, value.as_object()?)));
        places = members
            .flat_map(|(at, members)| {
                let wanted = members.iter().filter(|(key, _)| part == "*" || part == key.as_str());
                wanted.map(|(key, value)| (at.key(key), value)).collect::<Vec<_>>()
            })
            .collect();
    }
    places
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

    /// Where a secret is named nothing else stands, whatever the rest of the spec looks like.
    fn draft_violations(&self, spec: &Value) -> Vec<Violation> {
        let fields = self.types.iter().flat_map(|known| known.secret_fields);
        let mut places: Vec<_> = fields.flat_map(|field| secret_places(spec, field)).collect();
        places.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        places.dedup_by(|(one, _), (other, _)| one == other);
        let written = places.into_iter().filter(|(_, value)| !value.is_null());
        written
            .flat_map(|(at, value)| match SecretRef::deserialize(value) {
                Ok(reference) => reference.violations(&at),
                Err(_) => vec![Violation::new(at, "wrong_type", WANTED)],
            })
            .collect()
    }

    async fn validate(&self, spec: &Value, view: &SpecView) -> Result<Vec<Violation>> {
        references::violations(&view.secrets, view.scope, spec).await
    }

    fn published(
        &self,
        m: &mut Mutation<'_, '_>,
        id: ResourceId,
        revision: i64,
        _by: Option<PrincipalId>,
    ) -> Result<()> {
        let spec: Value = m.tx.one(
            "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
            params![id, revision],
            |row| row.get(0),
        )?;
        references::publish(m, id, revision, &spec)
    }

    fn status_schema(&self) -> Option<Value> {
        Some(schemars::schema_for!(ConnectionStatus).to_value())
    }

    async fn status(&self, kernel: &Kernel, _scope: Scope, resource: &Resource) -> Result<Option<Value>> {
        let id = resource.id;
        let last_test = kernel.store.read(move |tx| reading::last(tx, id)).await?;
        let sentence = match &last_test {
            None => "It was never tested".to_owned(),
            Some(test) => {
                let came = if test.ok { "worked" } else { "failed" };
                let age = crate::explain::age(test.tested_at, kernel.source.now());
                format!("The last test, of revision {}, {came} {age} ago: {}", test.revision, test.detail)
            }
        };
        Ok(Some(json!(ConnectionStatus { sentence, last_test })))
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
            secret_fields: &["/token", "/headers/*"],
            probe: http::connection_type().probe,
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
    fn a_draft_holds_no_secret_where_one_is_named() {
        let at = |spec: Value| -> Vec<String> {
            kind().draft_violations(&spec).into_iter().map(|found| found.pointer).collect()
        };
        let fine =
            json!({ "token": "secret://a", "headers": { "x": { "env": "X" }, "y": null }, "other": "words" });
        assert!(at(fine).is_empty());
        assert!(at(json!({})).is_empty());
        let wrong = json!({ "token": "canary", "headers": { "x": "canary", "y": 1 } });
        assert_eq!(at(wrong), ["/headers/x", "/headers/y", "/token"]);
        assert_eq!(at(json!({ "token": { "value": "canary" } })), ["/token"]);
    }

    #[test]
    fn without_a_type_there_is_no_such_kind() {
        let mut registry = Registry::default();
        register(&mut registry);
        assert!(registry.find_kind(CONNECTION).is_none());
    }
}
