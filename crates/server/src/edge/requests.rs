//! What every request goes through before its route: its head measured, its sender counted, its body and its handler timed.
//!
//! What changes something is carried to its end once it has begun, also when its client went away or was told that it
//! takes too long: half of it would be worse, and a repeat finds it by its key. What only reads is given up.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use qd_core::error::Error;
use qd_kernel::context::RequestIds;
use tracing::Instrument as _;

use super::{
    address::{ClientAddress, client, peer},
    body::{Allowance, Ending, Watch, watched},
    limits::Counted,
    options::{Class, Times},
};
use crate::{http::problem::Problem, state::App};

/// Bytes of path and query.
const URI: usize = 8 * 1024;
/// Bytes of all names and values of the head.
const HEAD: usize = 32 * 1024;
const HEADERS: usize = 100;
/// Bytes of what a route takes that gives a session.
const SIGN_IN_BODY: u64 = 16 * 1024;
/// Routes that answer when they are done, however long that is; what they wait for has its own limit.
const PATIENT: [&str; 2] = ["/api/v1/audit/verify", "/api/v1/runs/{id}/requests"];
const ARCHIVE: &str = "/api/v1/code/{digest}";

pub async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let nobody = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let peer = peer(request.extensions()).unwrap_or(nobody);
    let address = client(peer, request.headers(), &app.edge.trusted);
    request.extensions_mut().insert(ClientAddress(address));
    if let Some(refused) = refused(&request) {
        return refused;
    }
    let counted = Counted::new(&request, address);
    if let Err(error) = counted.anonymous(&app, request.headers()) {
        if counted.class() == Class::SignIn && app.edge.limits.tells(address) {
            let ids = request.extensions().get::<RequestIds>().cloned();
            told(&app, ids, address).await;
        }
        let mut response = Problem(error).into_response();
        counted.write(response.headers_mut());
        return response;
    }
    request.extensions_mut().insert(counted.clone());
    let mut response = answered(&app.edge.times, request, next, counted.class()).await;
    if let Err(error) = counted.unrecognised(&app) {
        response = Problem(error).into_response();
    }
    counted.write(response.headers_mut());
    response
}

/// Puts on record that sign-ins of the address are refused. The refusal stands where it cannot be written.
async fn told(app: &App, ids: Option<RequestIds>, address: std::net::IpAddr) {
    let Some(ids) = ids else { return };
    if let Err(error) = app.kernel.sign_ins_refused(&address.to_string(), ids).await {
        tracing::warn!(code = error.code, detail = error.detail, "a refused sign-in is not on record");
    }
}

/// The answer to a head that is not read at all.
fn refused(request: &Request) -> Option<Response> {
    let refuse = |status: StatusCode, error: Error| {
        let mut response = Problem(error).into_response();
        *response.status_mut() = status;
        Some(response)
    };
    let (uri, headers) = (request.uri(), request.headers());
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    if asked.len() > URI {
        let detail = format!("the address has {} bytes; at most {URI} are read", asked.len());
        return refuse(StatusCode::URI_TOO_LONG, Error::malformed("uri_too_long", detail));
    }
    if asked.contains("%00") {
        let detail = "the address holds a NUL character, which nothing here has in its name";
        return refuse(StatusCode::BAD_REQUEST, Error::malformed("bad_path", detail));
    }
    let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    if headers.len() > HEADERS || bytes > HEAD {
        let detail = format!(
            "the request has {} headers with {bytes} bytes; at most {HEADERS} with {HEAD} are read",
            headers.len()
        );
        let error = Error::malformed("headers_too_large", detail);
        return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, error);
    }
    if !is_plain(headers) {
        let detail = "a body is taken as it is: send it without Content-Encoding";
        let error = Error::malformed("content_encoding_unsupported", detail);
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    None
}

