//! Closures waiting for a connection, and the threads that hold connections.
//!
//! A thread is started when a closure waits that no idle thread will take, up to the limit; one that was idle for a
//! minute ends, but for the last. Threads wait inside their own runtime, so that a connection that dies while idle
//! is noticed there and not by the next closure.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use super::pulse::Pulse;
use super::target::Target;
use super::worker::Worker;
use crate::failpoint::Failpoints;
use crate::store::work::Queued;
use crate::store::{Counters, StoreError, StoreOptions, StoreResult};

/// Closures that may wait before further ones are refused.
const QUEUE: usize = 4096;
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Pool {
    pub target: Target,
    pub patience: Duration,
    pub failpoints: Option<Failpoints>,
    pub counters: Arc<Counters>,
    pub pulse: Pulse,
    limit: usize,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Queued>,
    threads: usize,
    idle: usize,
    handles: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Pool {
    pub fn new(target: Target, options: &StoreOptions, counters: Arc<Counters>) -> Self {
        let (patience, limit) = (options.patience, options.connections.max(1));
        let failpoints = options.failpoints.clone();
        Self {
            target,
            patience,
            failpoints,
            counters,
            pulse: Pulse::new(),
            limit,
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub fn submit(self: &Arc<Self>, queued: Queued) -> StoreResult<()> {
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        if self.pulse.hangs() {
            return Err(Pulse::refusal());
        }
        if state.waiting.len() >= QUEUE {
            return Err(StoreError::Unavailable("too many transactions are waiting for a connection".into()));
        }
        if state.idle <= state.waiting.len() && state.threads < self.limit {
            self.start_thread(&mut state)?;
        }
        state.waiting.push_back(queued);
        drop(state);
        // Whoever waits for the shortest time has the warmest connection.
        self.wake.notify_last();
        Ok(())
    }

    pub fn queue_length(&self) -> usize {
        self.state().waiting.len()
    }

    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub fn close(&self) -> Vec<JoinHandle<()>> {
        let mut state = self.state();
        state.closed = true;
        self.wake.notify_waiters();
        std::mem::take(&mut state.handles)
    }

    /// The next closure; `None` when the thread shall end.
    pub async fn next(&self) -> Option<Queued> {
        loop {
            // Made before the look at the queue, so that no wake-up between the two is lost.
            let wake = self.wake.notified();
            {
                let mut state = self.state();
                if let Some(queued) = state.waiting.pop_front() {
                    return Some(queued);
                }
                if state.closed {
                    state.threads -= 1;
                    return None;
                }
                state.idle += 1;
            }
            let woken = tokio::time::timeout(IDLE, wake).await.is_ok();
            let mut state = self.state();
            state.idle -= 1;
            if !woken && state.waiting.is_empty() && state.threads > 1 {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> StoreResult<()> {
        let failed =
            |error: std::io::Error| StoreError::Unavailable(format!("start a database thread: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let worker = Worker::new(self.clone(), runtime);
        let thread = std::thread::Builder::new().name("qd-store-pg".into()).spawn(move || worker.run());
        state.handles.retain(|handle| !handle.is_finished());
        state.handles.push(thread.map_err(failed)?);
        state.threads += 1;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
