//! Opening a session or a family: the last step of every sign-in.
//!
//! What somebody was recognised by is looked at once more in the transaction that lets him in, with his account locked: a
//! password that was changed while the old one was being hashed, a code that was used by another, an account that was suspended
//! meanwhile let nobody in.

use std::{sync::Arc, time::Duration};

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    time::Timestamp,
};
use serde_json::json;

use super::{
    CredentialKind, Identity, New, Origin, SESSION_LIFE, Secret, draw, earlier, hash, limits, sign_in,
};
use crate::{
    context::{RequestIds, Scope},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
    store::Tx,
};

/// Whom a sign-in lets in, by what, and what that hands on to what comes of it.
pub(crate) struct Grounds {
    pub principal_id: PrincipalId,
    pub proof: Proof,
    pub limits: Option<Arc<[String]>>,
    pub ends_at: Option<Timestamp>,
}

/// What somebody was recognised by.
pub(crate) enum Proof {
    /// The stored hash that the password was held against.
    Password(String),
    /// A sign-in code, by its hash.
    Link(Vec<u8>),
    /// An invitation, by its hash, with the hash of the password that is chosen by it.
    Invitation { code: Vec<u8>, chosen: String },
    /// The word of a provider.
    Elsewhere,
}

impl Grounds {
    pub fn new(principal_id: PrincipalId, proof: Proof) -> Self {
        Self { principal_id, proof, limits: None, ends_at: None }
    }
}

impl Proof {
    /// Whether it still holds; uses up what works once.
    fn holds(&self, tx: &mut Tx<'_>, id: PrincipalId, now: Timestamp) -> Result<bool> {
        let sql = format!(
            "SELECT password FROM principal WHERE id = $1 AND state = 'active'{}",
            tx.backend().for_update()
        );
        let active: Option<Option<String>> = tx.opt(&sql, params![id], |row| row.get(0))?;
        Ok(match (self, active) {
            (_, None) => false,
            (Self::Password(verified), Some(stored)) => stored.as_ref() == Some(verified),
            (Self::Link(code), Some(_)) => use_up(tx, CredentialKind::Link, code, now)?,
            (Self::Invitation { code, chosen }, Some(_)) => {
                let used = use_up(tx, CredentialKind::Invite, code, now)?;
                if used {
                    sign_in::password_set(tx, id, chosen)?;
                }
                used
            }
            (Self::Elsewhere, Some(_)) => true,
        })
    }

    /// What is said where it does not hold.
    fn refusal(&self) -> Error {
        match self {
            Self::Password(_) => sign_in::refused(),
            Self::Link(_) => Error::unauthenticated(
                "bad_sign_in_code",
                "this sign-in code is unknown, used or expired; ask for a new one with: qd auth link",
            ),
            Self::Invitation { .. } => Error::unauthenticated(
                "bad_invitation",
                "this invitation is unknown, used or expired; ask for a new one",
            ),
            Self::Elsewhere => Error::unauthenticated("bad_credential", "the account is suspended"),
        }
    }

    /// What is done by it, for the audit.
    fn verb(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "accept-invitation",
            _ => "sign-in",
        }
    }

    /// The code that it is, by its hash.
    fn code(&self) -> Option<&[u8]> {
        match self {
            Self::Link(code) | Self::Invitation { code, .. } => Some(code),
            Self::Password(_) | Self::Elsewhere => None,
        }
    }
}

/// Whether the code was one that can be used, and is used up now.
fn use_up(tx: &mut Tx<'_>, kind: CredentialKind, code: &[u8], now: Timestamp) -> Result<bool> {
    let used = tx.exec(
        "UPDATE credential SET used_at = $3
         WHERE hash = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3",
        params![code.to_vec(), kind.as_str(), now],
    )?;
    Ok(used == 1)
}

impl Kernel {
    /// Uses a sign-in code up and opens a browser session. A code works once.
    pub async fn link_exchange(
        &self,
        code: &str,
        origin: Origin,
        ids: RequestIds,
    ) -> Result<(Identity, Secret)> {
        let grounds = self.link_grounds(code, &origin, &ids).await?;
        self.session_open(grounds, origin, ids).await
    }

