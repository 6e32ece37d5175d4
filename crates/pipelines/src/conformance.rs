//! What a JSON Schema has against a value, as violations: every fault at its own place, in words for a person.
//!
//! One checker for all that is described by schemas here: the specs themselves, the params of a run, the keyword
//! arguments of a user's class, and Xenna's config. Where alternatives (`anyOf`) fail, the one that was probably
//! meant is reported, and otherwise only that none fits.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use qd_core::error::clip;
use qd_core::suggest;
use qd_core::violation::{Pointer, Violation};
use serde_json::Value;

/// Characters of a value that are repeated in a message.
const SHOWN: usize = 60;

/// A schema ready to check with.
#[derive(Debug)]
pub(crate) struct Conformance {
    schema: Value,
    validator: Validator,
}

impl Conformance {
    /// # Errors
    /// The violation, at `at` or below, when `schema` is none.
    pub fn new(schema: Value, at: &str) -> Result<Self, Violation> {
        match jsonschema::options().build(&schema) {
            Ok(validator) => Ok(Self { schema, validator }),
            Err(error) => {
                let detail = format!("not a valid JSON Schema: {}", clip(&error.to_string(), 200));
                Err(Violation::new(format!("{at}{}", error.instance_path()), "invalid_schema", detail))
            }
        }
    }

    /// Everything that is wrong with `value`, which stands at `at`.
    pub fn violations(&self, value: &Value, at: &str) -> Vec<Violation> {
        let mut violations = Vec::new();
        for error in self.validator.iter_errors(value) {
            self.report(&error, at, &mut violations);
        }
        violations
    }

