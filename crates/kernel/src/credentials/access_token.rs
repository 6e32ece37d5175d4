//! Access tokens: JWTs of ten minutes, signed by the installation, that name a session which can be ended.
//!
//! The signature says who it was made for, the session whether it still holds: it is looked up as an opaque token is, and
//! remembered for the same few seconds. So a token is worth nothing once its session has ended, whatever its time. Whatever
//! is wrong with one, the answer is the same.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Identity, identity_row, with_bindings};
use crate::{jwt, kernel::Kernel, params};

/// Seconds.
pub const ACCESS_LIFE_S: i64 = 600;
/// Whom the tokens are for.
pub const AUDIENCE: &str = "quarterdeck";

/// What an access token says (RFC 9068, without its scopes).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// `urn:uuid:` and the id of the installation.
    pub iss: String,
    pub aud: String,
    /// The account.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// Seconds since 1970.
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub jti: Uuid,
}

/// What every token that does not hold is answered.
pub(crate) fn refused() -> Error {
    Error::unauthenticated("bad_credential", "the token or session is unknown or expired")
}

impl Kernel {
    /// Who signs: the name of this installation among others.
    pub async fn token_issuer(&self) -> Result<String> {
        Ok(format!("urn:uuid:{}", self.audit_chain(None).await?.installation))
    }

    pub(super) async fn access_token(&self, principal: PrincipalId, session: Uuid) -> Result<String> {
        let signer = self.signer().await?;
        let now = jwt::seconds(self.source.now());
        let claims = Claims {
            iss: self.token_issuer().await?,
            aud: AUDIENCE.into(),
            sub: principal.uuid(),
            sid: session,
            iat: now,
            nbf: now,
            exp: now + ACCESS_LIFE_S,
            jti: self.source.uuid(),
        };
        jwt::sign(&signer.kid, &signer.seed, &claims)
    }

    /// Who comes with this token, and until when that may be remembered.
    pub(super) async fn access_token_holder(&self, token: &str) -> Result<(Identity, Timestamp)> {
        let kid = jwt::kid(token).ok_or_else(refused)?;
        let public = self.signing_public(&kid).await?.ok_or_else(refused)?;
        let key = DecodingKey::from_ed_der(&public);
        let claims: Claims = jwt::verify(token, &key, &[Algorithm::EdDSA]).ok_or_else(refused)?;
        let now = self.source.now();
        let ours = claims.iss == self.token_issuer().await? && claims.aud == AUDIENCE;
        if !ours || !jwt::in_time(now, claims.nbf, claims.exp) {
            return Err(refused());
        }
        let found = self
            .store
            .read(move |tx| -> Result<Option<Identity>> {
                let found = tx.opt(
                    "SELECT p.id, p.name, p.kind, c.id, c.allows
                     FROM credential c JOIN principal p ON p.id = c.principal_id
                     WHERE c.id = $1 AND p.id = $2 AND c.kind = 'refresh' AND c.expires_at > $3 AND p.state = 'active'",
                    params![claims.sid, claims.sub, now],
                    identity_row,
                )?;
                found.map(|identity| with_bindings(tx, identity)).transpose()
            })
            .await?
            .ok_or_else(refused)?;
        let end = claims.exp.saturating_add(jwt::LEEWAY_S);
        let left = u64::try_from(end - jwt::seconds(now)).unwrap_or(0);
        let until = now.checked_add(Duration::from_secs(left)).unwrap_or(now);
        Ok((found, until))
    }
}
