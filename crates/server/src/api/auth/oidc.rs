//! Signing in with an OpenID provider: the browser goes there, comes back with a code, and is sent on.
//!
//! What it brings back is bound to it by a cookie of ten minutes that only these addresses are sent. The cookie is `Lax`, because
//! the way back begins at another site; it carries nothing that lets anybody in. Whatever goes wrong, the sign-in page says it,
//! by a code.

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use qd_core::error::{Error, Result};
use qd_kernel::federation::oidc::{Pending, ProviderInfo, Returned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{session_cookie, sign_in::origin};
use crate::{
    http::{
        caller,
        caller::request_ids,
        path::Path,
        problem::Problem,
        query::{ForeignParams, Params},
    },
    state::App,
};

const COOKIE: &str = "qd_oidc";
const COOKIE_PATH: &str = "/api/v1/auth/oidc";
/// Seconds that one may take at the provider.
const PATIENCE: u64 = 600;
/// Signs of a page to go to.
const LONGEST_NEXT: usize = 200;
/// What stands in place of a page where a sign-in code is to be shown.
const CODE: &str = "code";

#[derive(Debug, Serialize, JsonSchema)]
pub struct ProviderList {
    pub items: Vec<ProviderInfo>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartQuery {
    /// A page of this server to go to afterwards: a path.
    pub next: Option<String>,
    /// `code` shows a one-time sign-in code instead of opening a session here: for another program on one's machine.
    pub show: Option<Show>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    Code,
}

/// What the provider sends along; providers add words of their own.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CallbackQuery {
    pub code: Option<String>,
    pub state: Option<String>,
    pub error: Option<String>,
    pub iss: Option<String>,
}

pub async fn providers(State(app): State<App>) -> Json<ProviderList> {
    Json(ProviderList { items: app.kernel.provider_list() })
}

pub async fn start(
    State(app): State<App>,
    Path(provider): Path<String>,
    Params(query): Params<StartQuery>,
) -> Result<Response, Problem> {
    let next = match (query.show, query.next) {
        (Some(Show::Code), _) => CODE.to_owned(),
        (None, next) => own_page(next.as_deref().unwrap_or("/"))?.to_owned(),
    };
    let redirect = redirect_url(&app, &provider);
    match app.kernel.provider_start(&provider, &redirect).await {
        Ok((there, pending)) => Ok(go(&there, &[cookie(&app, &written(&pending, &next), PATIENCE)])),
        Err(error) => Ok(back(&app, &error)),
    }
}

pub async fn callback(
    State(app): State<App>,
    Path(provider): Path<String>,
    ForeignParams(query): ForeignParams<CallbackQuery>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, Problem> {
    let (origin, ids) = (origin(&headers, &extensions), request_ids(&extensions)?);
    let signed_in = async {
        let kept = caller::cookie(&headers, COOKIE).and_then(|text| read(&text));
        let (pending, next) = kept.ok_or_else(strange)?;
        let state = query.state.unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(pending.state.as_bytes())) {
            return Err(strange());
        }
        let code = match (query.error, query.code) {
            (None, Some(code)) => code,
            _ => return Err(Error::unauthenticated("provider_denied", "the provider let nobody in")),
        };
        let redirect = redirect_url(&app, &provider);
        let returned = Returned { code: &code, issuer: query.iss.as_deref() };
        let person =
            app.kernel.provider_finish(&provider, &redirect, returned, &pending, &origin, &ids).await?;
        if next == CODE {
            let link = app.kernel.person_link(person, origin.clone(), ids.clone()).await?;
            return Ok(code_page(&app, &link.secret));
        }
        let (_, session) = app.kernel.person_session(person, origin.clone(), ids.clone()).await?;
        Ok(go(&page(&app, &next), &[cookie(&app, "", 0), session_cookie(&app, &session)]))
    };
    match signed_in.await {
        Ok(response) => Ok(response),
        Err(error) => {
            app.kernel.person_refused(&provider, &error, &origin, ids.clone()).await?;
            Ok(back(&app, &error))
        }
    }
}

fn strange() -> Error {
    Error::unauthenticated(
        "sign_in_state",
        "this sign-in was not begun in this browser, or more than ten minutes ago",
    )
}

/// A path of this server's own pages, which no browser takes for another host.
fn own_page(next: &str) -> Result<&str, Problem> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b';' | b',');
    let fits = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= LONGEST_NEXT
        && next.bytes().all(plain);
    match fits {
        true => Ok(next),
        false => Err(Problem(Error::malformed("bad_next", "next is a path of this server's own pages"))),
    }
}

/// Of drawn words, none of which has a `~`.
fn written(pending: &Pending, next: &str) -> String {
    let Pending { state, nonce, verifier } = pending;
    format!("{state}~{nonce}~{verifier}~{next}")
}

fn read(text: &str) -> Option<(Pending, String)> {
    let mut parts = text.splitn(4, '~').map(str::to_owned);
    let pending = Pending { state: parts.next()?, nonce: parts.next()?, verifier: parts.next()? };
    let next = parts.next()?;
    let whole = [&pending.state, &pending.nonce, &pending.verifier].iter().all(|word| word.len() >= 43);
    (whole && (next == CODE || own_page(&next).is_ok())).then_some((pending, next))
}

fn redirect_url(app: &App, provider: &str) -> String {
    format!("{}{COOKIE_PATH}/{provider}/callback", app.public_url.trim_end_matches('/'))
}

fn page(app: &App, path: &str) -> String {
    format!("{}{path}", app.public_url.trim_end_matches('/'))
}

fn cookie(app: &App, value: &str, seconds: u64) -> String {
    let secure = if app.public_url.starts_with("https://") { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path={COOKIE_PATH}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

fn go(there: &str, cookies: &[String]) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    if let Ok(there) = HeaderValue::from_str(there) {
        headers.insert(header::LOCATION, there);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// To the sign-in page, which knows the codes.
fn back(app: &App, error: &Error) -> Response {
    go(&page(app, &format!("/sign-in?error={}", error.code)), &[cookie(app, "", 0)])
}

fn code_page(app: &App, code: &str) -> Response {
    let text = format!(
        "{code}\n\nThis code signs in once, within ten minutes. Give it to the program on your own machine that asked for it,\nand to nobody else: whoever has it is you.\n"
    );
    let mut response = ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(gone) = HeaderValue::from_str(&cookie(app, "", 0)) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_ones_own_is_gone_to() {
        for own in ["/", "/pipelines/curate?tab=runs", "/t/acme/runs#x"] {
            assert!(own_page(own).is_ok(), "{own}");
        }
        let long = format!("/{}", "x".repeat(300));
        for other in [
            "",
            "https://elsewhere.example",
            "//elsewhere.example",
            "/\\elsewhere.example",
            "/a\nb",
            "/a;b",
            "x",
            &long,
        ] {
            assert!(own_page(other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_a_browser_brings_back_is_what_it_was_given() {
        let word = |sign: &str| sign.repeat(43);
        let pending = Pending { state: word("s"), nonce: word("n"), verifier: word("v") };
        for next in [CODE, "/runs~x"] {
            assert_eq!(read(&written(&pending, next)), Some((pending.clone(), next.to_owned())));
        }
        for odd in ["", "~~~/", "a~b~c~/", &written(&pending, "//x"), &word("s")] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
