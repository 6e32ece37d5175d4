//! Which other sites' pages may call the API: none, but those that the operator names.
//!
//! They bring a token of their own. A cookie is never theirs to send: it is for our own pages alone, so credentials are not
//! allowed to anybody, and no answer says `*`.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use qd_core::error::{Error, Result};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// For which a browser need not ask again.
const REMEMBERED: Duration = Duration::from_mins(10);

/// # Errors
/// `bad_cors_origin`: what is no origin, and `*`.
pub fn origins(given: &[String]) -> Result<Vec<HeaderValue>> {
    let wrong = |text: &str| {
        Error::malformed(
            "bad_cors_origin",
            format!(
                "{text:?} is no origin: write a site with its scheme and nothing after it, such as https://portal.example.org"
            ),
        )
    };
    let read = |text: &String| {
        let uri: Uri = text.parse().map_err(|_| wrong(text))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong(text));
        };
        // Compared byte for byte with what a browser sends, which is written so.
        let plain = format!("{scheme}://{authority}");
        let fits = matches!(scheme, "http" | "https")
            && *text == plain.to_ascii_lowercase()
            && !text.contains(['*', '@']);
        fits.then(|| HeaderValue::from_str(text).ok()).flatten().ok_or_else(|| wrong(text))
    };
    given.iter().map(read).collect()
}

/// None where no site is named: then a browser keeps every answer from other sites' pages.
pub fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    let words =
        |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let asked = [
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "last-event-id",
        "traceparent",
        "x-correlation-id",
        "x-project-id",
        "x-request-id",
        "x-tenant-id",
    ];
    let answered = [
        "etag",
        "location",
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
        "x-correlation-id",
        "x-request-id",
    ];
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers(words(&asked))
            .expose_headers(words(&answered))
            .max_age(REMEMBERED)
            .vary([
                header::ORIGIN,
                header::ACCESS_CONTROL_REQUEST_METHOD,
                header::ACCESS_CONTROL_REQUEST_HEADERS,
            ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_site_and_nothing_else() {
        let read = |text: &str| origins(&[text.to_owned()]);
        for fine in ["https://portal.example.org", "http://localhost:5173", "https://[::1]:8443"] {
            assert_eq!(read(fine).unwrap(), [fine], "{fine}");
        }
        for wrong in [
            "*",
            "null",
            "portal.example.org",
            "https://portal.example.org/",
            "https://Portal.example.org",
            "https://*.example.org",
            "https://user@example.org",
            "ftp://example.org",
            "",
        ] {
            assert_eq!(read(wrong).unwrap_err().code, "bad_cors_origin", "{wrong}");
        }
    }
}
