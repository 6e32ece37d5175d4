//! Observing attempts: the log that each is followed by, and the doubt in which a silent head leaves it.
//!
//! Doubt is told when it begins, when its reason changes and when it ends; in between an observation is an error, so that the
//! observer looks less often. What is kept here can be had again: another server, or this one after a restart, follows the
//! log anew, and counts the time of a lost job anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use qd_core::error::{Error, Result};
use qd_core::id::RunId;
use qd_core::time::Timestamp;
use qd_kernel::engine::{Observation, RunFact, RunTicket};
use serde_json::{Map, Value, json};

use super::api::Fault;
use super::cluster::{Cluster, submission_id};
use super::follow::Follow;
use super::reading::Reading;
use super::{Ray, ending};

type Key = (RunId, u32);

#[derive(Default)]
pub(super) struct Attempts {
    known: Mutex<HashMap<Key, Attempt>>,
}

#[derive(Default)]
struct Attempt {
    /// Taken out while it is read.
    follow: Option<Follow>,
    doubt: Option<Doubt>,
    /// What runs there, as far as it is known.
    versions: Map<String, Value>,
    /// This process has sent a submission, whatever came of it.
    sent: bool,
}

/// Why nothing is known of an attempt.
struct Doubt {
    since: Timestamp,
    why: String,
    /// Since when the head answers and does not know the job.
    forgotten: Option<Instant>,
}

impl Attempts {
    pub fn sends(&self, ticket: &RunTicket) {
        self.lock().entry((ticket.run_id, ticket.attempt)).or_default().sent = true;
    }

    pub fn sent(&self, ticket: &RunTicket) -> bool {
        self.lock().get(&(ticket.run_id, ticket.attempt)).is_some_and(|attempt| attempt.sent)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Attempt>> {
        // What it guards is whole after every statement.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let key = (ticket.run_id, ticket.attempt);
        let place = u64::try_from(cursor).unwrap_or(0);
        let known = self.attempts.lock().entry(key).or_default().follow.take();
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
                self.attempts.lock().entry(key).or_default().follow = Some(follow);
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
        let mut attempts = self.attempts.lock();
        if seen.end.is_some() {
            // Its doubt is told with the end.
            attempts.entry(key).or_default().follow = None;
        } else {
            let attempt = attempts.entry(key).or_default();
            attempt.versions.clone_from(&follow.reading.versions);
            attempt.follow = Some(follow);
        }
        Ok(seen)
    }

    /// The head has answered.
    fn sure(&self, ticket: &RunTicket, cluster: &Cluster, mut seen: Observation) -> Observation {
        let key = (ticket.run_id, ticket.attempt);
        let mut attempts = self.attempts.lock();
        let attempt = attempts.entry(key).or_default();
        let doubt = attempt.doubt.take();
        if let Some(doubt) = &doubt {
            let now = self.clock.now();
            let data = json!({ "after_s": now.since(doubt.since).as_secs() });
            seen.facts.push(RunFact { at: now, event_type: "run.known".to_owned(), data });
        }
        if doubt.is_some() || seen.engine_detail.is_some() {
            seen.engine_detail = Some(detail(Some(cluster), ticket, &attempt.versions, None));
        }
        if seen.end.is_some() {
            attempts.remove(&key);
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
        let key = (ticket.run_id, ticket.attempt);
        let now = self.clock.now();
        let mut attempts = self.attempts.lock();
        let attempt = attempts.entry(key).or_default();
        let new = || Doubt { since: now, why: String::new(), forgotten: None };
        let doubt = attempt.doubt.get_or_insert_with(new);
        let mut seen = Observation { cursor, ..Observation::default() };
        if forgotten && doubt.forgotten.get_or_insert_with(Instant::now).elapsed() >= self.lost_after {
            // What is certain is no doubt any more, and a next attempt begins without it.
            seen.engine_detail = Some(detail(cluster, ticket, &attempt.versions, None));
            seen.end = Some(ending::lost(now, &why));
            attempts.remove(&key);
            return Ok(seen);
        }
        if doubt.why == why {
            return Err(Error::unavailable("run_unknown", why));
        }
        doubt.why.clone_from(&why);
        let data = json!({ "reason": why });
        seen.facts.push(RunFact { at: now, event_type: "run.unknown".to_owned(), data });
        seen.engine_detail = Some(detail(cluster, ticket, &attempt.versions, attempt.doubt.as_ref()));
        Ok(seen)
    }
}

/// What is shown of where a run is carried out.
fn detail(
    cluster: Option<&Cluster>,
    ticket: &RunTicket,
    versions: &Map<String, Value>,
    doubt: Option<&Doubt>,
) -> Value {
    let mut detail = versions.clone();
    if let Some(cluster) = cluster {
        detail.insert("connection".into(), cluster.connection.clone().into());
        let output = cluster.spec.output_of(&ticket.run_id.to_string());
        detail.insert("output".into(), output.to_string_lossy().into());
    }
    detail.insert("job".into(), submission_id(ticket).into());
    if let Some(doubt) = doubt {
        let unknown = json!({ "state": "unknown", "since": doubt.since, "reason": doubt.why });
        detail.insert("observation".into(), unknown);
    }
    detail.into()
}
