//! The keys that access tokens are signed with: Ed25519, in the database, so that all its processes sign and verify with the
//! same ones.
//!
//! The newest signs; its private half is sealed by the master key of secrets. When another takes over, the private half of the
//! one before is removed at once, and its public half stays published until no token of its can live. A key takes over when
//! somebody says so, when the newest is [`OLD`], and when the master key that seals it is no longer the one in force.
//!
//! Not done here: tokens ([`super::access_token`]).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use qd_core::{
    canonical::sha256_hex,
    diff::Change,
    error::{Error, Result},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    audit::{self, NewRecord},
    context::{Context, RequestIds, Scope},
    jwt,
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    params,
    secrets::own::{self, Sealed},
    store::Tx,
};

/// A key signs for so long.
const OLD: Duration = Duration::from_hours(24 * 30);
/// How long a retired key is published: longer than a token lives, and a process signs with what it remembers.
const PUBLISHED: Duration = Duration::from_mins(30);
/// How long what was read is believed.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Between two looks for a key that is not known.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_hours(1);
const DUTY: &str = "signing_keys";
/// What a sealed private half is bound to.
const WHAT: &str = "signing key";
const ACTION: &str = "signing-keys.rotate";

/// The public keys (RFC 7517), the one that signs first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JwkSet {
    pub keys: Vec<Jwk>,
}

/// An Ed25519 key as RFC 8037 has it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Jwk {
    pub kty: &'static str,
    pub crv: &'static str,
    pub alg: &'static str,
    #[serde(rename = "use")]
    pub purpose: &'static str,
    pub kid: String,
    pub x: String,
}

/// A key as the processes of a database know it.
#[derive(Clone)]
struct Key {
    kid: String,
    public: [u8; 32],
    sealed: Option<Sealed>,
    created_at: Timestamp,
    retired: bool,
}

/// A key that is about to be written.
#[derive(Clone)]
struct New {
    kid: String,
    public: [u8; 32],
    sealed: Sealed,
}

/// What this process remembers.
#[derive(Default)]
pub(crate) struct SigningKeys(Mutex<Known>);

#[derive(Default)]
struct Known {
    read_at: Option<Timestamp>,
    keys: Vec<Key>,
    signer: Option<Signer>,
}

/// The private half, and the name under which it is known.
#[derive(Clone)]
pub(super) struct Signer {
    pub kid: String,
    pub seed: Zeroizing<[u8; 32]>,
}

impl SigningKeys {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        *self.known() = Known::default();
    }
}

