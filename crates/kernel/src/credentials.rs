//! Who is calling: bearer tokens, browser sessions and one-time sign-in links.
//!
//! A secret is shown once, when it is made; the database holds its SHA-256 alone, and a look-up is by that hash, so that
//! neither a copy of the database nor the time of a comparison gives one away. Accounts for people come later.

pub(crate) mod callers;
mod token;

use std::time::Duration;

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    access::PLATFORM_ADMIN,
    clock::Source,
    context::{Context, Principal, PrincipalKind},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
    store::{self, Column, Row, StoreResult},
};

/// The account made at first start.
pub const OWNER: &str = "owner";
const SESSION_LIFE: Duration = Duration::from_hours(12);
const LINK_LIFE: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// `qd_…`, sent as a bearer token.
    Token,
    /// `qds_…`, kept by a browser in an HttpOnly cookie.
    Session,
    /// `qdl_…`, exchanged once for a session.
    Link,
}

impl CredentialKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Link => "link",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Token => "qd_",
            Self::Session => "qds_",
            Self::Link => "qdl_",
        }
    }
}

/// A new secret; not stored, not logged.
pub struct Secret {
    pub secret: String,
    pub expires_at: Option<Timestamp>,
}

fn draw(source: &Source, kind: CredentialKind) -> String {
    let mut bytes = [0u8; 32];
    source.random(&mut bytes);
    format!("{}{}", kind.prefix(), hex::encode(bytes))
}

fn hash(secret: &str) -> Vec<u8> {
    hex::decode(qd_core::canonical::sha256_hex(secret.as_bytes())).unwrap_or_default()
}

