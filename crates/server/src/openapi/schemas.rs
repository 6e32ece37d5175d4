//! The named schemas of the description: ours by schemars, those of specs as their kinds give them.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

const PREFIX: &str = "#/components/schemas/";

pub struct Schemas {
    generator: SchemaGenerator,
    extra: Map<String, Value>,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize().with(|s| {
            s.definitions_path = "/components/schemas".into();
            s.meta_schema = None;
        });
        Self { generator: settings.into_generator(), extra: Map::new() }
    }
}

impl Schemas {
    /// A reference to, or the inline form of, a type's schema.
    pub fn of<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// The properties of a query type, as parameters.
    pub fn query<T: JsonSchema>(&mut self) -> Vec<Value> {
        let schema = self.generator.root_schema_for::<T>().to_value();
        let mut out = vec![];
        self.parameters(&schema, &mut out);
        out
    }

    fn parameters(&self, schema: &Value, out: &mut Vec<Value>) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut property = property.clone();
            // What is left out is not there: in a query nothing can be null.
            if let Some(types) = property.get_mut("type")
                && let Some([one]) = types
                    .as_array()
                    .map(|all| all.iter().filter(|name| *name != "null").cloned().collect::<Vec<_>>())
                    .as_deref()
            {
                *types = one.clone();
            }
            let description =
                property.as_object_mut().and_then(|p| p.remove("description")).unwrap_or(Value::Null);
            let mut parameter = json!({ "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": property });
            if !description.is_null() {
                parameter["description"] = description;
            }
            out.push(parameter);
        }
    }

    /// Names a schema of our own making.
    pub fn add(&mut self, name: &str, schema: Value) -> Value {
        self.extra.insert(name.to_owned(), schema);
        reference(name)
    }

    /// Names a kind's spec schema; its own definitions become named schemas with the kind's name before theirs.
    pub fn add_spec(&mut self, kind: &str, schema: &Value) -> Value {
        self.add_part(kind, "Spec", schema)
    }

    /// The same of any schema that a kind brings.
    pub fn add_part(&mut self, kind: &str, part: &str, schema: &Value) -> Value {
        let mut schema = schema.clone();
        let defs = schema.as_object_mut().and_then(|map| map.remove("$defs"));
        if let Some(map) = schema.as_object_mut() {
            map.remove("$schema");
        }
        for (name, mut def) in defs.as_ref().and_then(Value::as_object).cloned().unwrap_or_default() {
            rename_refs(&mut def, kind);
            self.extra.insert(format!("{kind}{name}"), def);
        }
        rename_refs(&mut schema, kind);
        self.add(&format!("{kind}{part}"), schema)
    }

    pub fn finish(mut self) -> Value {
        let mut all: Map<String, Value> = self.generator.take_definitions(true).into_iter().collect();
        all.extend(self.extra);
        all.sort_keys();
        all.values_mut().for_each(spell_out);
        Value::Object(all)
    }
}

pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{PREFIX}{name}") })
}

/// Writes a property of any type as `{}` instead of `true`: the same, in the form that every reader of descriptions takes.
fn spell_out(schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        if *property == json!(true) {
            *property = json!({});
        }
    }
}

fn rename_refs(schema: &mut Value, kind: &str) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text) if key == "$ref" => {
                        if let Some(name) = text.strip_prefix("#/$defs/") {
                            *text = format!("{PREFIX}{kind}{name}");
                        }
                    }
                    _ => rename_refs(value, kind),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_refs(item, kind)),
        _ => {}
    }
}
