//! Access and refresh tokens, asked for in the manner of OAuth 2.

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap, header},
    response::{IntoResponse, Response},
};
use qd_core::time::Timestamp;
use qd_kernel::{context::Scope, credentials::SignIn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MyPrincipal, from_our_pages, sign_in::origin};
use crate::{
    http::{body::Body, caller::request_ids, problem::Problem},
    state::App,
};

/// What tokens are asked for with.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "grant_type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Grant {
    /// By name and password.
    Password { name: String, password: String },
    /// By the refresh token of the last answer, which works once.
    RefreshToken { refresh_token: String },
    /// By a one-time sign-in code.
    SignInCode { code: String },
}

#[derive(Serialize, JsonSchema)]
pub struct Granted {
    pub access_token: String,
    /// `Bearer`
    pub token_type: &'static str,
    /// Seconds that the access token works.
    pub expires_in: i64,
    /// For the next ones; works once.
    pub refresh_token: String,
    /// Seconds that it works.
    pub refresh_expires_in: i64,
    pub principal: MyPrincipal,
}

pub async fn token(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Response, Problem> {
    from_our_pages(&headers)?;
    let grant: Grant = body.json()?;
    let (origin, ids) = (origin(&headers, &extensions), request_ids(&extensions)?);
    let tokens = match grant {
        Grant::Password { name, password } => {
            app.kernel.tokens_by_password(SignIn { name, password, origin }, ids).await?
        }
        Grant::RefreshToken { refresh_token } => {
            app.kernel.tokens_refresh(&refresh_token, origin, ids).await?
        }
        Grant::SignInCode { code } => app.kernel.tokens_by_code(&code, origin, ids).await?,
    };
    let left = |until: Timestamp| until.since(app.kernel.source.now()).as_secs();
    let granted = Granted {
        access_token: tokens.access_token,
        token_type: "Bearer",
        expires_in: tokens.expires_in,
        refresh_token: tokens.refresh.secret,
        refresh_expires_in: tokens
            .refresh
            .expires_at
            .map_or(0, |until| i64::try_from(left(until)).unwrap_or(i64::MAX)),
        principal: tokens.identity.principal(Scope::PLATFORM).into(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(granted)).into_response())
}
