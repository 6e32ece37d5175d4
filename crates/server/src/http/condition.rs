//! Conditions that a client states: `If-Match` for what it changes, `Idempotency-Key` for what it starts.

use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderMap, HeaderValue, Method, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use qd_core::error::Error;
use qd_kernel::idempotency::IdempotencyKey;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

/// The version that the client last read.
pub struct IfMatch(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Err(Problem(Error::precondition_required(
                "if_match_required",
                "send If-Match with the ETag that you last read, so that nobody else's change is lost",
            )));
        };
        let version = value
            .to_str()
            .ok()
            .and_then(|v| v.trim().trim_start_matches("W/").trim_matches('"').parse().ok());
        version.map(Self).ok_or_else(|| {
            Problem(Error::stale(
                "foreign_etag",
                "If-Match is not an ETag that this address gave out; read it again",
            ))
        })
    }
}

/// A reply with the ETag of its version.
pub struct Tagged<T>(pub i64, pub T);

impl<T: IntoResponse> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", self.0)) {
            response.headers_mut().insert(header::ETAG, value);
        }
        response
    }
}

/// The `Idempotency-Key` header, and what its fingerprint is taken over.
pub struct Key {
    key: String,
    method: Method,
    uri: Uri,
}

impl Key {
    /// The key with the fingerprint of the request, whose body the handler has read.
    pub fn with_body(self, body: &[u8]) -> Result<IdempotencyKey, Problem> {
        let mut hash = Sha256::new();
        hash.update(self.method.as_str());
        hash.update([0]);
        hash.update(self.uri.to_string());
        hash.update([0]);
        hash.update(body);
        Ok(IdempotencyKey::new(&self.key, hex::encode(hash.finalize()))?)
    }

    /// For routes that start a job only when asked to.
    ///
    /// `uri` is the one that was asked for: a nested router sees its own part only, which another kind's routes share.
    pub fn optional(headers: &HeaderMap, method: &Method, OriginalUri(uri): &OriginalUri) -> Option<Self> {
        let key = headers.get("idempotency-key")?.to_str().ok()?.to_owned();
        Some(Self { key, method: method.clone(), uri: uri.clone() })
    }

    pub fn required() -> Problem {
        Problem(Error::malformed(
            "idempotency_key_required",
            "send an Idempotency-Key header (a new UUID), so that a repeat starts nothing twice",
        ))
    }
}

/// The same for a route that can also say what it would do: then it starts nothing, and needs no key.
pub struct MaybeKey(Option<Key>);

impl MaybeKey {
    pub fn with_body(self, body: &[u8]) -> Result<IdempotencyKey, Problem> {
        self.0.ok_or_else(Key::required)?.with_body(body)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(uri) = OriginalUri::from_request_parts(parts, state).await;
        Ok(Self(Key::optional(&parts.headers, &parts.method, &uri)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(uri) = OriginalUri::from_request_parts(parts, state).await;
        Self::optional(&parts.headers, &parts.method, &uri).ok_or_else(Self::required)
    }
}
