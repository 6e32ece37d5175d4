//! Whether the database answers at all, told apart from a statement that takes long.
//!
//! A server that is stopped, or whose network swallows everything, keeps its connections and says nothing; each statement's own
//! limit is far too long to find that out by. So who has waited for a second asks, on a connection of its own. While that is
//! answered, or any other connection hears anything, what takes long may go on. Where nobody hears a word for some seconds the
//! database hangs: all that wait for it are told, and who comes is refused at once, until it answers again.

use std::{
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{pool::Pool, target::Target};
use crate::store::StoreError;

/// How long an answer is waited for before the pulse is felt, and how often that is done while it does not come.
const ASK: Duration = Duration::from_secs(1);
/// How long nobody may hear anything.
const SILENCE: Duration = Duration::from_secs(3);

pub(super) struct Pulse {
    begun: Instant,
    /// When anything was heard last, in milliseconds since `begun`.
    heard: AtomicU64,
    feeling: AtomicBool,
    hangs: watch::Sender<bool>,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            heard: AtomicU64::new(0),
            feeling: AtomicBool::new(false),
            hangs: watch::Sender::new(false),
        }
    }

    pub fn hangs(&self) -> bool {
        *self.hangs.borrow()
    }

    /// What is said to whoever comes while it hangs.
    pub fn refusal() -> StoreError {
        StoreError::Unavailable("the database does not answer".into())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn heard_something(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
    }
}

impl Pool {
    /// What comes of a call to the database; none where it took longer than `limit`, or the database hangs.
    pub(super) async fn answer<T>(
        self: &Arc<Self>,
        limit: Option<Duration>,
        call: impl Future<Output = T>,
    ) -> Option<T> {
        let mut call = pin!(call);
        let until = limit.map(|limit| Instant::now() + limit);
        let left = || until.map_or(ASK, |until| until.saturating_duration_since(Instant::now()));
        if let Ok(answer) = tokio::time::timeout(ASK.min(left()), &mut call).await {
            self.pulse.heard_something();
            return Some(answer);
        }
        let mut hangs = self.pulse.hangs.subscribe();
        while !left().is_zero() {
            self.feel();
            tokio::select! {
                biased;
                answer = &mut call => {
                    self.pulse.heard_something();
                    return Some(answer);
                }
                _ = hangs.wait_for(|hangs| *hangs) => return None,
                () = tokio::time::sleep(ASK.min(left())) => {}
            }
        }
        None
    }

    /// Feels the pulse on a thread of its own, unless that is being done already.
    fn feel(self: &Arc<Self>) {
        if self.pulse.feeling.swap(true, Ordering::SeqCst) {
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let pool = Arc::downgrade(self);
        let begun = runtime.and_then(|runtime| {
            let feel = move || runtime.block_on(until_it_beats(&pool));
            std::thread::Builder::new().name("qd-store-pulse".into()).spawn(feel)
        });
        if let Err(error) = begun {
            tracing::debug!(%error, "feel whether the database answers");
            self.pulse.feeling.store(false, Ordering::SeqCst);
        }
    }
}

async fn until_it_beats(pool: &Weak<Pool>) {
    while let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) {
        let pulse = &pool.pulse;
        let asked = pulse.now();
        let beats = tokio::time::timeout(SILENCE, beat(&pool.target)).await.is_ok();
        if beats || pulse.heard.load(Ordering::Relaxed) > asked {
            pulse.feeling.store(false, Ordering::SeqCst);
            if pulse.hangs.send_replace(false) {
                tracing::info!("the database answers again");
            }
            return;
        }
        if !pulse.hangs.send_replace(true) {
            tracing::warn!("the database does not answer: requests are refused until it does");
        }
    }
}

/// Any answer is a sign of life: one that refuses connections says so itself to whoever makes one.
async fn beat(target: &Target) {
    if let Ok(client) = target.connect().await {
        let _ = client.simple_query("SELECT 1").await;
    }
}