    /// What a sign-in code opens; it is used up where that is opened.
    pub(super) async fn link_grounds(
        &self,
        code: &str,
        origin: &Origin,
        ids: &RequestIds,
    ) -> Result<Grounds> {
        let (digest, now) = (hash(code), self.source.now());
        let asked = digest.clone();
        let found = self.store.read(move |tx| -> Result<_> {
            Ok(tx.opt(
                "SELECT p.id, c.allows, c.ends_at FROM credential c JOIN principal p ON p.id = c.principal_id
                 WHERE c.hash = $1 AND c.kind = 'link' AND c.used_at IS NULL AND c.expires_at > $2 AND p.state = 'active'",
                params![asked, now],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?)
        });
        let proof = Proof::Link(digest);
        match found.await? {
            Some((principal_id, allows, ends_at)) => {
                Ok(Grounds { principal_id, proof, limits: limits(allows), ends_at })
            }
            None => Err(self.proof_refused(&proof, None, origin, ids).await?),
        }
    }

    /// Puts on record that a proof does not hold, and answers what is said of it.
    pub(super) async fn proof_refused(
        &self,
        proof: &Proof,
        known: Option<String>,
        origin: &Origin,
        ids: &RequestIds,
    ) -> Result<Error> {
        let code = proof.code().filter(|_| known.is_none()).map(<[u8]>::to_vec);
        // Whose it is is known of one that was used or has expired.
        let whose = self.store.read(move |tx| -> Result<Option<String>> {
            let sql =
                "SELECT p.name FROM credential c JOIN principal p ON p.id = c.principal_id WHERE c.hash = $1";
            Ok(code.clone().map_or(Ok(None), |code| tx.opt(sql, params![code], |row| row.get(0)))?)
        });
        let error = proof.refusal();
        self.sign_in_failed(known.or(whose.await?), proof.verb(), &error.detail, origin, ids).await?;
        Ok(error)
    }

    /// A new session of somebody who has just been recognised.
    pub(crate) async fn session_open(
        &self,
        grounds: Grounds,
        origin: Origin,
        ids: RequestIds,
    ) -> Result<(Identity, Secret)> {
        self.opened(grounds, CredentialKind::Session, SESSION_LIFE, origin, ids).await
    }

    /// What somebody who has just been recognised comes with from now on: a session, or a family of tokens.
    pub(super) async fn opened(
        &self,
        grounds: Grounds,
        kind: CredentialKind,
        life: Duration,
        origin: Origin,
        ids: RequestIds,
    ) -> Result<(Identity, Secret)> {
        let Grounds { principal_id, proof, limits, ends_at } = grounds;
        let secret = draw(&self.source, kind);
        let digest = hash(&secret);
        let expires_at = earlier(self.source.now().checked_add(life), ends_at);
        let credential_id = self.source.uuid();
        let identity = self.identity(principal_id, credential_id).await?;
        // Signing in is nobody's to be limited in; what comes of it is.
        let context = self.context(&identity, Scope::PLATFORM, ids.clone(), origin.source.clone()).await?;
        let (name, allows, proof) = (identity.name.clone(), limits.clone(), Arc::new(proof));
        let (shown, from) = (proof.clone(), origin.clone());
        self.failpoint(|| "sign_in.proved".into());
        let opened = self.mutate(&context, Act::new("own", proof.verb()), move |m| {
            if !shown.holds(m.tx, principal_id, m.now)? {
                m.unchanged();
                return Ok(false);
            }
            let (allows, origin) = (allows.as_deref(), &from);
            let new = New { digest: &digest, principal_id, kind, origin, allows, expires_at, ends_at };
            new.insert(m.tx, credential_id, m.now)?;
            let said = json!({ "principal": name });
            if matches!(*shown, Proof::Invitation { .. }) {
                m.callers_changed();
                m.event("password.changed", Subject::default(), &said)?;
            }
            m.event("session.opened", Subject::default(), &said)?;
            m.audit(&Object { kind: "Principal", id: principal_id.uuid(), name: &name }, &[], None)?;
            Ok(true)
        });
        match opened.await? {
            true => Ok((Identity { limits, ..identity }, Secret { secret, expires_at })),
            false => Err(self.proof_refused(&proof, Some(identity.name), &origin, &ids).await?),
        }
    }
}
