//! Callers seen in the last seconds, so that a busy client does not cost a database read per request.
//!
//! Keyed by the hash of the secret. An entry lives for [`LIFE`]: that bounds how long a credential revoked by another
//! process still works here; one revoked by this process is forgotten at once.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use qd_core::time::Timestamp;

use super::Identity;
use crate::kernel::Kernel;

const LIFE: Duration = Duration::from_secs(5);
const MOST: usize = 10_000;

#[derive(Default)]
pub(crate) struct Callers {
    known: Mutex<HashMap<String, (Identity, Timestamp)>>,
    /// How often they were forgotten.
    changes: AtomicU64,
}

impl Callers {
    pub(crate) fn get(&self, secret: &str, now: Timestamp) -> Option<Identity> {
        let map = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, until) = map.get(&key(secret))?;
        (now < *until).then(|| identity.clone())
    }

    /// Remembers it no longer than until `end`.
    pub(crate) fn put(&self, secret: &str, identity: &Identity, now: Timestamp, end: Timestamp) {
        let Some(until) = now.checked_add(LIFE).map(|until| until.min(end)) else { return };
        let mut map = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= MOST {
            map.clear();
        }
        map.insert(key(secret), (identity.clone(), until));
    }

    /// What somebody may do has changed, or ended.
    pub(crate) fn clear(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Kernel {
    /// Grows when this process learns that what somebody may do has changed: what was remembered of a caller before is old.
    pub fn callers_changes(&self) -> u64 {
        self.callers.changes.load(Ordering::SeqCst)
    }
}

fn key(secret: &str) -> String {
    qd_core::canonical::sha256_hex(secret.as_bytes())
}
