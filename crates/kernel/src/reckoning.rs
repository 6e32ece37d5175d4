//! The time that the queue and all leases go by: one for every process of a database, whatever its own clock says.
//!
//! On Postgres it is the database's clock, on SQLite that of the only process. It is asked each second and reckoned onward
//! in between by time that only grows, so that processes whose clocks differ agree on what is due, and a clock that is set
//! is noticed within a second. Ahead: every lease looks as if it were over, so nobody claims for a lease, in which whoever
//! is alive extends its own. Back: what was stored by the clock that was ahead would wait out the difference; each place in
//! the queue holds when its time was stored, so it is known how long it was to wait, and it waits for as long from now. To a
//! process that has not noticed yet, all that was put right so looks overdue, leases included: so a claim asks the reference
//! itself whether it is behind what it is reckoned to be, and takes nothing then.
//!
//! Not here: times for people. Events, audit records and steps carry the clock of the process that wrote them.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use qd_core::{error::Result, time::Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Source,
    kernel::Kernel,
    params,
    store::{Backend, Tx},
};

/// How often the reference is asked.
const ASK: Duration = Duration::from_secs(1);
/// A clock that moved by less was not set: what is stored a little ahead waits a little longer.
const STEP: Duration = Duration::from_secs(2);
/// For so long after a start and after a step back the queue is looked through: longer than a write that was begun under
/// the old time may take.
const MEND_FOR: Duration = Duration::from_mins(1);
const MEND_EVERY: Duration = Duration::from_secs(5);
/// Places put right by one statement.
const BATCH: i64 = 1000;

/// Cheap to read; see the module.
pub(crate) struct Reckoning {
    source: Source,
    state: Mutex<State>,
    /// Told when leases must be extended at once.
    ahead: Notify,
}

#[derive(Default)]
struct State {
    /// What is to be added to steady time, in microseconds: at least, and at most.
    bounds: Option<(i64, i64)>,
    /// In steady time.
    claims_from: Duration,
    mend_until: Duration,
}

/// The present, for people and for the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub shown: Timestamp,
    pub due: Timestamp,
}

/// The reference was set, by so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Ahead(Duration),
    Back(Duration),
}