    fn report(&self, error: &ValidationError<'_>, at: &str, violations: &mut Vec<Violation>) {
        let here = format!("{at}{}", error.instance_path());
        let value = error.instance();
        let mut say =
            |code: &str, detail: String| violations.push(Violation::new(here.as_str(), code, detail));
        match error.kind() {
            ValidationErrorKind::Type { kind } => {
                say("wrong_type", format!("{} is wanted, this is {}", types(kind), what(value)));
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let there = below(&here, name);
                violations.push(Violation::new(there, "missing_field", format!("{name:?} is required")));
            }
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.properties_beside(error);
                for name in unexpected {
                    let hint = suggest::hint(name, known.iter().map(String::as_str));
                    let there = below(&here, name);
                    let detail = format!("there is no field {:?}{hint}", clip(name, SHOWN));
                    violations.push(Violation::new(there, "unknown_field", detail));
                }
            }
            ValidationErrorKind::Enum { options } => {
                let options: Vec<String> = options.as_array().into_iter().flatten().map(text).collect();
                let hint = suggest::hint(&text(value), options.iter().map(String::as_str));
                let shown = clip(&text(value), SHOWN);
                say("not_an_option", format!("{shown:?} is not one of {}{hint}", options.join(", ")));
            }
            ValidationErrorKind::Minimum { limit } => {
                say("out_of_range", format!("must be at least {limit}, is {value}"));
            }
            ValidationErrorKind::Maximum { limit } => {
                say("out_of_range", format!("must be at most {limit}, is {value}"));
            }
            ValidationErrorKind::ExclusiveMinimum { limit } => {
                say("out_of_range", format!("must be more than {limit}, is {value}"));
            }
            ValidationErrorKind::ExclusiveMaximum { limit } => {
                say("out_of_range", format!("must be less than {limit}, is {value}"));
            }
            ValidationErrorKind::MinLength { limit: 1 } => say("empty", "must not be empty".into()),
            ValidationErrorKind::MinLength { limit } => {
                say("too_short", format!("must have at least {limit} characters"));
            }
            ValidationErrorKind::MaxLength { limit } => {
                let has = value.as_str().map_or(0, |text| text.chars().count());
                say("too_long", format!("must have at most {limit} characters, has {has}"));
            }
            ValidationErrorKind::MinItems { limit: 1 } => {
                say("too_few", "must have at least one entry".into())
            }
            ValidationErrorKind::MinItems { limit } => {
                let has = value.as_array().map_or(0, Vec::len);
                say("too_few", format!("must have at least {limit} entries, has {has}"));
            }
            ValidationErrorKind::MaxItems { limit } => {
                let has = value.as_array().map_or(0, Vec::len);
                say("too_many", format!("must have at most {limit} entries, has {has}"));
            }
            ValidationErrorKind::UniqueItems => say("duplicate", "the same entry stands here twice".into()),
            ValidationErrorKind::Pattern { pattern } => {
                say("invalid_format", format!("{} does not match {pattern}", what(value)));
            }
            ValidationErrorKind::Format { format } => {
                say("invalid_format", format!("{} is not of the format {format}", what(value)));
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                self.report_alternatives(context, value, &here, at, violations);
            }
            _ => say("invalid_value", clip(&error.masked_with("the value").to_string(), 200)),
        }
    }

    fn report_alternatives(
        &self,
        alternatives: &[Vec<ValidationError<'static>>],
        value: &Value,
        here: &str,
        at: &str,
        violations: &mut Vec<Violation>,
    ) {
        let refused_type = |errors: &Vec<ValidationError<'static>>| match errors.as_slice() {
            [error] if format!("{at}{}", error.instance_path()) == here => match error.kind() {
                ValidationErrorKind::Type { kind } => Some(types(kind)),
                _ => None,
            },
            _ => None,
        };
        let refused: Vec<String> = alternatives.iter().filter_map(refused_type).collect();
        let mut meant = alternatives.iter().filter(|errors| refused_type(errors).is_none());
        match (meant.next(), meant.next()) {
            (None, _) => {
                let detail = format!("{} is wanted, this is {}", refused.join(" or "), what(value));
                violations.push(Violation::new(here, "wrong_type", detail));
            }
            (Some(errors), None) => errors.iter().for_each(|error| self.report(error, at, violations)),
            (Some(_), Some(_)) => {
                let detail = format!("{} fits none of the allowed forms", what(value));
                violations.push(Violation::new(here, "invalid_value", detail));
            }
        }
    }

    /// The names that the schema knows where it refused an unknown one.
    fn properties_beside(&self, error: &ValidationError<'_>) -> Vec<String> {
        let path = error.schema_path().to_string();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.schema
            .pointer(&format!("{parent}/properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    }
}

fn below(here: &str, name: &str) -> String {
    format!("{here}{}", Pointer::root().key(name))
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => article(&one.to_string()),
        TypeKind::Multiple(many) => {
            // Null is a way to leave a field out, not something that one would write.
            let names: Vec<String> =
                many.iter().map(|one| one.to_string()).filter(|name| name != "null").collect();
            names.iter().map(|name| article(name)).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn article(kind: &str) -> String {
    match kind {
        "null" => "null".into(),
        "boolean" => "true or false".into(),
        "integer" => "a whole number".into(),
        "array" => "a list".into(),
        "object" => "an object".into(),
        other => format!("a {other}"),
    }
}

/// A value as a message names it.
fn what(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {:?}", clip(text, SHOWN)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(schema: Value, value: &Value) -> Vec<String> {
        let checker = Conformance::new(schema, "").unwrap();
        let tell = |v: Violation| format!("{} {}: {}", v.pointer, v.code, v.detail);
        checker.violations(value, "/at").into_iter().map(tell).collect()
    }

    #[test]
    fn alternatives_are_reported_by_what_was_probably_meant() {
        let union = json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] });
        assert_eq!(
            report(union, &json!("x")),
            [r#"/at wrong_type: a whole number or null is wanted, this is the string "x""#]
        );
        let union = json!({ "anyOf": [{ "type": "string" }, { "type": "object", "properties": { "a": { "type": "integer" } } }] });
        assert_eq!(
            report(union, &json!({ "a": true })),
            ["/at/a wrong_type: a whole number is wanted, this is true"]
        );
        let union = json!({ "anyOf": [{ "minimum": 5 }, { "maximum": 1 }] });
        assert_eq!(
            report(union, &json!(3)),
            ["/at invalid_value: the number 3 fits none of the allowed forms"]
        );
    }

    #[test]
    fn a_schema_that_is_none_says_where() {
        let broken = json!({ "properties": { "x": { "type": "strng" } } });
        let violation = Conformance::new(broken, "/params").unwrap_err();
        assert_eq!(
            (violation.pointer.as_str(), violation.code.as_str()),
            ("/params/properties/x/type", "invalid_schema")
        );
    }
}
