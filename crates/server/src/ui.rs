//! The UI, embedded in the binary, each file compressed when the binary was built.

use std::io::Read as _;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
    response::{IntoResponse as _, Response},
};

use crate::{api::no_route, openapi::page};

mod files {
    include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));
}

const WITHOUT_UI: &str = "<!doctype html><meta charset=utf-8><title>Quarterdeck</title><p>This binary was built without its UI. \
Build the UI first (<code>./x up</code> does), or use the API: <a href=/docs/api>/docs/api</a>.";

/// Files by their path; every other address that a browser opens is the UI's own to route.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if path.starts_with("api/") || path.starts_with("t/") {
        return no_route().await.into_response();
    }
    if matches!(path, "docs/api" | "docs/api.js" | "docs/errors") {
        return page::serve(path);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return no_route().await.into_response();
    }
    if let Some(packed) = find(path) {
        return file(path, packed, request.headers());
    }
    if path.contains('.') {
        return no_route().await.into_response();
    }
    match find("index.html") {
        Some(packed) => file("index.html", packed, request.headers()),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], WITHOUT_UI).into_response(),
    }
}

fn find(path: &str) -> Option<&'static [u8]> {
    files::FILES.binary_search_by(|(name, _)| (*name).cmp(path)).ok().map(|at| files::FILES[at].1)
}

fn file(path: &str, packed: &'static [u8], headers: &HeaderMap) -> Response {
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.contains("gzip"));
    let mut response = if takes_gzip {
        let mut response = Response::new(Body::from(packed));
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        let mut plain = vec![];
        match flate2::read::GzDecoder::new(packed).read_to_end(&mut plain) {
            Ok(_) => Response::new(Body::from(plain)),
            Err(error) => {
                let error =
                    qd_core::error::Error::internal("ui_file", "read an embedded file").with_source(error);
                return crate::http::problem::Problem(error).into_response();
            }
        }
    };
    // Built files carry a hash in their name and never change; the page that names them does.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "webmanifest" => "application/json",
        _ => "application/octet-stream",
    }
}