/// No body is unpacked on the way in, so that a few bytes stay a few bytes.
fn is_plain(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(header::CONTENT_ENCODING);
    encodings.iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

async fn answered(times: &Times, request: Request, next: Next, class: Class) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let changes = !request.method().is_safe();
    let whole = if path == ARCHIVE { times.archive } else { times.body };
    let allowance =
        Allowance { pause: times.pause, whole, most: (class == Class::SignIn).then_some(SIGN_IN_BODY) };
    let (parts, body) = request.into_parts();
    let (body, watch) = watched(body, allowance);
    let answer = next.run(Request::from_parts(parts, body));
    let late = late(watch.clone(), whole, (!PATIENT.contains(&path.as_str())).then_some(times.handler));
    let response = if changes {
        let mut work = tokio::spawn(answer.in_current_span());
        tokio::select! {
            done = &mut work => done.ok(),
            () = late => None,
        }
    } else {
        tokio::select! {
            response = answer => Some(response),
            () = late => None,
        }
    };
    match (response, watch.map_or(Ending::Well, |watch| watch.ending())) {
        (_, Ending::Slow) => closing(StatusCode::REQUEST_TIMEOUT, slow(times.pause, whole)),
        (_, Ending::Large) => closing(
            StatusCode::PAYLOAD_TOO_LARGE,
            Error::too_large("body_too_large", format!("this address takes {SIGN_IN_BODY} bytes at most")),
        ),
        (Some(response), Ending::Well) => response,
        (None, Ending::Well) => Problem(Error::unavailable(
            "handler_timeout",
            if changes {
                "the server did not get done in time, and goes on: look whether it took effect before you send it again"
            } else {
                "the server did not get done in time: ask for less, or later"
            },
        ))
        .into_response(),
    }
}

/// Until the handler has had its time, counted from when it had the whole body.
async fn late(watch: Option<Arc<Watch>>, whole: Duration, handler: Option<Duration>) {
    let Some(handler) = handler else { return std::future::pending().await };
    if let Some(watch) = watch {
        // An error says that the body had its time as well.
        let _ = tokio::time::timeout(whole, watch.ended()).await;
    }
    tokio::time::sleep(handler).await;
}

fn slow(pause: Duration, whole: Duration) -> Error {
    Error::malformed(
        "body_too_slow",
        format!(
            "the body came too slowly: {} s without a byte, or {} s in all, are not waited for",
            pause.as_secs(),
            whole.as_secs()
        ),
    )
}

/// An answer after which nothing more is read of the connection.
fn closing(status: StatusCode, error: Error) -> Response {
    let mut response = Problem(error).into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, routing::any};
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::problem::Unwritten;

    /// A handler that takes five minutes, and says when it is done.
    async fn asked(
        path: &'static str,
        method: &str,
        done: Arc<tokio::sync::Notify>,
    ) -> (StatusCode, &'static str) {
        let handler = async move || {
            tokio::time::sleep(Duration::from_mins(5)).await;
            done.notify_one();
        };
        let timed = from_fn(|request: Request, next: Next| async move {
            answered(&Times::default(), request, next, Class::Read).await
        });
        let router = Router::<()>::new().route(path, any(handler)).layer(timed);
        let request = Request::builder().method(method).uri(path.replace(['{', '}'], "")).body(Body::empty());
        let response = router.oneshot(request.unwrap()).await.unwrap();
        let code = response.extensions().get::<Unwritten>().map_or("", |Unwritten(error)| error.code);
        (response.status(), code)
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_takes_too_long_is_not_waited_for() {
        let done = Arc::new(tokio::sync::Notify::new());
        let late = (StatusCode::SERVICE_UNAVAILABLE, "handler_timeout");
        assert_eq!(asked("/api/v1/runs", "GET", done.clone()).await, late);
        assert_eq!(asked(PATIENT[0], "GET", done.clone()).await, (StatusCode::OK, ""));
        done.notified().await;
        // What changes something is carried to its end all the same.
        assert_eq!(asked("/api/v1/apply", "POST", done.clone()).await, late);
        done.notified().await;
    }
}
