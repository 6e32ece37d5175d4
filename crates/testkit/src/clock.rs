//! Clocks for tests: one that stands still until it is moved, with ids and randomness that come out the same in every run, and
//! one that runs and is set.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qd_core::time::Timestamp;
use qd_kernel::clock::{Clock, Source, System};
use uuid::Uuid;

/// Where every manual clock starts: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// Cheap to clone; every clone is the same clock.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<State>>);

struct State {
    now: Timestamp,
    /// Ids never go back, even when the time does.
    newest_ms: u64,
    count: u64,
    seed: u16,
    random: u64,
}

impl ManualClock {
    /// Clocks that make ids for the same database want different seeds.
    pub fn new(seed: u16) -> Self {
        let state = State { now: START, newest_ms: 0, count: 0, seed, random: u64::from(seed) };
        Self(Arc::new(Mutex::new(state)))
    }

    pub fn source(&self) -> Source {
        Arc::new(self.clone())
    }

    pub fn set(&self, now: Timestamp) {
        self.state().now = now;
    }

    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.now = state.now.checked_add(by).expect("a test stays within the calendar");
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn uuid(&self) -> Uuid {
        let mut state = self.state();
        let ms = u64::try_from(state.now.micros() / 1000).unwrap_or(0);
        state.newest_ms = state.newest_ms.max(ms);
        state.count += 1;
        let mut bytes = [0u8; 10];
        // The count comes first, so that ids of one clock sort by birth; the seed keeps two clocks apart.
        bytes[3..8].copy_from_slice(&state.count.to_be_bytes()[3..]);
        bytes[8..].copy_from_slice(&state.seed.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(state.newest_ms, &bytes).into_uuid()
    }

    /// SplitMix64: the same bytes for the same seed, and nothing for secrets outside tests.
    fn random(&self, bytes: &mut [u8]) {
        let mut state = self.state();
        for chunk in bytes.chunks_mut(8) {
            state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The system's clock, which a test sets ahead or back. Cheap to clone; every clone is the same clock.
#[derive(Clone, Default)]
pub struct SetClock {
    ahead_s: Arc<AtomicI64>,
    steady_ahead_s: Arc<AtomicU64>,
}

impl SetClock {
    pub fn source(&self) -> Source {
        Arc::new(self.clone())
    }

    /// So many seconds ahead of the system's, or behind it.
    pub fn set(&self, ahead_s: i64) {
        self.ahead_s.store(ahead_s, Ordering::SeqCst);
    }

    /// Time that only grows jumps by so many seconds.
    pub fn jump(&self, s: u64) {
        self.steady_ahead_s.fetch_add(s, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(System.now().micros() + self.ahead_s.load(Ordering::SeqCst) * 1_000_000)
    }

    fn steady(&self) -> Option<Duration> {
        let ahead = Duration::from_secs(self.steady_ahead_s.load(Ordering::SeqCst));
        System.steady().map(|steady| steady + ahead)
    }

    fn uuid(&self) -> Uuid {
        System.uuid()
    }

    fn random(&self, bytes: &mut [u8]) {
        System.random(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_repeat_sort_by_birth_and_are_version_7() {
        let make = |seed| {
            let clock = ManualClock::new(seed);
            (0..1000).map(|_| clock.uuid()).collect::<Vec<_>>()
        };
        let ids = make(1);
        assert_eq!(ids, make(1));
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(make(2).iter().all(|id| !ids.contains(id)));
    }
}
