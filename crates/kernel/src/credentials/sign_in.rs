//! Signing in with a name and a password, and choosing a password.
//!
//! A try is counted before the password is looked at and forgotten when it was right, by the hash of the name that was
//! tried: so a name that nobody has is locked out like any other, and many tries at once all count. From the fifth on the
//! name is locked for 30 s, doubling to 15 min. Every refusal is the same, in words and in work.

use std::time::Duration;

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    time::Timestamp,
};
use serde_json::json;

use super::{CredentialKind, Grounds, Identity, Origin, Proof, Secret, hash, password};
use crate::{
    audit::{self, NewRecord},
    context::{Context, RequestIds},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
    store::Tx,
};

const LOCKED: &str = "too_many_tries";
/// Failures that cost nothing but the work.
const FREE: i64 = 4;
const LOCK: Duration = Duration::from_secs(30);
const LONGEST_LOCK: Duration = Duration::from_mins(15);

/// A name and a password, and where they came from.
pub struct SignIn {
    pub name: String,
    pub password: String,
    pub origin: Origin,
}

/// Somebody's password, if the name is somebody's who can sign in.
type Stored = Option<(PrincipalId, String)>;

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
        let tried = hash(&format!("sign-in {}", asked.name));
        let name = asked.name;
        let stored = match self.try_count(tried.clone(), name.clone()).await {
            Err(error) => {
                return Err(self.locked_out(error, tried, name, "sign-in", &asked.origin, ids).await?);
            }
            Ok(stored) => stored,
        };
        let known_name = stored.is_some().then(|| name.clone());
        let known = stored.as_ref().map(|(_, password)| password.as_str());
        let right = password::verify(&asked.password, known).await?;
        let Some((id, old)) = stored.filter(|_| right) else {
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
                tx.exec("DELETE FROM sign_in_try WHERE name_hash = $1", params![tried.clone()])?;
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
        if stored != verified && !password::verify(&asked.password, Some(&stored)).await? {
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
        let tried = hash(&format!("sign-in {name}"));
        let origin = Origin { source: context.source.clone(), label: String::new() };
        let stored = match self.try_count(tried.clone(), name.clone()).await {
            Err(error) => {
                return Err(self.locked_out(error, tried, name, "password", &origin, &context.ids).await?);
            }
            Ok(stored) => stored.map(|(_, password)| password),
        };
        let wrong = || Error::unauthenticated("bad_sign_in", "the present password is wrong");
        let about = || audit::object("Principal", Some(id.uuid()), &identity.name);
        if !password::verify(present, stored.as_deref()).await? {
            let record = NewRecord::of(context, "own.password", about());
            self.audit_append(record.failed(&wrong().detail)).await?;
            return Err(wrong());
        }
        password::rules(&name, chosen)?;
        let chosen = password::hash(&self.source, chosen).await?;
        self.mutate(context, Act::new("own", "password"), move |m| {
            m.tx.exec("DELETE FROM sign_in_try WHERE name_hash = $1", params![tried.clone()])?;
            let changed = m.tx.exec(
                "UPDATE principal SET password = $2 WHERE id = $1 AND password = $3",
                params![id, chosen.clone(), stored.clone()],
            )?;
            if changed == 0 {
                // Another change was first.
                return Err(Error::unauthenticated("bad_sign_in", "the present password is wrong"));
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

    /// Puts on record that a name is locked, once for each lock however often it is tried meanwhile; answers the error.
    async fn locked_out(
        &self,
        error: Error,
        tried: Vec<u8>,
        name: String,
        verb: &'static str,
        origin: &Origin,
        ids: &RequestIds,
    ) -> Result<Error> {
        if error.code != LOCKED {
            return Ok(error);
        }
        let (now, id, origin, ids) = (self.source.now(), self.source.uuid(), origin.clone(), ids.clone());
        let why = "too many failed tries under this name";
        let told = self.store.write(move |tx| -> Result<bool> {
            let until: Option<Timestamp> = tx.one(
                "SELECT max(locked_until) FROM sign_in_try WHERE name_hash = $1",
                params![tried.clone()],
                |row| row.get(0),
            )?;
            let Some(until) = until else { return Ok(false) };
            // A row of its own says until when it has been told.
            let fresh = tx.exec(
                "INSERT INTO sign_in_try (name_hash, failures, last_at, locked_until) VALUES ($1, 0, $2, $3)
                 ON CONFLICT (name_hash) DO UPDATE SET last_at = excluded.last_at, locked_until = excluded.locked_until
                 WHERE sign_in_try.locked_until < excluded.locked_until",
                params![told_of(&tried), now, until],
            )?;
            if fresh == 0 {
                return Ok(false);
            }
            let known: Option<String> = tx.opt(
                "SELECT name FROM principal WHERE name = $1 AND kind = 'user'",
                params![name.clone()],
                |row| row.get(0),
            )?;
            audit::append_record(tx, now, id, &record(known, verb, &origin, &ids).denied(why))?;
            Ok(true)
        });
        if told.await? {
            self.bus.audit_written();
        }
        Ok(error)
    }

    /// Counts a try of the name, and answers what it is to be held against.
    async fn try_count(&self, tried: Vec<u8>, name: String) -> Result<Stored> {
        let now = self.source.now();
        self.store
            .write(move |tx| -> Result<Stored> {
                // Written first: on Postgres that is what several at once wait for, also where there is no row yet.
                tx.exec(
                    "INSERT INTO sign_in_try (name_hash, failures, last_at) VALUES ($1, 1, $2)
                     ON CONFLICT (name_hash) DO UPDATE SET failures = sign_in_try.failures + 1, last_at = excluded.last_at",
                    params![tried.clone(), now],
                )?;
                let (failures, locked): (i64, Option<Timestamp>) = tx.one(
                    "SELECT failures, locked_until FROM sign_in_try WHERE name_hash = $1",
                    params![tried.clone()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
                if let Some(until) = locked.filter(|until| *until > now) {
                    // Rolled back with the error: what is locked counts no further.
                    let left = until.since(now).as_secs().saturating_add(1);
                    let mut error = Error::rate_limited(
                        LOCKED,
                        format!("too many tries under this name; try again in {left} s"),
                    );
                    error.retry_after_s = u32::try_from(left).ok();
                    return Err(error);
                }
                if let Some(lock) = lock_after(failures) {
                    tx.exec(
                        "UPDATE sign_in_try SET locked_until = $2 WHERE name_hash = $1",
                        params![tried.clone(), now.checked_add(lock)],
                    )?;
                }
                Ok(tx
                    .opt(
                        "SELECT id, password FROM principal WHERE name = $1 AND kind = 'user' AND state = 'active'",
                        params![name.clone()],
                        |row| Ok((row.get(0)?, row.get::<Option<String>>(1)?)),
                    )?
                    .and_then(|(id, password)| Some((id, password?))))
            })
            .await
    }
}

/// What a wrong name and a wrong password are answered.
pub(super) fn refused() -> Error {
    Error::unauthenticated("bad_sign_in", "the name or the password is wrong")
}

/// Of a failed try. A name that nobody has is not kept: it may be a password that was typed into the wrong field.
fn record(name: Option<String>, verb: &str, origin: &Origin, ids: &RequestIds) -> NewRecord {
    let name = name.unwrap_or_else(|| "unknown".into());
    let object = audit::object("Principal", None, &name);
    NewRecord::platform(&name, &origin.source, ids.clone(), &format!("own.{verb}"), object)
}

/// The key under which it is kept until when a lock has been put on record.
fn told_of(tried: &[u8]) -> Vec<u8> {
    hash(&format!("told {}", hex::encode(tried)))
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

/// How long a name is locked after so many failures.
fn lock_after(failures: i64) -> Option<Duration> {
    let doublings = u32::try_from(failures - FREE - 1).ok()?;
    Some(LOCK.saturating_mul(1 << doublings.min(10)).min(LONGEST_LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_grow_to_a_bound() {
        let seconds = |failures| lock_after(failures).map(|lock| lock.as_secs());
        assert_eq!(
            [1, 4, 5, 6, 7, 9, 10, 1_000_000].map(seconds),
            [None, None, Some(30), Some(60), Some(120), Some(480), Some(900), Some(900)]
        );
    }
}
