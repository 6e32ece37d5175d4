//! What the store counts about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    pub commits: u64,
    /// Closures run, re-runs included.
    pub closures: u64,
    /// Closures run again: their group was destroyed by another, they deadlocked, or their connection died.
    pub reruns: u64,
    pub longest_commit_us: u64,
    /// Closures that wait right now.
    pub queued: usize,
}

#[derive(Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    closures: AtomicU64,
    reruns: AtomicU64,
    longest_commit_us: AtomicU64,
}

impl Counters {
    pub fn closure(&self) {
        self.closures.fetch_add(1, Relaxed);
    }

    pub fn reruns(&self, count: usize) {
        self.reruns.fetch_add(count as u64, Relaxed);
    }

    pub fn commit(&self, took: Duration) {
        self.commits.fetch_add(1, Relaxed);
        self.longest_commit_us.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn stats(&self, queued: usize) -> Stats {
        Stats {
            commits: self.commits.load(Relaxed),
            closures: self.closures.load(Relaxed),
            reruns: self.reruns.load(Relaxed),
            longest_commit_us: self.longest_commit_us.load(Relaxed),
            queued,
        }
    }
}
