//! Wake-ups, within one process and, over NATS, between several. The bus only wakes: rows are the truth, and whoever
//! missed a call finds the work by polling.

pub(crate) mod nats;

use std::sync::{Arc, Mutex, PoisonError};

use qd_core::id::{JobId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, broadcast, watch};

use crate::{context::Scope, mutation::Wake};
pub use nats::NatsOptions;

/// A run's newest numbers: streamed while they change, never kept as events.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    #[serde(skip)]
    pub scope: Scope,
    pub run_id: RunId,
    pub progress: Option<Value>,
    pub serving: Option<Value>,
    /// Another process saw it, and told everybody.
    #[serde(skip)]
    pub(crate) relayed: bool,
}

/// A job came to another of its steps, which is no event: whoever shows it looks again. At most once.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct JobMoved {
    #[serde(skip)]
    pub scope: Scope,
    pub job_id: JobId,
    /// Another process saw it, and told everybody.
    #[serde(skip)]
    pub(crate) relayed: bool,
}

/// What other processes are called about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Call {
    events: bool,
    jobs: bool,
    runs: bool,
    logs: bool,
}

/// Calls that wait to be sent; those that come together become one.
#[derive(Default)]
struct Outgoing {
    call: Mutex<Call>,
    waiting: Notify,
}

/// The connection to the other processes, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub connected: bool,
    /// What it is connected to, or why not.
    pub detail: String,
}

#[derive(Clone)]
pub struct Bus {
    jobs: Arc<Notify>,
    jobs_elsewhere: Arc<Notify>,
    runs: Arc<Notify>,
    outbox: Arc<Notify>,
    audit: Arc<Notify>,
    events: watch::Sender<u64>,
    logs: watch::Sender<u64>,
    progress: broadcast::Sender<Progress>,
    jobs_moved: broadcast::Sender<JobMoved>,
    relayed: bool,
    outgoing: Arc<Outgoing>,
    link: watch::Sender<Option<Link>>,
}

impl Bus {
    /// `relayed`: events reach their readers through the outbox, so a commit wakes the relay and not the readers.
    pub(crate) fn new(relayed: bool) -> Self {
        Self {
            jobs: Arc::default(),
            jobs_elsewhere: Arc::default(),
            runs: Arc::default(),
            outbox: Arc::default(),
            audit: Arc::default(),
            events: watch::Sender::new(0),
            logs: watch::Sender::new(0),
            progress: broadcast::Sender::new(256),
            jobs_moved: broadcast::Sender::new(256),
            relayed,
            outgoing: Arc::default(),
            link: watch::Sender::new(None),
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
        if wake.audit {
            self.audit.notify_one();
        }
        self.tell(Call { jobs: wake.jobs, runs: wake.runs, ..Call::default() });
    }

    /// Workers may look at the queue, here and in other processes.
    pub fn call_workers(&self) {
        self.wake(Wake { jobs: true, ..Wake::default() });
    }

    /// Events have their positions: readers here, and in other processes, may look.
    pub(crate) fn events_moved(&self) {
        self.events_seen();
        self.tell(Call { events: true, ..Call::default() });
    }

    /// Readers here may look.
    pub(crate) fn events_seen(&self) {
        self.events.send_modify(|n| *n += 1);
    }

    pub(crate) fn logs_grew(&self) {
        self.logs.send_modify(|n| *n += 1);
        self.tell(Call { logs: true, ..Call::default() });
    }

    /// Keeps a call for the other processes until the link takes it.
    fn tell(&self, call: Call) {
        if call == Call::default() || self.link.borrow().is_none() {
            return;
        }
        let mut waiting = self.outgoing.call.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.events |= call.events;
        waiting.jobs |= call.jobs;
        waiting.runs |= call.runs;
        waiting.logs |= call.logs;
        drop(waiting);
        self.outgoing.waiting.notify_one();
    }

    /// Until there is a call for the other processes.
    async fn outgoing(&self) {
        while *self.outgoing.call.lock().unwrap_or_else(PoisonError::into_inner) == Call::default() {
            self.outgoing.waiting.notified().await;
        }
    }

    fn outgoing_now(&self) -> Option<Call> {
        let call = std::mem::take(&mut *self.outgoing.call.lock().unwrap_or_else(PoisonError::into_inner));
        (call != Call::default()).then_some(call)
    }

    /// Another process called.
    fn incoming(&self, call: Call) {
        if call.events {
            self.events_seen();
        }
        if call.jobs {
            self.jobs_elsewhere.notify_one();
        }
        if call.runs {
            self.runs.notify_one();
        }
        if call.logs {
            self.logs.send_modify(|n| *n += 1);
        }
    }

    /// Nothing where this process is alone.
    pub fn link(&self) -> Option<Link> {
        self.link.borrow().clone()
    }

    pub(crate) fn progress(&self, progress: Progress) {
        // An error only says that nobody listens.
        let _ = self.progress.send(progress);
    }

    /// A job of this process came to another of its steps.
    pub(crate) fn job_moved(&self, scope: Scope, job_id: JobId) {
        self.job_seen(JobMoved { scope, job_id, relayed: false });
    }

    fn job_seen(&self, moved: JobMoved) {
        // An error only says that nobody listens.
        let _ = self.jobs_moved.send(moved);
    }

    /// The sealer here may look; that of another process finds it by itself.
    pub(crate) fn audit_written(&self) {
        self.audit.notify_one();
    }

    pub(crate) async fn audit_waiting(&self) {
        self.audit.notified().await;
    }

    pub(crate) async fn outbox_filled(&self) {
        self.outbox.notified().await;
    }

    pub(crate) async fn jobs_waiting(&self) {
        self.jobs.notified().await;
    }

    /// Another process called: most often it has taken them itself by now.
    pub(crate) async fn jobs_waiting_elsewhere(&self) {
        self.jobs_elsewhere.notified().await;
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

    pub fn follow_jobs(&self) -> broadcast::Receiver<JobMoved> {
        self.jobs_moved.subscribe()
    }
}
