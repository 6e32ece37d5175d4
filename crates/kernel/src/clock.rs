//! Time, ids and randomness, injected so that every test can replay.
//!
//! The only place in the workspace that may ask the operating system for any of them.

use std::{sync::Arc, time::Duration};

use qd_core::time::Timestamp;
use uuid::Uuid;

/// Where the process gets time, ids and randomness from. Cheap to clone.
pub type Source = Arc<dyn Clock>;

pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970, UTC. May step backwards with the system's clock.
    fn now(&self) -> Timestamp;
    /// Time since some moment that only grows, also while the machine sleeps, whatever is done to its clock. `None` where
    /// [`Self::now`] is not set by anybody.
    fn steady(&self) -> Option<Duration> {
        None
    }
    /// A new UUID version 7: ordered by the time it was made.
    fn uuid(&self) -> Uuid;
    /// Fills `bytes` from a source fit for secrets.
    fn random(&self, bytes: &mut [u8]);
}

/// Counts on while the machine sleeps, as its clock does.
#[cfg(target_os = "linux")]
const STEADY: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const STEADY: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;

/// The operating system's clock and randomness.
#[derive(Debug, Default, Clone, Copy)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Option<Duration> {
        nix::time::clock_gettime(STEADY).ok().map(Duration::from)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]
    fn random(&self, bytes: &mut [u8]) {
        use rand::Rng as _;
        rand::rng().fill_bytes(bytes);
    }
}

pub fn system() -> Source {
    Arc::new(System)
}
