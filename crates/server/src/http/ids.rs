//! Request, correlation and trace ids: taken from the caller when they are fit, made when missing, logged, echoed, and
//! carried on by everything that the request causes.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue},
    middleware::Next,
    response::Response,
};
use qd_core::headers::trace_id;
use qd_kernel::context::RequestIds;
use tracing::Instrument as _;

use super::problem::{self, Unwritten};
use crate::state::App;

pub const REQUEST_ID: &str = "x-request-id";
pub const CORRELATION_ID: &str = "x-correlation-id";
const TRACEPARENT: &str = "traceparent";

pub async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let request_id =
        given(request.headers(), REQUEST_ID).unwrap_or_else(|| app.kernel.source.uuid().to_string());
    let correlation_id = given(request.headers(), CORRELATION_ID).unwrap_or_else(|| request_id.clone());
    let trace_id = request.headers().get(TRACEPARENT).and_then(|value| trace_id(value.to_str().ok()?));
    let ids = RequestIds { request_id, correlation_id, trace_id };
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", request_id = ids.request_id, correlation_id = ids.correlation_id, trace_id = ids.trace_id, %method, route);
    request.extensions_mut().insert(ids.clone());
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let elapsed = started.elapsed();
    let _entered = span.enter();
    if let Some(Unwritten(error)) = response.extensions_mut().remove::<Unwritten>() {
        problem::write(&mut response, &error, &ids.correlation_id);
    }
    for (name, value) in [(REQUEST_ID, &ids.request_id), (CORRELATION_ID, &ids.correlation_id)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    let status = response.status().as_u16();
    app.metrics.request(method.as_str(), &route, status, elapsed);
    tracing::debug!(status, duration_ms = elapsed.as_secs_f64() * 1000.0, "answered");
    response
}

/// A header that is short and visible; anything else is replaced rather than logged.
fn given(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= 128 && value.bytes().all(|b| b.is_ascii_graphic()))
        .then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_forge_a_log_line_are_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("two words"));
        assert_eq!(given(&headers, REQUEST_ID), None);
        headers.insert(REQUEST_ID, HeaderValue::from_static("fit-1"));
        assert_eq!(given(&headers, REQUEST_ID).as_deref(), Some("fit-1"));
    }
}
