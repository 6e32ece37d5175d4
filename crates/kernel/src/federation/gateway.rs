//! Tokens of a gateway that is trusted: verified by its keys, and their rights read from its IAM.
//!
//! The contract with the IAM is one request, in `docs/sign-in.md`: who holds this session, and which roles where. What it answers
//! is remembered for a few seconds by subject and session. When it refuses, its status and its words go to the caller; when it
//! cannot be asked, nobody gets in.

mod keys;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as Held, PoisonError},
    time::Duration,
};

use jsonwebtoken::{DecodingKey, jwk::JwkSet};
use openidconnect::{HttpResponse, http::StatusCode};
use qd_core::{
    error::{Error, ErrorKind, Result, clip},
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;

use self::keys::Keyring;
use super::{
    accounts::{Person, bindings_of},
    http::Http,
    settings::{GatewayKeys, GatewaySettings, GroupRole, secret},
};
use crate::{
    context::RequestIds,
    credentials::{Identity, Origin, access_token::refused},
    jwt,
    kernel::Kernel,
    outbound::OutboundOptions,
};

const MOST_REMEMBERED: usize = 10_000;

pub(crate) struct Gateway {
    pub settings: GatewaySettings,
    http: Http,
    keys: Keyring,
    remembered: Held<HashMap<(String, String), (Identity, Timestamp)>>,
}

/// What is read of a gateway's token.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    session_id: String,
    exp: i64,
    #[serde(default)]
    nbf: i64,
    aud: Option<Value>,
}

/// What the IAM answers.
#[derive(Debug, Deserialize)]
struct Rights {
    /// What the account is to be called; the subject where absent.
    name: Option<String>,
    #[serde(default)]
    display_name: String,
    roles: Vec<Right>,
}

#[derive(Debug, Deserialize)]
struct Right {
    role: String,
    tenant: Option<String>,
    project: Option<String>,
}

/// A refusal in the words of the one who refused.
#[derive(Deserialize)]
struct Refusal {
    detail: Option<String>,
    message: Option<String>,
    error: Option<String>,
}

impl Gateway {
    pub fn new(settings: GatewaySettings, outbound: &OutboundOptions) -> Result<Self> {
        settings.check()?;
        Ok(Self {
            settings,
            http: Http::new(outbound)?,
            keys: Keyring::default(),
            remembered: Held::default(),
        })
    }

    async fn claims(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let read: Option<Claims> = match &self.settings.keys {
            GatewayKeys::Shared { file, algorithm } => {
                jwt::verify(token, &DecodingKey::from_secret(secret(file)?.as_bytes()), &[*algorithm])
            }
            GatewayKeys::Jwks { url, algorithms } => {
                let key = self.keys.key(jwt::kid(token).as_deref(), || self.key_set(url.as_str())).await?;
                let key = key.ok_or_else(refused)?;
                jwt::verify(token, &key, algorithms)
            }
        };
        let claims = read.ok_or_else(refused)?;
        let for_us = |aud: &str| match &claims.aud {
            Some(Value::String(one)) => one == aud,
            Some(Value::Array(many)) => many.iter().any(|one| one == aud),
            _ => false,
        };
        let fits = claims.iss == self.settings.issuer
            && self.settings.audience.as_deref().is_none_or(for_us)
            && jwt::in_time(now, claims.nbf, claims.exp)
            && [&claims.sub, &claims.session_id].iter().all(|id| !id.is_empty() && id.len() <= 256);
        fits.then_some(claims).ok_or_else(refused)
    }

    async fn key_set(&self, url: &str) -> Result<JwkSet> {
        let away = |why: String| {
            tracing::warn!(why, "read the gateway's keys");
            keys::away()
        };
        let answer = self.http.get(url, None).await.map_err(|lost| away(lost.to_string()))?;
        if !answer.status().is_success() {
            return Err(away(format!("it answered {}", answer.status())));
        }
        serde_json::from_slice(answer.body()).map_err(|error| away(error.to_string()))
    }

    async fn rights(&self, claims: &Claims) -> Result<Rights> {
        let iam = &self.settings.iam;
        let mut url = iam.url.clone();
        url.query_pairs_mut().append_pair("sub", &claims.sub).append_pair("session_id", &claims.session_id);
        let token = iam.token_file.as_deref().map(secret).transpose()?;
        let away =
            |why: String| Error::unavailable("gateway_unavailable", format!("the gateway's IAM: {why}"));
        let answer = self.http.get(url.as_str(), token.as_ref().map(|token| token.as_str())).await;
        let answer = answer.map_err(|lost| away(lost.to_string()))?;
        match answer.status() {
            StatusCode::OK => {
                serde_json::from_slice(answer.body()).map_err(|_| away("its answer is not understood".into()))
            }
            status => Err(passed_on(status, &answer)),
        }
    }

