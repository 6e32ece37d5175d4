//! Request bodies: JSON or YAML, bounded, with the line of what cannot be read.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use qd_core::{
    document::{Document, text},
    error::Error,
    violation::Violation,
};
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
        // First as it is: a key that stands twice is not seen by every shape.
        text::json(bytes)?;
        serde_json::from_slice(bytes).map_err(|error| Problem(text::json_error(&error, "bad_body")))
    }

    /// One value, from JSON or YAML.
    pub fn value(&self) -> Result<Value, Problem> {
        if !self.yaml {
            let bytes: &[u8] = if self.bytes.is_empty() { b"{}" } else { &self.bytes };
            return Ok(text::json(bytes)?);
        }
        match <[Value; 1]>::try_from(text::yaml(&self.bytes)?) {
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
            text::yaml(&self.bytes)?
        } else {
            match self.value()? {
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
}
