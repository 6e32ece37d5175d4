//! Signing in with a name and a password, and choosing a password.
//!
//! A try is counted before the password is looked at ([`super::tries`]). Every refusal is the same, in words and in work.

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
};
use serde_json::json;

use super::{
    CredentialKind, Grounds, Identity, Origin, Proof, Secret, hash, password,
    tries::{Stored, Tried},
};
use crate::{
    audit::{self, NewRecord},
    context::{Context, RequestIds},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
    store::Tx,
};

/// A name and a password, and where they came from.
pub struct SignIn {
    pub name: String,
    pub password: String,
    pub origin: Origin,
}

impl Kernel {
    /// Opens a session.
    ///
    /// # Errors
    /// `bad_sign_in` (401), the same for a wrong name, a wrong password and an account that is suspended; `too_many_tries`
    /// (429) while the name is locked.
    pub async fn sign_in(&self, asked: SignIn, ids: RequestIds) -> Result<(Identity, Secret)> {
        let origin = asked.origin.clone();
        let grounds = self.password_proved(asked, &ids).await?;
        self.session_open(grounds, origin, ids).await
    }

    /// Who has this name and this password.
    pub(super) async fn password_proved(&self, asked: SignIn, ids: &RequestIds) -> Result<Grounds> {
        let name = asked.name;
        let tried = Tried::new(&name, &asked.origin);
        let Stored { somebody, dearest } = match self.try_count(&tried).await {
            Err(error) => return Err(self.locked_out(error, tried, "sign-in", &asked.origin, ids).await?),
            Ok(stored) => stored,
        };
        let known_name = somebody.is_some().then(|| name.clone());
        let known = somebody.as_ref().map(|(_, password)| password.as_str());
        let right = password::verify(&asked.password, known, dearest).await?;
        let Some((id, old)) = somebody.filter(|_| right) else {
            let error = refused();
            self.sign_in_failed(known_name, "sign-in", &error.detail, &asked.origin, ids).await?;
            return Err(error);
        };
        let anew = match password::outdated(&old) {
            true => Some(password::hash(&self.source, &asked.password).await?),
            false => None,
        };
        let verified = anew.clone().unwrap_or_else(|| old.clone());
        let stored = self
            .store
            .write(move |tx| -> Result<Option<String>> {
                tried.forget(tx)?;
                if let Some(anew) = &anew {
                    // Not over a password that was changed meanwhile.
                    tx.exec(
                        "UPDATE principal SET password = $2 WHERE id = $1 AND password = $3",
                        params![id, anew.clone(), old.clone()],
                    )?;
                }
                Ok(tx.one("SELECT password FROM principal WHERE id = $1", params![id], |row| row.get(0))?)
            })
            .await?;
        let stored = stored.unwrap_or_default();
        // Another sign-in hashed it anew meanwhile, or somebody changed it.
        if stored != verified && !password::verify(&asked.password, Some(&stored), None).await? {
            return Err(self.proof_refused(&Proof::Password(stored), Some(name), &asked.origin, ids).await?);
        }
        Ok(Grounds::new(id, Proof::Password(stored)))
    }

