//! Errors as `application/problem+json` (RFC 9457): the one place that maps the kernel's errors to HTTP.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use qd_core::{
    error::{Error, ErrorKind},
    violation::Violation,
};
use schemars::JsonSchema;
use serde::Serialize;

/// The body of every error.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProblemBody {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub problem_type: String,
    pub title: String,
    pub status: u16,
    /// Stable; listed in the reference.
    pub code: String,
    pub detail: String,
    /// Names the request in the server's log.
    pub correlation_id: String,
    /// Everything that is wrong with what was sent, with JSON pointers.
    pub errors: Vec<Violation>,
}

/// An error on its way out. The ids layer writes the body, because it knows the correlation id.
#[derive(Debug)]
pub struct Problem(pub Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// The error as it travels in a response's extensions until the ids layer has seen it.
#[derive(Clone)]
pub struct Unwritten(pub std::sync::Arc<Error>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Unwritten(std::sync::Arc::new(self.0)));
        response
    }
}

/// Writes the body of an error response, logs what is our fault.
pub fn write(response: &mut Response, error: &Error, correlation_id: &str) {
    if error.kind == ErrorKind::Internal {
        let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            code = error.code,
            detail = error.detail,
            source,
            "a request failed for a reason of ours"
        );
    }
    let body = ProblemBody {
        problem_type: format!("/docs/errors#{}", error.code),
        title: error.kind.title().into(),
        status: response.status().as_u16(),
        code: error.code.into(),
        detail: error.detail.clone(),
        correlation_id: correlation_id.into(),
        errors: error.violations.clone(),
    };
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let retry = error.retry_after_s.or(match error.kind {
        // The item may be worked on already: to send it again is the caller's decision.
        ErrorKind::Unavailable
            if matches!(error.code, "request_timeout" | "request_failed" | "handler_timeout") =>
        {
            None
        }
        ErrorKind::Unavailable => Some(2),
        ErrorKind::RateLimited => Some(1),
        _ => None,
    });
    if let Some(seconds) = retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.kind == ErrorKind::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    *response.body_mut() = Body::from(bytes);
}