    fn remembered(&self, claims: &Claims, now: Timestamp) -> Option<Identity> {
        let known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, until) = known.get(&(claims.sub.clone(), claims.session_id.clone()))?;
        (now < *until).then(|| identity.clone())
    }

    fn remember(&self, claims: Claims, identity: &Identity, now: Timestamp) {
        let Some(until) = now.checked_add(Duration::from_secs(self.settings.iam.cache_s)) else { return };
        let mut known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert((claims.sub, claims.session_id), (identity.clone(), until));
    }
}

/// What the IAM said, with its status where that is one of a refusal.
fn passed_on(status: StatusCode, answer: &HttpResponse) -> Error {
    let said = serde_json::from_slice::<Refusal>(answer.body()).ok();
    let said = said.and_then(|said| said.detail.or(said.message).or(said.error));
    let words = said.unwrap_or_else(|| String::from_utf8_lossy(answer.body()).trim().to_owned());
    let words = match words.as_str() {
        "" => format!("the gateway's IAM answered {}", status.as_u16()),
        words => clip(words, 300),
    };
    let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let kind = match status.as_u16() {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::Forbidden,
        429 => ErrorKind::RateLimited,
        _ => ErrorKind::Unavailable,
    };
    let (code, detail) = match kind {
        ErrorKind::Unauthenticated => ("gateway_unauthenticated", words),
        ErrorKind::Forbidden => ("gateway_forbidden", words),
        ErrorKind::RateLimited => ("gateway_rate_limited", words),
        _ => ("gateway_unavailable", format!("the gateway's IAM answered {}: {words}", status.as_u16())),
    };
    let mut error = Error::new(kind, code, detail);
    error.retry_after_s = after;
    error
}

impl Kernel {
    /// Whether a token says that the trusted gateway made it.
    pub fn is_gateways(&self, token: &str) -> bool {
        let Some(gateway) = &self.federation.gateway else { return false };
        jwt::looks_like_one(token) && jwt::claimed_issuer(token).as_ref() == Some(&gateway.settings.issuer)
    }

    /// Who comes with a token of the gateway.
    ///
    /// # Errors
    /// `bad_credential` (401) where it does not hold; what the IAM says as `gateway_unauthenticated` (401), `gateway_forbidden`
    /// (403), `gateway_rate_limited` (429); `gateway_unavailable` (503).
    pub async fn gateway_identity(&self, token: &str, source: &str, ids: &RequestIds) -> Result<Identity> {
        let Some(gateway) = &self.federation.gateway else { return Err(refused()) };
        let now = self.source.now();
        let claims = gateway.claims(token, now).await?;
        if let Some(identity) = gateway.remembered(&claims, now) {
            return Ok(identity);
        }
        let rights = gateway.rights(&claims).await?;
        let person = Person {
            issuer: gateway.settings.issuer.clone(),
            subject: claims.sub.clone(),
            provider: "gateway".into(),
            name: rights.name.clone().unwrap_or_else(|| claims.sub.clone()),
            display_name: rights.display_name.clone(),
            groups: vec![],
        };
        let origin = Origin { source: source.into(), label: String::new() };
        let id = self.person_account(person, None, &origin, ids).await?;
        let mut identity = self.identity(id, uuid::Uuid::nil()).await?;
        let roles = self.authority.roles();
        let rules = rights.roles.into_iter().map(|right| GroupRole {
            group: String::new(),
            role: right.role,
            tenant: right.tenant,
            project: right.project,
        });
        // A role that is not there, or not at that level, gives nothing.
        let rules: Vec<GroupRole> = rules.filter(|rule| rule.check(roles).is_ok()).collect();
        let bindings = self.store.read(move |tx| -> Result<_> { bindings_of(tx, &rules) }).await?;
        // The account's own are nothing to the IAM: neither roles, nor teams, nor what is shared with it.
        (identity.bindings, identity.teams, identity.held) =
            (bindings.into(), Arc::default(), Arc::default());
        gateway.remember(claims, &identity, now);
        Ok(identity)
    }
}