    /// Uses an invitation up, sets the password, and opens a session, in one transaction. All other sessions of the account end.
    ///
    /// # Errors
    /// `bad_invitation` (401): unknown, used or expired; `weak_password` (422), which leaves the invitation as it is.
    pub async fn invitation_accept(
        &self,
        code: &str,
        chosen: &str,
        origin: Origin,
        ids: RequestIds,
    ) -> Result<(Identity, Secret)> {
        let (digest, now) = (hash(code), self.source.now());
        let asked = digest.clone();
        let found = self.store.read(move |tx| -> Result<Option<(PrincipalId, String)>> {
            Ok(tx.opt(
                "SELECT p.id, p.name FROM credential c JOIN principal p ON p.id = c.principal_id
                 WHERE c.hash = $1 AND c.kind = 'invite' AND c.used_at IS NULL AND c.expires_at > $2
                   AND p.state = 'active'",
                params![asked, now],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?)
        });
        let Some((id, name)) = found.await? else {
            let proof = Proof::Invitation { code: digest, chosen: String::new() };
            return Err(self.proof_refused(&proof, None, &origin, &ids).await?);
        };
        password::rules(&name, chosen)?;
        let chosen = password::hash(&self.source, chosen).await?;
        self.session_open(Grounds::new(id, Proof::Invitation { code: digest, chosen }), origin, ids).await
    }

    /// Changes the caller's own password. Its other sessions and all its unused links end; tokens stay.
    ///
    /// # Errors
    /// `bad_sign_in` (401) where the present password is wrong, which counts as a failed sign-in; `weak_password` (422).
    pub async fn password_change(
        &self,
        context: &Context,
        identity: &Identity,
        present: &str,
        chosen: &str,
    ) -> Result<()> {
        let (name, id, kept) = (identity.name.clone(), identity.id, identity.credential_id);
        let origin = Origin { source: context.source.clone(), label: String::new() };
        let tried = Tried::new(&name, &origin);
        let stored = match self.try_count(&tried).await {
            Err(error) => {
                return Err(self.locked_out(error, tried, "password", &origin, &context.ids).await?);
            }
            Ok(stored) => stored.somebody.map(|(_, password)| password),
        };
        let wrong = || Error::unauthenticated("bad_sign_in", "the present password is wrong");
        if !password::verify(present, stored.as_deref(), None).await? {
            let about = audit::object("Principal", Some(id.uuid()), &name);
            let record = NewRecord::of(context, "own.password", about);
            self.audit_append(record.failed(&wrong().detail)).await?;
            return Err(wrong());
        }
        password::rules(&name, chosen)?;
        let chosen = password::hash(&self.source, chosen).await?;
        self.mutate(context, Act::new("own", "password"), move |m| {
            tried.forget(m.tx)?;
            let changed = m.tx.exec(
                "UPDATE principal SET password = $2 WHERE id = $1 AND password = $3",
                params![id, chosen.clone(), stored.clone()],
            )?;
            if changed == 0 {
                // Another change was first.
                return Err(wrong());
            }
            m.tx.exec(
                "DELETE FROM credential WHERE principal_id = $1 AND kind <> 'token' AND id <> $2",
                params![id, kept],
            )?;
            m.event("password.changed", Subject::default(), &json!({ "principal": name }))?;
            m.audit(&Object { kind: "Principal", id: id.uuid(), name: &name }, &[], None)
        })
        .await?;
        self.callers.clear();
        Ok(())
    }

    /// Puts on record that an address asks to sign in more often than it may, whoever it is.
    pub async fn sign_ins_refused(&self, source: &str, ids: RequestIds) -> Result<()> {
        let origin = Origin { source: source.to_owned(), label: String::new() };
        let why = "too many sign-ins from this address";
        self.audit_append(record(None, "sign-in", &origin, &ids).denied(why)).await
    }

    pub(super) async fn sign_in_failed(
        &self,
        name: Option<String>,
        verb: &str,
        why: &str,
        origin: &Origin,
        ids: &RequestIds,
    ) -> Result<()> {
        self.audit_append(record(name, verb, origin, ids).failed(why)).await
    }
}

/// What a wrong name and a wrong password are answered.
pub(super) fn refused() -> Error {
    Error::unauthenticated("bad_sign_in", "the name or the password is wrong")
}

/// Of a failed try. A name that nobody has is not kept: it may be a password that was typed into the wrong field.
pub(super) fn record(name: Option<String>, verb: &str, origin: &Origin, ids: &RequestIds) -> NewRecord {
    let name = name.unwrap_or_else(|| "unknown".into());
    let object = audit::object("Principal", None, &name);
    NewRecord::platform(&name, &origin.source, ids.clone(), &format!("own.{verb}"), object)
}

/// A new password ends whatever was signed in with the old one.
pub(super) fn password_set(tx: &mut Tx<'_>, id: PrincipalId, stored: &str) -> Result<()> {
    tx.exec("UPDATE principal SET password = $2 WHERE id = $1", params![id, stored.to_owned()])?;
    tx.exec(
        "DELETE FROM credential WHERE principal_id = $1 AND (kind IN ('session', 'link', 'refresh') OR (kind = $2 AND used_at IS NULL))",
        params![id, CredentialKind::Invite.as_str()],
    )?;
    Ok(())
}
