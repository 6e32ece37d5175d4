//! Callers seen in the last seconds, so that a busy client does not cost a database read per request.
//!
//! Keyed by the hash of the secret. An entry lives for [`LIFE`]: that bounds how long a credential revoked by another
//! process still works here; one revoked by this process is forgotten at once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use qd_core::time::Timestamp;

use super::Identity;
use crate::kernel::Kernel;

const LIFE: Duration = Duration::from_secs(5);
const MOST: usize = 10_000;

#[derive(Default)]
pub(crate) struct Callers(Mutex<State>);

#[derive(Default)]
struct State {
    known: HashMap<String, (Identity, Timestamp)>,
    /// How often all was forgotten.
    forgotten: u64,
}

/// When somebody was looked up, by how often all had been forgotten until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(u64);

impl Callers {
    /// Who it is, if he is remembered; else from when a look-up counts that begins now.
    pub(crate) fn get(&self, secret: &str, now: Timestamp) -> Result<Identity, Since> {
        let state = self.state();
        match state.known.get(&key(secret)) {
            Some((identity, until)) if now < *until => Ok(identity.clone()),
            _ => Err(Since(state.forgotten)),
        }
    }

    /// Remembers it no longer than until `end`, and not at all where all was forgotten since it was begun to be looked up: what
    /// was found may have been there no more.
    pub(crate) fn put(
        &self,
        secret: &str,
        identity: &Identity,
        since: Since,
        now: Timestamp,
        end: Timestamp,
    ) {
        let Some(until) = now.checked_add(LIFE).map(|until| until.min(end)) else { return };
        let mut state = self.state();
        if since != Since(state.forgotten) {
            return;
        }
        if state.known.len() >= MOST {
            state.known.clear();
        }
        state.known.insert(key(secret), (identity.clone(), until));
    }

    /// What somebody may do has changed, or ended.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.known.clear();
        state.forgotten += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel {
    /// Grows when this process learns that what somebody may do has changed: what was remembered of a caller before is old.
    pub fn callers_changes(&self) -> u64 {
        self.callers.state().forgotten
    }
}

fn key(secret: &str) -> String {
    qd_core::canonical::sha256_hex(secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::context::PrincipalKind;

    #[test]
    fn what_was_looked_up_before_all_was_forgotten_is_not_remembered() {
        let (callers, now) = (Callers::default(), Timestamp::MIN);
        let ann = Identity {
            id: uuid::Uuid::nil().into(),
            name: "ann".into(),
            kind: PrincipalKind::User,
            bindings: Arc::default(),
            teams: Arc::default(),
            held: Arc::default(),
            limits: None,
            credential_id: uuid::Uuid::nil(),
        };
        let since = callers.get("qd_1", now).unwrap_err();
        // It is revoked after it was read.
        callers.clear();
        callers.put("qd_1", &ann, since, now, Timestamp::MAX);
        let since = callers.get("qd_1", now).unwrap_err();
        callers.put("qd_1", &ann, since, now, Timestamp::MAX);
        assert_eq!(callers.get("qd_1", now).unwrap(), ann);
        assert!(callers.get("qd_1", now.checked_add(LIFE).unwrap()).is_err());
    }
}
