//! What opens a session: a one-time code, a name with its password, an invitation.

use axum::{
    extract::State,
    http::{Extensions, HeaderMap, header},
    response::Response,
};
use qd_kernel::credentials::{Origin, SignIn};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{from_our_pages, signed_in};
use crate::{
    http::{
        body::Body,
        caller::{address, request_ids},
        problem::Problem,
    },
    state::App,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeBody {
    /// The part after `#code=` of a sign-in link.
    pub code: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInBody {
    pub name: String,
    pub password: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptBody {
    /// The part after `#invitation=` of an invitation.
    pub code: String,
    /// The password to sign in with from now on: 12 characters at least.
    pub password: String,
}

pub async fn exchange(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Response, Problem> {
    from_our_pages(&headers)?;
    let ExchangeBody { code } = body.json()?;
    let (origin, ids) = (origin(&headers, &extensions), request_ids(&extensions)?);
    let (identity, session) = app.kernel.link_exchange(&code, origin, ids).await?;
    Ok(signed_in(&app, &identity, &session))
}

pub async fn sign_in(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Response, Problem> {
    from_our_pages(&headers)?;
    let SignInBody { name, password } = body.json()?;
    let asked = SignIn { name, password, origin: origin(&headers, &extensions) };
    let (identity, session) = app.kernel.sign_in(asked, request_ids(&extensions)?).await?;
    Ok(signed_in(&app, &identity, &session))
}

pub async fn accept(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Response, Problem> {
    from_our_pages(&headers)?;
    let AcceptBody { code, password } = body.json()?;
    let (origin, ids) = (origin(&headers, &extensions), request_ids(&extensions)?);
    let (identity, session) = app.kernel.invitation_accept(&code, &password, origin, ids).await?;
    Ok(signed_in(&app, &identity, &session))
}

pub(super) fn origin(headers: &HeaderMap, extensions: &Extensions) -> Origin {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Origin { source: address(extensions), label: agent.to_owned() }
}
