//! Request bodies: JSON or YAML, bounded, with the line of what cannot be read.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use qd_core::{document::Document, error::Error, violation::Violation};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;

/// Largest body of a request that carries documents or parameters.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// The raw body, for fingerprints, with its media type.
pub struct Body {
    pub bytes: Bytes,
    pub yaml: bool,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
            .to_ascii_lowercase();
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return Problem(Error::too_large(
                    "body_too_large",
                    format!("the body is larger than this address takes ({MAX_BODY} bytes for documents)"),
                ));
            }
            Problem(Error::malformed(
                "body_cut",
                format!("the body did not arrive whole: {}", rejection.body_text()),
            ))
        })?;
        Ok(Self { bytes, yaml: media.contains("yaml") })
    }
}

impl Body {
    /// A JSON body of a stated shape. An empty body reads as `{}`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bytes: &[u8] = if self.bytes.is_empty() { b"{}" } else { &self.bytes };
        serde_json::from_slice(bytes).map_err(|error| Problem(json_error(&error)))
    }

    /// One value, from JSON or YAML.
    pub fn value(&self) -> Result<Value, Problem> {
        if !self.yaml {
            return self.json();
        }
        match <[Value; 1]>::try_from(yaml_values(&self.bytes)?) {
            Ok([value]) => Ok(value),
            Err(values) => Err(Problem(Error::malformed(
                "one_document",
                format!("one document is wanted here, not {}", values.len()),
            ))),
        }
    }

    /// Documents to apply: a YAML stream, or JSON `{"documents": […]}` or one document.
    pub fn documents(&self) -> Result<Vec<Document>, Problem> {
        let values = if self.yaml {
            yaml_values(&self.bytes)?
        } else {
            match self.json::<Value>()? {
                Value::Object(mut map) if map.contains_key("documents") => match map.remove("documents") {
                    Some(Value::Array(values)) => values,
                    _ => return Err(Problem(Error::malformed("bad_documents", "documents must be a list"))),
                },
                value => vec![value],
            }
        };
        let mut documents = vec![];
        let mut violations: Vec<Violation> = vec![];
        for (index, value) in values.into_iter().enumerate() {
            match Document::from_value(value) {
                Ok(document) => documents.push(document),
                Err(found) => violations.extend(found.into_iter().map(|v| v.in_document(index))),
            }
        }
        if violations.is_empty() { Ok(documents) } else { Err(Problem(Error::from_violations(violations))) }
    }

    /// One document.
    pub fn document(&self) -> Result<Document, Problem> {
        Document::from_value(self.value()?).map_err(|violations| Problem(Error::from_violations(violations)))
    }
}

fn json_error(error: &serde_json::Error) -> Error {
    let (line, column) =
        (u32::try_from(error.line()).unwrap_or(0), u32::try_from(error.column()).unwrap_or(0));
    let code = if error.is_data() { "bad_body" } else { "bad_json" };
    let detail = error.to_string();
    let detail = detail.split(" at line ").next().unwrap_or(&detail).to_owned();
    let violation = Violation::new("", code, detail.clone()).at_line(line, column);
    Error::malformed(code, format!("line {line}, column {column}: {detail}")).with_violations(vec![violation])
}

/// Every document of a YAML stream. Aliases, depth and size are bounded by the reader, so that a few lines cannot grow into
/// gigabytes.
fn yaml_values(bytes: &[u8]) -> Result<Vec<Value>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem(Error::malformed(
            "bad_yaml",
            format!("the text is not UTF-8 from byte {} on", error.valid_up_to()),
        ))
    })?;
    if let Some(at) = text.find('\0') {
        let line = u32::try_from(text[..at].matches('\n').count() + 1).unwrap_or(0);
        let violation =
            Violation::new("", "control_character", "the text holds a NUL character").at_line(line, 1);
        return Err(Problem(
            Error::malformed("bad_yaml", format!("line {line}: the text holds a NUL character"))
                .with_violations(vec![violation]),
        ));
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! { max_depth: 64, max_aliases: 1000, max_anchors: 1000, max_nodes: 100_000 },
    };
    let values: Vec<Option<Value>> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| Problem(yaml_error(&error)))?;
    let values: Vec<Value> = values.into_iter().flatten().collect();
    Ok(values)
}

fn yaml_error(error: &serde_saphyr::Error) -> Error {
    let detail = error.without_snippet().to_string();
    let Some(location) = error.location() else { return Error::malformed("bad_yaml", detail) };
    let (line, column) =
        (u32::try_from(location.line()).unwrap_or(0), u32::try_from(location.column()).unwrap_or(0));
    let violation = Violation::new("", "bad_yaml", detail.clone()).at_line(line, column);
    Error::malformed("bad_yaml", format!("line {line}, column {column}: {detail}"))
        .with_violations(vec![violation])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Body {
        Body { bytes: Bytes::from(text.to_owned()), yaml: true }
    }

    #[test]
    fn a_yaml_error_names_its_line() {
        let error = yaml("a: 1\nb: [1, 2\nc: 3\n").value().unwrap_err().0;
        assert_eq!(error.code, "bad_yaml");
        assert!(error.violations[0].line >= Some(2), "{:?}", error.violations);
    }

    #[test]
    fn a_json_error_names_its_line() {
        let body = Body { bytes: Bytes::from_static(b"{\n  \"a\": nope\n}"), yaml: false };
        let error = body.value().unwrap_err().0;
        assert_eq!((error.code, error.violations[0].line), ("bad_json", Some(2)));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = level - 1;
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
        }
        assert_eq!(yaml(&text).value().unwrap_err().0.code, "bad_yaml");
    }

    #[test]
    fn duplicate_keys_and_nul_are_refused() {
        assert_eq!(yaml("a: 1\na: 2\n").value().unwrap_err().0.code, "bad_yaml");
        assert_eq!(yaml("a: \"x\0y\"\n").value().unwrap_err().0.code, "bad_yaml");
    }

    #[test]
    fn yes_and_no_stay_words() {
        assert_eq!(yaml("a: no\nb: true\n").value().unwrap(), serde_json::json!({ "a": "no", "b": true }));
    }
}
