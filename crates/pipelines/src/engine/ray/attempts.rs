//! Observing attempts: the log that each is followed by, and the doubt in which a silent head leaves it.
//!
//! Doubt is told when it begins, when its reason changes and when it ends; in between an observation is an error, so that the
//! observer looks less often. Whether there is doubt is what the run's row says, so that whichever server looks next ends it.
//! What is kept here can be had again: another server, or this one after a restart, follows the log anew, and counts the time
//! of a lost job anew. That time is told by a clock that nobody sets.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qd_core::error::{Error, Result};
use qd_core::id::RunId;
use qd_core::time::Timestamp;
use qd_kernel::engine::{Observation, RunFact, RunTicket};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::api::Fault;
use super::cluster::{Cluster, submission_id};
use super::follow::Follow;
use super::reading::Reading;
use super::{Ray, ending};

type Key = (RunId, u32);

/// Members of the detail: the job's name at the cluster, and why nothing is known of it.
const JOB: &str = "job";
const OBSERVATION: &str = "observation";

/// What is not asked for this long is nobody's here any more: another server follows it, or its start has long been decided.
const KEPT: Duration = Duration::from_mins(15);
/// How often it is looked for.
const SWEEP: Duration = Duration::from_mins(1);

#[derive(Default)]
pub(super) struct Attempts {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    attempts: HashMap<Key, Attempt>,
    swept: Option<Instant>,
}

struct Attempt {
    /// Taken out while it is read.
    follow: Option<Follow>,
    /// Since when the head answers and does not know the job.
    forgotten: Option<Instant>,
    /// This process has sent a submission, whatever came of it.
    sent: bool,
    used: Instant,
}

/// Why nothing is known of an attempt, as it is stored.
#[derive(Serialize, Deserialize)]
struct Doubt {
    since: Timestamp,
    reason: String,
}

impl Attempts {
    pub fn sends(&self, ticket: &RunTicket) {
        self.lock().of(ticket).sent = true;
    }

    pub fn sent(&self, ticket: &RunTicket) -> bool {
        self.lock().attempts.get(&key(ticket)).is_some_and(|attempt| attempt.sent)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // What it guards is whole after every statement.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn of(&mut self, ticket: &RunTicket) -> &mut Attempt {
        let now = Instant::now();
        if self.swept.is_none_or(|at| now.duration_since(at) >= SWEEP) {
            self.swept = Some(now);
            self.attempts.retain(|_, attempt| now.duration_since(attempt.used) < KEPT);
        }
        let new = || Attempt { follow: None, forgotten: None, sent: false, used: now };
        let attempt = self.attempts.entry(key(ticket)).or_insert_with(new);
        attempt.used = now;
        attempt
    }
}

fn key(ticket: &RunTicket) -> Key {
    (ticket.run_id, ticket.attempt)
}

impl Ray {
    pub(super) async fn attempt_observe(&self, ticket: &RunTicket, cursor: i64) -> Result<Observation> {
        let cluster = match self.cluster_of(ticket).await {
            Ok(cluster) => cluster,
            // Its token cannot be read now, say: as if the head did not answer.
            Err(error) => return self.doubted(ticket, None, cursor, error.to_string(), false),
        };
        let heard = self.look(ticket, &cluster, cursor).await;
        self.contacts.heard(&cluster.spec.address, &heard, self.clock.now());
        match heard {
            Ok(seen) => Ok(self.sure(ticket, &cluster, seen)),
            Err(Fault::NotFound) => {
                let why =
                    "the Ray head does not know the job any more: it was restarted, or the job was deleted";
                self.doubted(ticket, Some(&cluster), cursor, why.to_owned(), true)
            }
            Err(fault) => self.doubted(ticket, Some(&cluster), cursor, fault.to_string(), false),
        }
    }

    async fn look(&self, ticket: &RunTicket, cluster: &Cluster, cursor: i64) -> Result<Observation, Fault> {
        let place = u64::try_from(cursor).unwrap_or(0);
        let known = self.attempts.lock().of(ticket).follow.take();
        let anew = || {
            let job = submission_id(ticket);
            let metrics = ticket.spec.pointer("/observability/metrics").and_then(Value::as_bool);
            let reading = Reading::new(&job, metrics.unwrap_or(true));
            Follow::open(cluster.api.clone(), job, place, reading)
        };
        let (mut follow, old) = match known {
            // Another server was faster, and has stored what this one would tell.
            Some(mut follow) if follow.cursor() <= place => {
                follow.skip_to(place);
                (follow, true)
            }
            // What was told last was not stored. Mostly another server stores just then, and the next look is further on.
            Some(mut follow) if follow.patient() => {
                follow.waited();
                tokio::time::sleep(Follow::LOOK).await;
                self.attempts.lock().of(ticket).follow = Some(follow);
                return Ok(Observation { cursor, ..Observation::default() });
            }
            _ => (anew().await?, false),
        };
        let seen = match follow.read(&self.clock).await {
            // A connection that lasted may have been cut on its way; that alone is no doubt.
            Err(Fault::Unreachable(_)) if old => {
                follow = anew().await?;
                follow.read(&self.clock).await?
            }
            seen => seen?,
        };
        // The last words are told again with the end, should it not be stored.
        if seen.end.is_none() {
            self.attempts.lock().of(ticket).follow = Some(follow);
        }
        Ok(seen)
    }

