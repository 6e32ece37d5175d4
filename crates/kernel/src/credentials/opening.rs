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
    fn holds(&self, tx: &mut Tx<'_>, id: PrincipalId, now: Timestamp) -> Result<()> {
        let sql = format!(
            "SELECT password FROM principal WHERE id = $1 AND state = 'active'{}",
            tx.backend().for_update()
        );
        let active: Option<Option<String>> = tx.opt(&sql, params![id], |row| row.get(0))?;
        let holds = match (self, active) {
            (_, None) => false,
            (Self::Password(verified), Some(stored)) => stored.as_ref() == Some(verified),
            (Self::Link(digest), Some(_)) => {
                let used = tx.exec(
                    "UPDATE credential SET used_at = $2
                     WHERE hash = $1 AND kind = 'link' AND used_at IS NULL AND expires_at > $2",
                    params![digest.clone(), now],
                )?;
                used == 1
            }
            (Self::Elsewhere, Some(_)) => true,
        };
        if holds { Ok(()) } else { Err(self.refusal()) }
    }

    /// What is said where it does not hold.
    fn refusal(&self) -> Error {
        match self {
            Self::Password(_) => sign_in::refused(),
            Self::Link(_) => Error::unauthenticated(
                "bad_sign_in_code",
                "this sign-in code is unknown, used or expired; ask for a new one with: qd auth link",
            ),
            Self::Elsewhere => Error::unauthenticated("bad_credential", "the account is suspended"),
        }
    }
}

impl Kernel {
    /// Uses a sign-in code up and opens a browser session. A code works once.
    pub async fn link_exchange(
        &self,
        code: &str,
        origin: Origin,
        ids: RequestIds,
    ) -> Result<(Identity, Secret)> {
        let grounds = self.link_grounds(code).await?;
        self.session_open(grounds, origin, ids).await
    }

    /// What a sign-in code opens; it is used up where that is opened.
    pub(super) async fn link_grounds(&self, code: &str) -> Result<Grounds> {
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
            None => Err(proof.refusal()),
        }
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
        let context = self.context(&identity, Scope::PLATFORM, ids, origin.source.clone());
        let (name, allows) = (identity.name.clone(), limits.clone());
        self.failpoint(|| "sign_in.proved".into());
        self.mutate(&context, Act::new("own", "sign-in"), move |m| {
            proof.holds(m.tx, principal_id, m.now)?;
            let allows = allows.as_deref();
            let new = New { digest: &digest, principal_id, kind, origin: &origin, allows, expires_at, ends_at };
            new.insert(m.tx, credential_id, m.now)?;
            m.event("session.opened", Subject::default(), &json!({ "principal": name }))?;
            m.audit(&Object { kind: "Principal", id: principal_id.uuid(), name: &name }, &[], None)
        })
        .await?;
        Ok((Identity { limits, ..identity }, Secret { secret, expires_at }))
    }
}
