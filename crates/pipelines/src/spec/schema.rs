//! The JSON Schemas of the specs: without references, and with optional fields written the simple way.
//!
//! schemars writes an optional struct as `anyOf: [S, null]`, of which a validator can only say that nothing
//! matched. Folded into `S` with `null` among its types, each fault inside it is reported where it is. The same
//! goes for an enum whose values have descriptions: it becomes a plain `enum`, and its description tells them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value, json};

/// The schema of `T` without `$defs`, `$schema` and alternatives with null.
pub(crate) fn plain_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    simplify(&mut schema);
    schema
}

fn simplify(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(simplify),
        Value::Object(members) => {
            if let Some(simple) = with_null(members).or_else(|| with_options(members)) {
                *members = simple;
            }
            members.values_mut().for_each(simplify);
        }
        _ => {}
    }
}

/// `{…, anyOf: [S, {type: null}]}` as S with null allowed, and the outer members winning.
fn with_null(members: &Map<String, Value>) -> Option<Map<String, Value>> {
    let [inner, null] = members.get("anyOf")?.as_array()?.as_slice() else { return None };
    if null != &json!({ "type": "null" }) {
        return None;
    }
    let mut folded = inner.as_object()?.clone();
    if let Some(kind) = folded.get("type").cloned() {
        let mut kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind]);
        kinds.push("null".into());
        folded.insert("type".into(), kinds.into());
    }
    if let Some(options) = folded.get_mut("enum").and_then(Value::as_array_mut) {
        options.push(Value::Null);
    }
    folded.extend(
        members.iter().filter(|(key, _)| *key != "anyOf").map(|(key, value)| (key.clone(), value.clone())),
    );
    Some(folded)
}

/// `{…, oneOf: [{const, description}, …]}` as an enum.
fn with_options(members: &Map<String, Value>) -> Option<Map<String, Value>> {
    let options = members.get("oneOf")?.as_array()?;
    let values: Vec<Value> =
        options.iter().map(|option| option.get("const").cloned()).collect::<Option<_>>()?;
    let told = options.iter().filter_map(|option| {
        Some(format!("{}: {}", option.get("const")?.as_str()?, option.get("description")?.as_str()?))
    });
    let own = members.get("description").and_then(Value::as_str).map(str::to_owned);
    let description = own.into_iter().chain(told).collect::<Vec<_>>().join("\n");
    let mut simple: Map<String, Value> = members.clone();
    simple.shift_remove("oneOf");
    simple.insert("description".into(), description.into());
    simple.insert("type".into(), "string".into());
    simple.insert("enum".into(), values.into());
    Some(simple)
}

pub(super) fn params(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

pub(super) fn code(_: &mut SchemaGenerator) -> Schema {
    let mut schema = plain_schema::<super::PackedCode>();
    if let Some(members) = schema.as_object_mut() {
        members.insert("type".into(), json!(["string", "object", "null"]));
        members.insert("minLength".into(), 1.into());
        members.remove("title");
        members.remove("description");
    }
    Schema::try_from(schema).unwrap_or_default()
}

/// A whole number that may be written with a zero fraction, as JSON Schema has it.
pub(super) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        return Ok(Some(number as u32));
    }
    Err(D::Error::custom("a whole number is wanted"))
}