    /// The head has answered.
    fn sure(&self, ticket: &RunTicket, cluster: &Cluster, mut seen: Observation) -> Observation {
        let stored = Stored::of(ticket);
        if let Some(doubt) = &stored.doubt {
            let now = self.clock.now();
            let data = json!({ "after_s": now.since(doubt.since).as_secs() });
            seen.facts.push(RunFact { at: now, event_type: "run.known".to_owned(), data });
        }
        if stored.doubt.is_some() || seen.engine_detail.is_some() {
            seen.engine_detail =
                Some(stored.detail(ticket, Some(cluster), seen.engine_detail.as_ref(), None));
        }
        let mut known = self.attempts.lock();
        if seen.end.is_some() {
            known.attempts.remove(&key(ticket));
        } else {
            known.of(ticket).forgotten = None;
        }
        seen
    }

    /// Nothing is known of the attempt now; `forgotten` where that is because its head does not know it.
    fn doubted(
        &self,
        ticket: &RunTicket,
        cluster: Option<&Cluster>,
        cursor: i64,
        why: String,
        forgotten: bool,
    ) -> Result<Observation> {
        let (now, stored) = (self.clock.now(), Stored::of(ticket));
        let mut known = self.attempts.lock();
        let attempt = known.of(ticket);
        // A head that falls silent may know the job when it speaks again.
        attempt.forgotten = forgotten.then(|| attempt.forgotten.unwrap_or_else(Instant::now));
        let mut seen = Observation { cursor, ..Observation::default() };
        if attempt.forgotten.is_some_and(|since| since.elapsed() >= self.lost_after) {
            // What is certain is no doubt any more, and a next attempt begins without it.
            seen.engine_detail = Some(stored.detail(ticket, cluster, None, None));
            seen.end = Some(ending::lost(now, &why));
            known.attempts.remove(&key(ticket));
            return Ok(seen);
        }
        let since = match &stored.doubt {
            Some(doubt) if doubt.reason == why => return Err(Error::unavailable("run_unknown", why)),
            Some(doubt) => doubt.since,
            None => now,
        };
        let data = json!({ "reason": why });
        seen.facts.push(RunFact { at: now, event_type: "run.unknown".to_owned(), data });
        let doubt = Doubt { since, reason: why };
        seen.engine_detail = Some(stored.detail(ticket, cluster, None, Some(&doubt)));
        Ok(seen)
    }
}

/// What the run's row says of the attempt already.
struct Stored {
    /// What is shown of where it is carried out, without the doubt.
    told: Map<String, Value>,
    doubt: Option<Doubt>,
}

impl Stored {
    fn of(ticket: &RunTicket) -> Self {
        let told = ticket.engine_detail.as_ref().and_then(Value::as_object);
        // An earlier attempt's says nothing of this one.
        let own = |told: &&Map<String, Value>| told.get(JOB) == Some(&submission_id(ticket).into());
        let mut told = told.filter(own).cloned().unwrap_or_default();
        let doubt = told.shift_remove(OBSERVATION).and_then(|doubt| serde_json::from_value(doubt).ok());
        Self { told, doubt }
    }

    /// The same with what is known now; `versions` is what runs there.
    fn detail(
        self,
        ticket: &RunTicket,
        cluster: Option<&Cluster>,
        versions: Option<&Value>,
        doubt: Option<&Doubt>,
    ) -> Value {
        let mut detail = self.told;
        detail.extend(versions.and_then(Value::as_object).cloned().unwrap_or_default());
        if let Some(cluster) = cluster {
            detail.insert("connection".into(), cluster.connection.clone().into());
            let output = cluster.spec.output_of(&ticket.run_id.to_string());
            detail.insert("output".into(), output.to_string_lossy().into());
        }
        detail.insert(JOB.into(), submission_id(ticket).into());
        if let Some(Doubt { since, reason }) = doubt {
            let unknown = json!({ "state": "unknown", "since": since, "reason": reason });
            detail.insert(OBSERVATION.into(), unknown);
        }
        detail.into()
    }
}
