//! What is known of the clusters that this process has to do with: those that it was to ask for anything a short time ago.
//!
//! A process that only serves requests asks no cluster for anything, so it knows nothing. What is known of one run's cluster is
//! told by the run's own observations.
//!
//! Connections are their tenants' own, and `/engines` is everybody's: so clusters are counted here and not named.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use qd_core::time::Timestamp;
use qd_kernel::clock;
use qd_kernel::engine::{EngineReading, EngineState};
use qd_kernel::secrets::SecretUse;

use super::api::Fault;
use super::connection::RayConnection;
use super::{RAY, Ray};

/// Whoever asks for the engines waits no longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A cluster with a run on it is asked every few seconds.
const KEPT: Duration = Duration::from_mins(5);

#[derive(Default)]
pub(super) struct Contacts {
    /// By address.
    met: Mutex<BTreeMap<String, Contact>>,
}

struct Contact {
    spec: RayConnection,
    /// For whom its token is read.
    usage: SecretUse,
    /// When something was last to be asked of it for a run.
    met_at: Instant,
    answered_at: Option<Timestamp>,
    version: Option<String>,
    state: EngineState,
}

impl Contacts {
    pub fn meet(&self, spec: &RayConnection, usage: &SecretUse) {
        self.meet_at(spec, usage, Instant::now());
    }

    fn meet_at(&self, spec: &RayConnection, usage: &SecretUse, now: Instant) {
        let (spec, usage, state) = (spec.clone(), usage.clone(), EngineState::Unknown);
        let new = || Contact {
            spec: spec.clone(),
            usage: usage.clone(),
            met_at: now,
            answered_at: None,
            version: None,
            state,
        };
        let mut met = self.lock();
        let contact = met.entry(spec.address.clone()).or_insert_with(new);
        contact.met_at = now;
        contact.spec = spec;
        contact.usage = usage;
    }

    /// Leaves those on which no run was followed for a while.
    fn leave(&self, now: Instant) {
        self.lock().retain(|_, contact| now.duration_since(contact.met_at) < KEPT);
    }

    /// Whatever was asked of it, an answer is a sign of life.
    pub fn heard<T>(&self, address: &str, answer: &Result<T, Fault>, now: Timestamp) {
        if let Some(contact) = self.lock().get_mut(address) {
            contact.state = match answer {
                Ok(_) | Err(Fault::NotFound | Fault::Refused(_)) => EngineState::Healthy,
                Err(Fault::Token) => EngineState::Degraded,
                Err(Fault::Unreachable(_)) => EngineState::Unknown,
            };
            if contact.state != EngineState::Unknown {
                contact.answered_at = Some(now);
            }
        }
    }

    /// Asks every cluster for its version.
    pub async fn reading(&self, ray: &Ray, clock: &clock::Source) -> EngineReading {
        self.leave(Instant::now());
        let met: Vec<(RayConnection, SecretUse)> =
            self.lock().values().map(|contact| (contact.spec.clone(), contact.usage.clone())).collect();
        let asked = met.iter().map(|(spec, usage)| ask(ray, spec, usage));
        for ((spec, _), answer) in met.iter().zip(join_all(asked).await) {
            self.heard(&spec.address, &answer, clock.now());
            if let (Ok(version), Some(contact)) = (answer, self.lock().get_mut(&spec.address)) {
                contact.version = Some(version);
            }
        }
        summary(&self.lock(), clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Contact>> {
        // What it guards is whole after every statement.
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(ray: &Ray, spec: &RayConnection, usage: &SecretUse) -> Result<String, Fault> {
    let api = ray.api(spec, usage).await;
    api.map_err(|error| Fault::Unreachable(error.detail))?.version(PATIENCE).await
}

/// The worst of all, as old as the oldest answer.
fn summary(met: &BTreeMap<String, Contact>, now: Timestamp) -> EngineReading {
    let count = |state| met.values().filter(|contact| contact.state == state).count();
    let (healthy, refused) = (count(EngineState::Healthy), count(EngineState::Degraded));
    let silent = count(EngineState::Unknown);
    let clusters = |count: usize, what: &str, whats: &str| match count {
        0 => None,
        1 => Some(format!("1 cluster {what}")),
        many => Some(format!("{many} clusters {whats}")),
    };
    let parts = [
        clusters(healthy, "answers", "answer"),
        clusters(refused, "takes no token of its connection", "take no token of their connections"),
        clusters(silent, "does not answer", "do not answer"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let state = match (met.len(), refused, silent) {
        (0, _, _) | (_, _, 1..) => EngineState::Unknown,
        (_, 1.., _) => EngineState::Degraded,
        _ => EngineState::Healthy,
    };
    let oldest = met.values().filter_map(|contact| contact.answered_at).min();
    EngineReading {
        name: RAY.to_owned(),
        title: "Ray clusters".to_owned(),
        state,
        detail: if parts.is_empty() {
            "this server has no run on a cluster, so it has asked none".to_owned()
        } else {
            parts.join(", ")
        },
        version: met.values().find_map(|contact| contact.version.clone()),
        observed_at: if healthy == met.len() { now } else { oldest.unwrap_or(now) },
        progress: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage() -> SecretUse {
        let nobody = qd_kernel::clock::system().uuid();
        SecretUse {
            scope: qd_kernel::context::Scope { tenant_id: nobody.into(), project_id: nobody.into() },
            by: RAY.into(),
            principal_id: None,
            purpose: "a test".into(),
            source: RAY.into(),
            correlation_id: "test".into(),
            job_id: None,
            covers: true,
        }
    }

    fn spec(address: &str) -> RayConnection {
        serde_json::from_value(json!({ "type": "ray", "address": address })).unwrap()
    }

    #[test]
    fn the_worst_is_told_with_the_age_of_the_last_answer() {
        let contacts = Contacts::default();
        let at = Timestamp::from_micros;
        let told = |now| {
            let reading = summary(&contacts.lock(), at(now));
            (reading.state, reading.detail, reading.observed_at)
        };
        assert_eq!(told(1).0, EngineState::Unknown);
        contacts.meet(&spec("http://a:1"), &usage());
        contacts.meet(&spec("http://b:1"), &usage());
        contacts.heard("http://a:1", &Ok(()), at(10));
        contacts.heard("http://b:1", &Err::<(), _>(Fault::NotFound), at(20));
        assert_eq!(told(30), (EngineState::Healthy, "2 clusters answer".into(), at(30)));
        contacts.heard("http://b:1", &Err::<(), _>(Fault::Token), at(40));
        let detail = "1 cluster answers, 1 cluster takes no token of its connection";
        assert_eq!(told(50), (EngineState::Degraded, detail.into(), at(10)));
        contacts.heard("http://a:1", &Err::<(), _>(Fault::Unreachable("gone".into())), at(60));
        let detail = "1 cluster takes no token of its connection, 1 cluster does not answer";
        assert_eq!(told(70), (EngineState::Unknown, detail.into(), at(10)));
        // What was learnt stays when the connection is used again.
        contacts.meet(&spec("http://a:1"), &usage());
        assert_eq!(told(70).2, at(10));
        // A cluster that no run is followed on any more is nobody's trouble.
        let later = Instant::now() + KEPT;
        contacts.meet_at(&spec("http://b:1"), &usage(), later);
        contacts.leave(later);
        assert_eq!(told(80).1, "1 cluster takes no token of its connection");
        contacts.leave(later + KEPT);
        assert_eq!(told(90).0, EngineState::Unknown);
    }
}