impl Reckoning {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, state: Mutex::default(), ahead: Notify::new() }
    }

    /// Where the clock never steps, it is the reference by itself.
    pub(crate) fn now(&self) -> Timestamp {
        match (self.source.steady(), self.lock().bounds) {
            (Some(steady), Some((least, _))) => Timestamp::from_micros(micros(steady) + least),
            _ => self.source.now(),
        }
    }

    /// What is due by now may be claimed; none while nothing may. One look at both: the reference may be set between two.
    pub(crate) fn claims_now(&self) -> Option<Timestamp> {
        let Some(steady) = self.source.steady() else { return Some(self.source.now()) };
        let state = self.lock();
        let now = state.bounds.map(|(least, _)| Timestamp::from_micros(micros(steady) + least));
        (state.claims_from <= steady).then(|| now.unwrap_or_else(|| self.source.now()))
    }

    /// What the reference says at the least while a claim for `now` is made, unless it was set back meanwhile. None where it is not
    /// reckoned.
    pub(crate) fn claims_while(&self, now: Timestamp) -> Option<Timestamp> {
        self.source.steady().and_then(|_| now.checked_sub(STEP))
    }

    /// How long nothing may be claimed still.
    pub(crate) fn claims_pause(&self) -> Duration {
        let from = self.lock().claims_from;
        self.source.steady().map_or(Duration::ZERO, |steady| from.saturating_sub(steady))
    }

    /// Until the reference was set ahead.
    pub(crate) async fn set_ahead(&self) {
        self.ahead.notified().await;
    }

    /// Takes a reading of the reference that was asked for at one steady time and had come at another. Readings that agree
    /// narrow each other down; one that cannot agree with those before stands alone.
    fn heard(
        &self,
        reading: Timestamp,
        (asked, came): (Duration, Duration),
        lease: Duration,
    ) -> Option<Step> {
        let (least, most) = (reading.micros() - micros(came), reading.micros() - micros(asked));
        let mut state = self.lock();
        let Some((old_least, old_most)) = state.bounds else {
            state.bounds = Some((least, most));
            return None;
        };
        if least <= old_most && old_least <= most {
            state.bounds = Some((least.max(old_least), most.min(old_most)));
            return None;
        }
        state.bounds = Some((least, most));
        let by = Duration::from_micros((least - old_least).unsigned_abs());
        if by < STEP {
            return None;
        }
        if least > old_least {
            // A whole lease: a claim that was under way in the others was dated by the old time, and is extended by
            // their next heartbeat only.
            state.claims_from = came + lease.max(ASK * 2);
            self.ahead.notify_one();
            Some(Step::Ahead(by))
        } else {
            state.mend_until = came + MEND_FOR;
            Some(Step::Back(by))
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel {
    pub(crate) fn times(&self) -> Times {
        Times { shown: self.source.now(), due: self.reckoning.now() }
    }

    /// Asks the reference once.
    pub(crate) async fn reckon(&self) -> Result<()> {
        let Some(asked) = self.source.steady() else { return Ok(()) };
        let reading = match self.store.clock().await? {
            Some(reading) => reading,
            None => self.source.now(),
        };
        let came = self.source.steady().unwrap_or(asked);
        match self.reckoning.heard(reading, (asked, came), self.options.lease) {
            Some(Step::Ahead(by)) => {
                tracing::warn!(
                    ?by,
                    "the clock was set ahead: leases are extended before anything is claimed"
                );
            }
            Some(Step::Back(by)) => {
                tracing::warn!(
                    ?by,
                    "the clock was set back: what waits in the queue waits for as long as it was to"
                );
            }
            None => {}
        }
        Ok(())
    }

    /// Until cancelled. A reference that does not answer is reckoned onward.
    pub(crate) async fn reckoning_run(self, stop: CancellationToken) {
        let steady = || self.source.steady().unwrap_or_default();
        self.reckoning.lock().mend_until = steady() + MEND_FOR;
        let (mut seen, mut next) = (Duration::ZERO, Duration::ZERO);
        loop {
            let until = self.reckoning.lock().mend_until;
            if until != seen || (next <= steady() && steady() < until) {
                (seen, next) = (until, steady() + MEND_EVERY);
                if let Err(error) = self.queue_mend().await {
                    tracing::warn!(%error, "put the queue's times right: will try again");
                    self.reckoning.lock().mend_until = steady() + MEND_FOR;
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(ASK) => {}
            }
            if let Err(error) = self.reckon().await {
                tracing::debug!(%error, "ask for the time: will try again");
            }
        }
    }

    /// Gives each place whose time was stored in what is still to come its length from now on.
    pub(crate) async fn queue_mend(&self) -> Result<()> {
        let now = self.reckoning.now();
        let ahead = now.checked_add(STEP).unwrap_or(Timestamp::MAX);
        loop {
            let mended = self.store.write(move |tx| mend(tx, now, ahead)).await?;
            if mended > 0 {
                tracing::info!(mended, "put right what was stored by a clock that was ahead");
                self.bus.call_workers();
            }
            if mended < BATCH.unsigned_abs() {
                return Ok(());
            }
        }
    }
}

/// Looks before it writes: most often there is nothing.
fn mend(tx: &mut Tx<'_>, now: Timestamp, ahead: Timestamp) -> Result<u64> {
    let wrong = "SELECT job_id FROM job_queue WHERE set_at > $2 ORDER BY job_id LIMIT $3";
    // One that is being written right now is seen at the next look.
    let places = match tx.backend() {
        Backend::Sqlite => format!("IN ({wrong})"),
        Backend::Postgres => format!("= ANY(ARRAY({wrong} FOR UPDATE SKIP LOCKED))"),
    };
    let sql =
        format!("UPDATE job_queue SET due_at = due_at - (set_at - $1), set_at = $1 WHERE job_id {places}");
    Ok(tx.exec(&sql, params![now, ahead, BATCH])?)
}

fn micros(steady: Duration) -> i64 {
    i64::try_from(steady.as_micros()).unwrap_or(i64::MAX)
}