impl Kernel {
    /// The keys that are published.
    pub async fn signing_keys(&self) -> Result<JwkSet> {
        self.signing_keys_read(LOOK_AGAIN).await?;
        let known = self.signing.known();
        let jwk = |key: &Key| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            purpose: "sig",
            kid: key.kid.clone(),
            x: URL_SAFE_NO_PAD.encode(key.public),
        };
        Ok(JwkSet { keys: known.keys.iter().map(jwk).collect() })
    }

    /// Lets a new key sign, and says its id. Tokens of the one before stay good for as long as they live.
    ///
    /// # Errors
    /// `action_denied` (403); `secret_key_missing`, `secret_key_wrong` (503).
    pub async fn signing_key_rotate(&self, context: &Context) -> Result<String> {
        crate::access::check(context, ACTION)?;
        let new = self.signing_key_draw().await?;
        let kid = new.kid.clone();
        self.mutate(context, Act::new("signing-keys", "rotate"), move |m| {
            let before = new.write(m)?;
            m.event("signing_key.rotated", Subject::default(), &json!({ "kid": new.kid }))?;
            let object = Object { kind: "SigningKey", id: Uuid::nil(), name: &new.kid };
            m.audit(&object, &[change(before, &new.kid)], None)
        })
        .await?;
        self.signing.forget();
        Ok(kid)
    }

    /// The key to sign with; made where there is none.
    pub(super) async fn signer(&self) -> Result<Signer> {
        self.signing_keys_read(REMEMBERED).await?;
        if let Some(signer) = self.signing.known().signer.clone() {
            return Ok(signer);
        }
        let in_force = self.secrets.in_force().await?;
        let current = self.signing.known().keys.iter().find(|key| !key.retired).cloned();
        let usable = current.and_then(|key| {
            let sealed = key.sealed.filter(|sealed| in_force.as_ref() == Some(&sealed.master))?;
            Some((key.kid, sealed))
        });
        let (kid, sealed) = match usable {
            Some(usable) => usable,
            None => self.signing_key_make("there was no key to sign access tokens with").await?,
        };
        let signer = Signer { seed: self.secrets.own_open(WHAT, &kid, &sealed).await?, kid };
        self.signing.known().signer = Some(signer.clone());
        Ok(signer)
    }

    /// The public key of that name. One that is not known is looked for, once a second at most.
    pub(super) async fn signing_public(&self, kid: &str) -> Result<Option<[u8; 32]>> {
        self.signing_keys_read(REMEMBERED).await?;
        if let Some(found) = self.signing.find(kid) {
            return Ok(Some(found));
        }
        self.signing_keys_read(LOOK_AGAIN).await?;
        Ok(self.signing.find(kid))
    }

    /// Reads the keys that are published, unless that was done within `age`.
    async fn signing_keys_read(&self, age: Duration) -> Result<()> {
        let now = self.source.now();
        let read_at = self.signing.known().read_at;
        if read_at.is_some_and(|at| now >= at && now.since(at) < age) {
            return Ok(());
        }
        let since = now.checked_sub(PUBLISHED).unwrap_or(Timestamp::MIN);
        let keys = self.store.read(move |tx| -> Result<Vec<Key>> { published(tx, since) }).await?;
        let mut known = self.signing.known();
        let current = keys.iter().find(|key| !key.retired).map(|key| key.kid.clone());
        if known.signer.as_ref().map(|signer| &signer.kid) != current.as_ref() {
            known.signer = None;
        }
        (known.keys, known.read_at) = (keys, Some(now));
        Ok(())
    }

    async fn signing_key_draw(&self) -> Result<New> {
        let mut seed = Zeroizing::new([0; 32]);
        self.source.random(&mut *seed);
        let public = jwt::public_of(&seed)?;
        let kid: String = sha256_hex(public).chars().take(16).collect();
        let sealed = self.secrets.own_seal(WHAT, &kid, &seed).await?;
        Ok(New { kid, public, sealed })
    }

    /// The same as [`Self::signing_key_rotate`] by the system itself.
    async fn signing_key_make(&self, why: &'static str) -> Result<(String, Sealed)> {
        let new = self.signing_key_draw().await?;
        let made = (new.kid.clone(), new.sealed.clone());
        let request_id = self.source.uuid().to_string();
        let ids = RequestIds { correlation_id: request_id.clone(), request_id, trace_id: None };
        let context = Context::system("system".into(), Scope::PLATFORM, ids.clone(), DUTY);
        self.carry_out(&context, move |m| {
            let before = new.write(m)?;
            m.event("signing_key.rotated", Subject::default(), &json!({ "kid": new.kid }))?;
            let object = audit::object("SigningKey", None, &new.kid);
            let record = NewRecord::platform("system", DUTY, ids.clone(), ACTION, object)
                .because(why)
                .with_changes(&[change(before, &new.kid)]);
            audit::append_record(m.tx, m.now, m.id(), &record)?;
            m.wake.audit = true;
            Ok(())
        })
        .await?;
        self.signing.forget();
        Ok(made)
    }

    /// Lets another key sign when the newest is old, and removes what is no longer published.
    pub(crate) async fn signing_keys_run(self, stop: CancellationToken) {
        loop {
            let looked = async {
                if self.duty_take(DUTY).await? {
                    self.signing_keys_tend().await?;
                }
                Ok::<_, Error>(())
            };
            if let Err(error) = looked.await {
                tracing::warn!(%error, "look after the keys of access tokens: will try again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// One look of that duty.
    pub async fn signing_keys_tend(&self) -> Result<()> {
        self.signing_keys_read(Duration::ZERO).await?;
        let now = self.source.now();
        let newest = self.signing.known().keys.iter().find(|key| !key.retired).map(|key| key.created_at);
        if newest.is_some_and(|at| now.since(at) >= OLD) {
            self.signing_key_make("the key had signed for 30 days").await?;
        }
        let gone = now.checked_sub(PUBLISHED).unwrap_or(Timestamp::MIN);
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec("DELETE FROM signing_key WHERE retired_at < $1", params![gone])?;
                Ok(())
            })
            .await
    }
}

impl SigningKeys {
    fn find(&self, kid: &str) -> Option<[u8; 32]> {
        self.known().keys.iter().find(|key| key.kid == kid).map(|key| key.public)
    }
}

impl New {
    /// Writes it in place of the one before, whose id it answers.
    fn write(&self, m: &mut Mutation<'_, '_>) -> Result<Option<String>> {
        if !own::holds(m.tx, &self.sealed, m.now)? {
            return Err(Error::unavailable(
                "secret_key_gone",
                "another master key was put in force meanwhile",
            ));
        }
        let before: Option<String> = m.tx.opt(
            "SELECT kid FROM signing_key WHERE retired_at IS NULL ORDER BY created_at DESC, kid LIMIT 1",
            &[],
            |row| row.get(0),
        )?;
        m.tx.exec(
            "UPDATE signing_key SET retired_at = $1, sealed = NULL WHERE retired_at IS NULL",
            params![m.now],
        )?;
        m.tx.exec(
            "INSERT INTO signing_key (kid, public_key, sealed, master, created_at) VALUES ($1, $2, $3, $4, $5)",
            params![
                self.kid.clone(),
                self.public.to_vec(),
                self.sealed.bytes.clone(),
                self.sealed.master.clone(),
                m.now
            ],
        )?;
        Ok(before)
    }
}

/// Another master key is in force: what the one before sealed is not to be opened any more. The next token makes a new key.
pub(crate) fn forget_sealed_by_others(tx: &mut Tx<'_>, master: &str, now: Timestamp) -> Result<()> {
    tx.exec(
        "UPDATE signing_key SET sealed = NULL, retired_at = COALESCE(retired_at, $2) WHERE master <> $1",
        params![master.to_owned(), now],
    )?;
    Ok(())
}

fn change(before: Option<String>, kid: &str) -> Change {
    match before {
        Some(before) => Change::replace("/kid", before.into(), kid.into()),
        None => Change::add("/kid", kid.into()),
    }
}

fn published(tx: &mut Tx<'_>, since: Timestamp) -> Result<Vec<Key>> {
    type Row = (String, Vec<u8>, Option<Vec<u8>>, Option<String>, Timestamp, Option<Timestamp>);
    let rows: Vec<Row> = tx.rows(
        "SELECT kid, public_key, sealed, master, created_at, retired_at FROM signing_key
         WHERE retired_at IS NULL OR retired_at > $1 ORDER BY created_at DESC, kid",
        params![since],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
    )?;
    let key = |(kid, public, sealed, master, created_at, retired_at): Row| {
        let sealed = sealed.zip(master).map(|(bytes, master)| Sealed { bytes, master });
        // A row that was changed is no key.
        let public = public.try_into().ok()?;
        Some(Key { kid, public, sealed, created_at, retired: retired_at.is_some() })
    };
    Ok(rows.into_iter().filter_map(key).collect())
}
