//! Refresh tokens: opaque, good for one use, each in place of the one before.
//!
//! Those that follow from one sign-in are a family, which is one credential: the session of its access tokens. A token that
//! was used and comes again is in two hands, and nobody can tell whose came first: the family ends, and with it its access
//! tokens. There is no grace for an answer that was lost: whoever stole a token would have the same grace. A client sends one
//! request at a time, and signs in again where it did not hear the answer.

use std::{sync::Arc, time::Duration};

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    time::Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    CredentialKind, Grounds, Identity, Origin, Secret, SignIn, access_token::ACCESS_LIFE_S, draw, earlier,
    hash, limits,
};
use crate::{
    context::{RequestIds, Scope},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
    store::{Row, StoreResult, Tx},
};

/// A family that is not used for so long has ended.
const IDLE: Duration = Duration::from_hours(24 * 30);
/// However it is used, one signs in again after so long.
const LONGEST: Duration = Duration::from_hours(24 * 90);

/// An access token with the refresh token for the next one.
pub struct Tokens {
    pub access_token: String,
    /// Seconds.
    pub expires_in: i64,
    pub refresh: Secret,
    pub identity: Identity,
}

/// The family that a refresh token is of.
struct Family {
    id: Uuid,
    principal_id: PrincipalId,
    created_at: Timestamp,
    limits: Option<Arc<[String]>>,
    ends_at: Option<Timestamp>,
    /// Whether it is the token that comes next, and not one that was used.
    next: bool,
}

fn refused() -> Error {
    Error::unauthenticated(
        "bad_refresh_token",
        "the refresh token is unknown, used or expired, or its session has ended; sign in again",
    )
}

impl Kernel {
    /// Signs in by name and password, for tokens instead of a session.
    ///
    /// # Errors
    /// As [`Kernel::sign_in`]; `secret_key_missing`, `secret_key_wrong` (503) where this process cannot sign.
    pub async fn tokens_by_password(&self, asked: SignIn, ids: RequestIds) -> Result<Tokens> {
        // Before the try is counted and a family made: without a key there are no tokens.
        self.signer().await?;
        let origin = asked.origin.clone();
        let grounds = self.password_proved(asked, &ids).await?;
        self.family_open(grounds, origin, ids).await
    }

    /// Uses a sign-in code up, for tokens instead of a session.
    ///
    /// # Errors
    /// `bad_sign_in_code` (401); as [`Self::tokens_by_password`].
    pub async fn tokens_by_code(&self, code: &str, origin: Origin, ids: RequestIds) -> Result<Tokens> {
        self.signer().await?;
        let grounds = self.link_grounds(code, &origin, &ids).await?;
        self.family_open(grounds, origin, ids).await
    }

    async fn family_open(&self, grounds: Grounds, origin: Origin, ids: RequestIds) -> Result<Tokens> {
        let (identity, refresh) = self.opened(grounds, CredentialKind::Refresh, IDLE, origin, ids).await?;
        self.tokens(identity, refresh).await
    }

    async fn tokens(&self, identity: Identity, refresh: Secret) -> Result<Tokens> {
        let access_token = self.access_token(identity.id, identity.credential_id).await?;
        Ok(Tokens { access_token, expires_in: ACCESS_LIFE_S, refresh, identity })
    }

    /// A new access token and the next refresh token, for the one that comes next.
    ///
    /// # Errors
    /// `bad_refresh_token` (401), the same for one that is unknown, expired, of a session that ended, of an account that is
    /// suspended, and used: the last ends the family.
    pub async fn tokens_refresh(&self, token: &str, origin: Origin, ids: RequestIds) -> Result<Tokens> {
        self.signer().await?;
        let (digest, now) = (hash(token), self.source.now());
        let asked = digest.clone();
        let found = self.store.read(move |tx| -> Result<Option<Family>> { family(tx, &asked, now) }).await?;
        let family = found.ok_or_else(refused)?;
        let identity = self
            .identity(family.principal_id, family.id)
            .await
            .map_err(|error| if error.code == "bad_credential" { refused() } else { error })?;
        let context = self.context(&identity, Scope::PLATFORM, ids, origin.source).await?;
        let secret = draw(&self.source, CredentialKind::Refresh);
        let (next, session, name, me) = (hash(&secret), family.id, identity.name.clone(), identity.id);
        let end = family.created_at.checked_add(LONGEST);
        let expires_at = earlier(earlier(now.checked_add(IDLE), end), family.ends_at);
        let kept = expires_at.unwrap_or(Timestamp::MAX);
        let object = move |name: &str| (me.uuid(), name.to_owned());
        if family.next {
            let (old, name) = (digest.clone(), name.clone());
            let renewed = self
                .mutate(&context, Act::new("own", "refresh"), move |m| {
                    let moved = m.tx.exec(
                        "UPDATE credential SET hash = $2, expires_at = $3
                         WHERE hash = $1 AND kind = 'refresh' AND expires_at > $4",
                        params![old.clone(), next.clone(), expires_at, m.now],
                    )?;
                    if moved == 0 {
                        m.unchanged();
                        return Ok(false);
                    }
                    m.tx.exec(
                        "INSERT INTO refresh_used (hash, family_id, principal_id, expires_at) VALUES ($1, $2, $3, $4)",
                        params![old.clone(), session, me, kept],
                    )?;
                    m.event("session.renewed", Subject::default(), &json!({ "principal": name, "session": session }))?;
                    let (id, name) = object(&name);
                    m.audit(&Object { kind: "Principal", id, name: &name }, &[], None)?;
                    Ok(true)
                })
                .await?;
            if renewed {
                let identity = Identity { limits: family.limits, ..identity };
                return self.tokens(identity, Secret { secret, expires_at }).await;
            }
            // Another one came with the same token in between, or the family has ended.
        }
        let act = Act::new("own", "end-family").because("a refresh token was used a second time");
        self.mutate(&context, act, move |m| {
            let gone =
                m.tx.exec("DELETE FROM credential WHERE id = $1 AND kind = 'refresh'", params![session])?;
            if gone == 0 {
                m.unchanged();
                return Ok(());
            }
            m.event("session.reused", Subject::default(), &json!({ "principal": name, "session": session }))?;
            let (id, name) = object(&name);
            m.audit(&Object { kind: "Principal", id, name: &name }, &[], None)
        })
        .await?;
        self.callers.clear();
        Err(refused())
    }
}

/// The family of a token that comes next, or of one that was used.
fn family(tx: &mut Tx<'_>, digest: &[u8], now: Timestamp) -> Result<Option<Family>> {
    let read = |row: &Row<'_>, next: bool| -> StoreResult<Family> {
        let (allows, ends_at) = (row.get(3)?, row.get(4)?);
        let (id, principal_id, created_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Family { id, principal_id, created_at, limits: limits(allows), ends_at, next })
    };
    let next = tx.opt(
        "SELECT id, principal_id, created_at, allows, ends_at FROM credential
         WHERE hash = $1 AND kind = 'refresh' AND expires_at > $2",
        params![digest.to_vec(), now],
        |row| read(row, true),
    )?;
    if next.is_some() {
        return Ok(next);
    }
    Ok(tx.opt(
        "SELECT c.id, c.principal_id, c.created_at, c.allows, c.ends_at
         FROM refresh_used u JOIN credential c ON c.id = u.family_id WHERE u.hash = $1",
        params![digest.to_vec()],
        |row| read(row, false),
    )?)
}
