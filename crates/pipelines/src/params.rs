//! Parameters of runs: what a run asks for, what it is given, and how values come into the spec.
//!
//! `params` of a pipeline is a JSON Schema. Where a stage's params, io, env or config hold `${params.<name>}`, the
//! run's value is put in: with its type when the string is nothing else, as text inside a longer string. `$${` is a
//! plain `${`. Values are put in once: what comes out of a parameter is never looked at again.

mod references;

use qd_core::violation::{Pointer, Violation};
use serde_json::{Map, Value};

use crate::conformance::Conformance;

pub(crate) use references::unknown_param;
pub use references::{Reference, references, substitute};

/// The run's parameters: `given`, with the schema's defaults for what is not given.
///
/// What the schema does not name is refused, unless it allows additional properties itself.
///
/// # Errors
/// Every violation, with pointers under `/params`.
pub fn run_params(schema: &Value, given: &Value) -> Result<Map<String, Value>, Vec<Violation>> {
    let Some(given) = given.as_object() else {
        return Err(vec![Violation::new("/params", "wrong_type", "the params of a run are an object")]);
    };
    let mut params = defaults(schema);
    params.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    let checker = Conformance::new(closed(schema), "/params").map_err(|violation| vec![violation])?;
    let params = Value::Object(params);
    let violations = checker.violations(&params, "/params");
    match params {
        Value::Object(params) if violations.is_empty() => Ok(params),
        _ => Err(violations),
    }
}

/// The defaults that a schema gives to its properties.
#[must_use]
pub fn defaults(schema: &Value) -> Map<String, Value> {
    properties(schema)
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect()
}

/// Whether a run can be started without being asked for anything.
#[must_use]
pub fn all_have_defaults(schema: &Value) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    let given = defaults(schema);
    required.is_none_or(|names| names.iter().filter_map(Value::as_str).all(|name| given.contains_key(name)))
}

/// What is wrong with the schema itself; it stands at `/params`.
#[must_use]
pub fn schema_violations(schema: &Value) -> Vec<Violation> {
    let at = Pointer::root().key("params");
    let mut violations = Vec::new();
    if let Err(violation) = Conformance::new(schema.clone(), at.as_str()) {
        return vec![violation];
    }
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "object" => {}
        Some(_) => violations.push(Violation::new(
            at.key("type"),
            "invalid_schema",
            "the schema of params must be of type object",
        )),
        None => violations.push(Violation::new(
            at.key("type"),
            "missing_field",
            "the schema of params must say type: object",
        )),
    }
    let at = at.key("properties");
    for (name, property) in properties(schema) {
        let at = at.key(name);
        if !references::is_param_name(name) {
            let detail = format!("{name:?} is no param name: letters, digits and '_', and no digit first");
            violations.push(Violation::new(&at, "invalid_name", detail));
        }
        let Some(default) = property.get("default") else { continue };
        // Compiled within the whole schema, so that a property may refer to its definitions.
        let mut whole = closed(schema);
        if let Some(members) = whole.as_object_mut() {
            members.remove("required");
        }
        let Ok(checker) = Conformance::new(whole, "") else { continue };
        let only: Map<String, Value> = Map::from_iter([(name.clone(), default.clone())]);
        let inside = Pointer::root().key(name);
        for violation in checker.violations(&Value::Object(only), "") {
            let rest = violation.pointer.strip_prefix(inside.as_str()).unwrap_or_default();
            let pointer = format!("{}{rest}", at.key("default"));
            violations.push(Violation { pointer, ..violation });
        }
    }
    violations
}

/// The names of the parameters.
pub fn names(schema: &Value) -> impl Iterator<Item = &str> {
    properties(schema).map(|(name, _)| name.as_str())
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The schema, refusing what it does not name.
fn closed(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut()
        && !["additionalProperties", "patternProperties", "unevaluatedProperties"]
            .iter()
            .any(|key| members.contains_key(*key))
    {
        members.insert("additionalProperties".into(), Value::Bool(false));
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "minLength": 1 },
                "threshold": { "type": "number", "default": 0.8, "minimum": 0, "maximum": 1 }
            }
        })
    }

    #[test]
    fn defaults_are_filled_in_and_everything_wrong_is_said() {
        let params = run_params(&schema(), &json!({ "name": "x" })).unwrap();
        assert_eq!(Value::Object(params), json!({ "name": "x", "threshold": 0.8 }));

        let refused = run_params(&schema(), &json!({ "treshold": 3, "threshold": 3 })).unwrap_err();
        let told: Vec<String> =
            refused.iter().map(|v| format!("{} {}: {}", v.pointer, v.code, v.detail)).collect();
        assert_eq!(
            told,
            [
                "/params/threshold out_of_range: must be at most 1, is 3",
                r#"/params/treshold unknown_field: there is no field "treshold", did you mean "threshold"?"#,
                r#"/params/name missing_field: "name" is required"#,
            ]
        );
        assert_eq!(run_params(&schema(), &json!([])).unwrap_err()[0].code, "wrong_type");
        assert!(!all_have_defaults(&schema()));
    }

    #[test]
    fn a_schema_must_be_one_and_its_defaults_fit() {
        assert!(schema_violations(&schema()).is_empty());
        let bad = json!({
            "type": "object",
            "properties": {
                "a-b": {},
                "n": { "type": "array", "items": { "type": "integer" }, "default": [1, "x"] }
            }
        });
        let told: Vec<String> =
            schema_violations(&bad).iter().map(|v| format!("{} {}", v.pointer, v.code)).collect();
        assert_eq!(
            told,
            ["/params/properties/a-b invalid_name", "/params/properties/n/default/1 wrong_type"]
        );
        assert_eq!(schema_violations(&json!({ "type": "strng" }))[0].code, "invalid_schema");
        assert_eq!(schema_violations(&json!({ "type": "array" }))[0].pointer, "/params/type");
        assert_eq!(schema_violations(&json!({}))[0].code, "missing_field");
    }
}