impl Kernel {
    /// Makes the owner account where there is none.
    pub(crate) async fn owner_bootstrap(&self) -> Result<()> {
        let (id, now) = (self.source.uuid(), self.source.now());
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec(
                    "INSERT INTO principal (id, name, kind, role, created_at) VALUES ($1, $2, 'user', $3, $4)
                     ON CONFLICT (name) DO NOTHING",
                    params![id, OWNER, PLATFORM_ADMIN, now],
                )?;
                Ok(())
            })
            .await
    }

    /// A new bearer token for the owner, for whoever holds the data folder: the caller is the machine's own user.
    pub async fn owner_token(&self) -> Result<String> {
        let owner = self.principal_named(OWNER).await?;
        Ok(self.issue(owner.id, CredentialKind::Token, None).await?.secret)
    }

    /// A new one-time sign-in code for the owner, valid for ten minutes.
    pub async fn owner_link(&self) -> Result<Secret> {
        let owner = self.principal_named(OWNER).await?;
        self.issue(owner.id, CredentialKind::Link, Some(LINK_LIFE)).await
    }

    /// A new one-time sign-in code for the caller.
    pub async fn link_create(&self, context: &Context) -> Result<Secret> {
        let secret = draw(&self.source, CredentialKind::Link);
        let (digest, principal) = (hash(&secret), context.principal.clone());
        let expires_at = self.source.now().checked_add(LINK_LIFE);
        self.mutate(context, Act::new("links", "create"), move |m| {
            m.tx.exec(
                "INSERT INTO credential (hash, principal_id, kind, created_at, expires_at) VALUES ($1, $2, 'link', $3, $4)",
                params![digest, principal.id, m.now, expires_at],
            )?;
            m.event("link.created", Subject::default(), &serde_json::json!({ "principal": principal.name }))?;
            m.audit(&Object { kind: "Principal", id: principal.id.uuid(), name: &principal.name }, &[], None)
        })
        .await?;
        Ok(Secret { secret, expires_at })
    }

    /// Uses a sign-in code up and opens a browser session. A code works once.
    pub async fn link_exchange(&self, code: &str) -> Result<(Principal, Secret)> {
        let digest = hash(code);
        let session = draw(&self.source, CredentialKind::Session);
        let session_hash = hash(&session);
        let now = self.source.now();
        let expires_at = now.checked_add(SESSION_LIFE);
        let principal = self
            .store
            .write(move |tx| -> Result<Option<Principal>> {
                let used = tx.exec(
                    "UPDATE credential SET used_at = $2
                     WHERE hash = $1 AND kind = 'link' AND used_at IS NULL AND expires_at > $2",
                    params![digest, now],
                )?;
                if used == 0 {
                    return Ok(None);
                }
                let principal = tx.one(
                    "SELECT p.id, p.name, p.kind, p.role FROM credential c JOIN principal p ON p.id = c.principal_id
                     WHERE c.hash = $1",
                    params![digest],
                    principal_row,
                )?;
                tx.exec(
                    "INSERT INTO credential (hash, principal_id, kind, created_at, expires_at)
                     VALUES ($1, $2, 'session', $3, $4)",
                    params![session_hash, principal.id, now, expires_at],
                )?;
                Ok(Some(principal))
            })
            .await?
            .ok_or_else(|| {
                Error::unauthenticated("bad_sign_in_code", "this sign-in code is unknown, used or expired; ask for a new one with: qd auth link")
            })?;
        Ok((principal, Secret { secret: session, expires_at }))
    }

    /// Who holds this token or session.
    pub async fn authenticate(&self, secret: &str) -> Result<Principal> {
        let now = self.source.now();
        if let Some(principal) = self.callers.get(secret, now) {
            return Ok(principal);
        }
        let digest = hash(secret);
        let found = self
            .store
            .read(move |tx| -> Result<Option<Principal>> {
                Ok(tx.opt(
                    "SELECT p.id, p.name, p.kind, p.role FROM credential c JOIN principal p ON p.id = c.principal_id
                     WHERE c.hash = $1 AND c.kind IN ('token', 'session') AND (c.expires_at IS NULL OR c.expires_at > $2)",
                    params![digest, now],
                    principal_row,
                )?)
            })
            .await?
            .ok_or_else(|| Error::unauthenticated("bad_credential", "the token or session is unknown or expired"))?;
        self.callers.put(secret, &found, now);
        Ok(found)
    }

    /// Ends a session or revokes a token.
    pub async fn credential_revoke(&self, secret: &str) -> Result<()> {
        let digest = hash(secret);
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec("DELETE FROM credential WHERE hash = $1", params![digest])?;
                Ok(())
            })
            .await?;
        // After the commit: who asked in between has been put on the list again.
        self.callers.forget(secret);
        Ok(())
    }

    async fn principal_named(&self, name: &str) -> Result<Principal> {
        let name = name.to_owned();
        self.store
            .read(move |tx| -> Result<Option<Principal>> {
                Ok(tx.opt(
                    "SELECT id, name, kind, role FROM principal WHERE name = $1",
                    params![name],
                    principal_row,
                )?)
            })
            .await?
            .ok_or_else(|| Error::not_found("principal_not_found", "there is no such account"))
    }

    async fn issue(
        &self,
        principal_id: PrincipalId,
        kind: CredentialKind,
        life: Option<Duration>,
    ) -> Result<Secret> {
        let secret = draw(&self.source, kind);
        let (digest, now) = (hash(&secret), self.source.now());
        let expires_at = life.and_then(|life| now.checked_add(life));
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec(
                    "INSERT INTO credential (hash, principal_id, kind, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
                    params![digest, principal_id, kind.as_str(), now, expires_at],
                )?;
                Ok(())
            })
            .await?;
        Ok(Secret { secret, expires_at })
    }
}

impl Column for PrincipalKind {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "user" => Ok(Self::User),
            "service" => Ok(Self::Service),
            "system" => Ok(Self::System),
            other => Err(format!("{other:?} is no kind of account")),
        }
    }
}

fn principal_row(row: &Row<'_>) -> StoreResult<Principal> {
    let id: Uuid = row.get(0)?;
    Ok(Principal { id: PrincipalId::from(id), name: row.get(1)?, kind: row.get(2)?, role: row.get(3)? })
}
