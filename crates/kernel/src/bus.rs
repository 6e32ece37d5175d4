//! Wake-ups within one process. The bus only wakes: rows are the truth, and whoever missed a call finds the work by
//! polling.

use std::sync::Arc;

use qd_core::id::RunId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, broadcast, watch};

use crate::{context::Scope, mutation::Wake};

/// A run's newest numbers: streamed while they change, never kept as events.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    #[serde(skip)]
    pub scope: Scope,
    pub run_id: RunId,
    pub progress: Option<Value>,
    pub serving: Option<Value>,
}

#[derive(Clone)]
pub struct Bus {
    jobs: Arc<Notify>,
    runs: Arc<Notify>,
    outbox: Arc<Notify>,
    events: watch::Sender<u64>,
    logs: watch::Sender<u64>,
    progress: broadcast::Sender<Progress>,
    relayed: bool,
}

impl Bus {
    /// `relayed`: events reach their readers through the outbox, so a commit wakes the relay and not the readers.
    pub(crate) fn new(relayed: bool) -> Self {
        Self {
            jobs: Arc::default(),
            runs: Arc::default(),
            outbox: Arc::default(),
            events: watch::Sender::new(0),
            logs: watch::Sender::new(0),
            progress: broadcast::Sender::new(256),
            relayed,
        }
    }

    pub(crate) fn wake(&self, wake: Wake) {
        if wake.events {
            if self.relayed {
                self.outbox.notify_one();
            } else {
                self.events_moved();
            }
        }
        if wake.jobs {
            self.jobs.notify_one();
        }
        if wake.runs {
            self.runs.notify_one();
        }
    }

    pub(crate) fn events_moved(&self) {
        self.events.send_modify(|n| *n += 1);
    }

    pub(crate) fn logs_grew(&self) {
        self.logs.send_modify(|n| *n += 1);
    }

    pub(crate) fn progress(&self, progress: Progress) {
        // An error only says that nobody listens.
        let _ = self.progress.send(progress);
    }

    pub(crate) async fn outbox_filled(&self) {
        self.outbox.notified().await;
    }

    pub(crate) async fn jobs_waiting(&self) {
        self.jobs.notified().await;
    }

    pub(crate) async fn runs_changed(&self) {
        self.runs.notified().await;
    }

    /// Changes whenever events may have been added.
    pub fn follow_events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    /// Changes whenever a run's log may have grown.
    pub fn follow_logs(&self) -> watch::Receiver<u64> {
        self.logs.subscribe()
    }

    pub fn follow_progress(&self) -> broadcast::Receiver<Progress> {
        self.progress.subscribe()
    }
}
