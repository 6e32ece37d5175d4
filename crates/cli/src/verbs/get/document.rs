//! A resource as the document that `qd apply` takes back.

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::client::shapes::Kind;
use crate::failure::Failure;
use crate::targets::Target;

/// The document of a resource: its published spec, or its working copy while nothing is published.
pub async fn of(client: &Client, kind: &Kind, resource: &Value) -> Result<Value, Failure> {
    let spec = match resource.get("spec") {
        Some(spec) if !spec.is_null() => spec.clone(),
        _ => {
            let name = resource.get("name").and_then(Value::as_str).unwrap_or_default();
            let target = Target { kind: kind.clone(), name: name.to_owned() };
            let copy: Value = client.fetch(&target.path("/working-copy")).await?;
            copy.get("spec").cloned().unwrap_or(Value::Null)
        }
    };
    Ok(document(&kind.kind, resource, spec))
}

fn document(kind: &str, resource: &Value, spec: Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "display_name", "description", "labels", "tags", "owners", "teams"] {
        let value = resource.get(field).cloned().unwrap_or(Value::Null);
        let bare = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !bare {
            metadata.insert(field.to_owned(), value);
        }
    }
    json!({"apiVersion": "quarterdeck/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_carries_what_apply_takes_and_no_more() {
        let resource = json!({
            "id": "x", "kind": "Pipeline", "name": "curate", "display_name": "", "labels": {"team": "data"}, "tags": [],
            "owners": ["a"], "teams": [], "state": "active", "version": 3,
        });
        let text = crate::output::format::yaml(&document(
            "Pipeline",
            &resource,
            json!({"stages": [{"id": "load"}]}),
        ))
        .unwrap();
        insta::assert_snapshot!(text, @r"
        apiVersion: quarterdeck/v1
        kind: Pipeline
        metadata:
          name: curate
          labels:
            team: data
          owners:
          - a
        spec:
          stages:
          - id: load
        ");
    }
}
