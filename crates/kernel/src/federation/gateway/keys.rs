//! The keys of a gateway, read from its address and kept.
//!
//! Nobody waits for the address whose key is known: keys that have grown old are read anew by one caller while the others use
//! them, and go on being used for a while where the address does not answer. A failure is remembered for as long as it takes to
//! look again, so that callers do not wait behind one another for an address that is away.

use std::{
    sync::{Mutex as Held, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::{DecodingKey, jwk::JwkSet};
use qd_core::error::{Error, Result};
use tokio::sync::Mutex;

/// How long a key set is believed.
const BELIEVED: Duration = Duration::from_mins(10);
/// How long an old one is used while no other can be read.
const KEPT: Duration = Duration::from_hours(1);
/// Between two looks for a key that is not known, and after one that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Keyring {
    keys: Held<Keys>,
    /// Held by the one who reads them.
    reading: Mutex<()>,
}

#[derive(Default)]
struct Keys {
    read: Option<(Instant, JwkSet)>,
    /// When a key was last looked for that the set did not have.
    looked_again: Option<Instant>,
    failed: Option<Instant>,
}

/// What is done for a token's key.
enum Look {
    Use(DecodingKey),
    /// It is used where nothing better comes of it.
    Refresh(DecodingKey),
    Read,
    /// The set has no such key.
    Unknown,
    Failed,
}

impl Keyring {
    /// The key that is named, or the only one; `read` asks the address.
    ///
    /// # Errors
    /// `gateway_unavailable` (503) where there are no keys to be used and none can be read.
    pub async fn key<R: Future<Output = Result<JwkSet>>>(
        &self,
        kid: Option<&str>,
        read: impl FnOnce() -> R,
    ) -> Result<Option<DecodingKey>> {
        let look = self.lock().look(kid, Instant::now());
        match look {
            Look::Use(key) => return Ok(Some(key)),
            Look::Refresh(key) => {
                let Ok(_reading) = self.reading.try_lock() else { return Ok(Some(key)) };
                return self.look_up(kid, read).await.or(Ok(Some(key)));
            }
            Look::Unknown => return Ok(None),
            Look::Failed => return Err(away()),
            Look::Read => {}
        }
        let _reading = self.reading.lock().await;
        // Whoever was before may have read what is looked for, or have found that nobody answers.
        let look = self.lock().look(kid, Instant::now());
        match look {
            Look::Use(key) | Look::Refresh(key) => Ok(Some(key)),
            Look::Unknown => Ok(None),
            Look::Failed => Err(away()),
            Look::Read => self.look_up(kid, read).await,
        }
    }

    async fn look_up<R: Future<Output = Result<JwkSet>>>(
        &self,
        kid: Option<&str>,
        read: impl FnOnce() -> R,
    ) -> Result<Option<DecodingKey>> {
        let set = read().await;
        self.lock().found(set, Instant::now())?;
        Ok(self.lock().find(kid))
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn away() -> Error {
    Error::unavailable("gateway_unavailable", "the gateway's keys cannot be read")
}

impl Keys {
    fn look(&self, kid: Option<&str>, now: Instant) -> Look {
        let within = |at: Option<Instant>, time: Duration| {
            at.is_some_and(|at| now.saturating_duration_since(at) <= time)
        };
        let failed = within(self.failed, LOOK_AGAIN);
        let read_at = self.read.as_ref().map(|(at, _)| *at).filter(|at| within(Some(*at), KEPT));
        let Some(read_at) = read_at else { return if failed { Look::Failed } else { Look::Read } };
        let fresh = within(Some(read_at), BELIEVED);
        match self.find(kid) {
            Some(key) if fresh || failed => Look::Use(key),
            Some(key) => Look::Refresh(key),
            None if failed || within(self.looked_again, LOOK_AGAIN) => Look::Unknown,
            None => Look::Read,
        }
    }

    /// Notes what came of reading them; a set that was there stays where it failed.
    fn found(&mut self, set: Result<JwkSet>, now: Instant) -> Result<()> {
        match set {
            Ok(set) => {
                // The first time is no second look.
                self.looked_again = self.read.is_some().then_some(now);
                (self.read, self.failed) = (Some((now, set)), None);
                Ok(())
            }
            Err(error) => {
                self.failed = Some(now);
                Err(error)
            }
        }
    }

    fn find(&self, kid: Option<&str>) -> Option<DecodingKey> {
        let (_, set) = self.read.as_ref()?;
        let key = match (kid, set.keys.as_slice()) {
            (Some(kid), _) => set.find(kid)?,
            (None, [only]) => only,
            _ => return None,
        };
        DecodingKey::from_jwk(key).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn set(kid: &str) -> JwkSet {
        let key = serde_json::json!({ "kty": "oct", "k": "c2VjcmV0", "kid": kid });
        serde_json::from_value(serde_json::json!({ "keys": [key] })).unwrap()
    }

    fn late(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn an_old_set_is_used_while_no_other_can_be_read() {
        let mut keys = Keys::default();
        assert!(matches!(keys.look(Some("a"), late(0)), Look::Read));
        keys.found(Ok(set("a")), late(0)).unwrap();
        assert!(matches!(keys.look(Some("a"), late(1)), Look::Use(_)));
        assert!(matches!(keys.look(Some("a"), late(601)), Look::Refresh(_)));
        assert!(keys.found(Err(away()), late(602)).is_err());
        assert!(
            matches!(keys.look(Some("a"), late(603)), Look::Use(_)),
            "nobody waits for the address again"
        );
        assert!(matches!(keys.look(Some("a"), late(613)), Look::Refresh(_)));
        assert!(matches!(keys.look(Some("a"), late(3_602)), Look::Read), "but not for ever");
        assert!(keys.found(Err(away()), late(3_603)).is_err());
        assert!(matches!(keys.look(Some("a"), late(3_604)), Look::Failed));
        assert!(matches!(keys.look(Some("a"), late(3_614)), Look::Read));
    }

    #[test]
    fn a_key_that_is_not_known_is_looked_for_now_and_then() {
        let mut keys = Keys::default();
        keys.found(Ok(set("a")), late(0)).unwrap();
        assert!(matches!(keys.look(Some("b"), late(1)), Look::Read), "it may be a new one");
        keys.found(Ok(set("a")), late(1)).unwrap();
        assert!(matches!(keys.look(Some("b"), late(2)), Look::Unknown));
        assert!(matches!(keys.look(Some("b"), late(12)), Look::Read));
        assert!(matches!(keys.look(None, late(12)), Look::Use(_)), "the only one");
    }

    #[tokio::test]
    async fn nobody_waits_behind_a_look_for_a_key_that_is_not_known() {
        let ring = Keyring::default();
        let reads = AtomicU32::new(0);
        let read = || async {
            if reads.fetch_add(1, Ordering::SeqCst) > 0 {
                std::future::pending::<()>().await;
            }
            Ok(set("a"))
        };
        assert!(ring.key(Some("a"), read).await.unwrap().is_some());
        let mut forged = std::pin::pin!(ring.key(Some("forged"), read));
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(forged.as_mut().poll(cx).is_pending())).await
        );
        assert_eq!(reads.load(Ordering::SeqCst), 2, "the forged one is being looked for");
        assert!(ring.key(Some("a"), read).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_address_that_is_away_is_asked_once_for_all_who_wait() {
        let ring = Keyring::default();
        let reads = AtomicU32::new(0);
        let read = || async {
            reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err(away())
        };
        let asked = [ring.key(None, read), ring.key(None, read), ring.key(None, read)];
        for answer in futures::future::join_all(asked).await {
            assert_eq!(answer.err().map(|error| error.code), Some("gateway_unavailable"));
        }
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }
}
