//! What `/metrics` says, in the OpenMetrics text format. Label sets are bounded: routes are patterns, never addresses.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};
use qd_core::time::Timestamp;
use qd_kernel::{audit::status::AuditReading, events::ConsumerReading, store::Stats};

use crate::state::BuildInfo;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConsumerLabels {
    consumer: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

/// Of the audit; see [`AuditReading`].
#[derive(Default)]
struct Audit {
    unsealed: Gauge,
    unsealed_age: Gauge<f64, AtomicU64>,
    unchecked_age: Gauge<f64, AtomicU64>,
    signs: Gauge,
    sink_behind: Family<SinkLabels, Gauge>,
    sink_failing: Family<SinkLabels, Gauge<f64, AtomicU64>>,
}

pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    commits: Gauge<u64, AtomicU64>,
    transactions: Gauge<u64, AtomicU64>,
    queued: Gauge<u64, AtomicU64>,
    behind: Family<ConsumerLabels, Gauge>,
    failures: Family<ConsumerLabels, Gauge>,
    dead: Family<ConsumerLabels, Gauge>,
    audit: Audit,
    limited: Family<ClassLabels, Counter>,
    connections: Gauge,
    connections_refused: Counter,
    password_hashes: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub fn new(build: &BuildInfo) -> Self {
        let mut registry = Registry::default();
        let info = Info::new(vec![
            ("service", build.service),
            ("version", build.version),
            ("git_sha", build.git_sha),
        ]);
        registry.register("qd_build", "What this binary is", info);
        let requests = Family::default();
        registry.register("qd_http_requests", "Requests answered", requests.clone());
        let durations = Family::<RouteLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.0005, 2.0, 14))
        });
        registry.register("qd_http_request_duration_seconds", "Time to answer", durations.clone());
        let (commits, transactions, queued) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("qd_store_commits", "Commits since the start", commits.clone());
        registry.register("qd_store_transactions", "Transactions since the start", transactions.clone());
        registry.register("qd_store_queue", "Transactions waiting for the database", queued.clone());
        let (behind, failures, dead) = (Family::default(), Family::default(), Family::default());
        registry.register("qd_consumer_behind", "Events that the consumer has still to see", behind.clone());
        registry.register(
            "qd_consumer_failures",
            "Failed attempts of the event that it is at",
            failures.clone(),
        );
        registry.register("qd_consumer_dead_letters", "Events that it did not take", dead.clone());
        let audit = Audit::register(&mut registry);
        let (limited, connections, connections_refused) =
            (Family::default(), Gauge::default(), Counter::default());
        registry.register("qd_http_limited", "Requests beyond their sender's limit", limited.clone());
        registry.register("qd_http_connections", "Connections that are open", connections.clone());
        registry.register(
            "qd_http_connections_refused",
            "Connections beyond what the server or one address may have",
            connections_refused.clone(),
        );
        let password_hashes = Gauge::default();
        registry.register(
            "qd_password_hashes",
            "Passwords hashed since the start: what signing in costs",
            password_hashes.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            commits,
            transactions,
            queued,
            behind,
            failures,
            dead,
            audit,
            limited,
            connections,
            connections_refused,
            password_hashes,
        }
    }

    pub fn request(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let method = if matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") {
            method
        } else {
            "other"
        };
        let labels = RequestLabels { method: method.into(), route: route.into(), status };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&RouteLabels { route: route.into() }).observe(elapsed.as_secs_f64());
    }

    pub fn limited(&self, class: &'static str) {
        self.limited.get_or_create(&ClassLabels { class }).inc();
    }

    pub fn connections(&self, open: usize) {
        self.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// `consumers` and `audit`, which was read at that time: none where the database does not say.
    pub fn render(
        &self,
        store: &Stats,
        consumers: &[ConsumerReading],
        audit: Option<&(AuditReading, Timestamp)>,
    ) -> String {
        // What cannot be read now is not told as if it were as before.
        self.behind.clear();
        self.failures.clear();
        self.dead.clear();
        for reading in consumers {
            // Subscriptions are made by users, and told of together: how far the last is behind, what all of them failed.
            let name = reading.name.split_once('/').map_or(&*reading.name, |(kind, _)| kind);
            let labels = ConsumerLabels { consumer: name.to_owned() };
            let behind = self.behind.get_or_create(&labels);
            behind.set(behind.get().max(reading.behind));
            self.failures.get_or_create(&labels).inc_by(reading.failures);
            self.dead.get_or_create(&labels).inc_by(reading.dead);
        }
        self.audit.set(audit);
        self.password_hashes.set(qd_kernel::credentials::password_hashes());
        self.commits.set(store.commits);
        self.transactions.set(store.closures);
        self.queued.set(u64::try_from(store.queued).unwrap_or(u64::MAX));
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Audit {
    fn register(registry: &mut Registry) -> Self {
        let audit = Self::default();
        registry.register(
            "qd_audit_unsealed",
            "Audit records that wait for their seal",
            audit.unsealed.clone(),
        );
        registry.register(
            "qd_audit_unsealed_age_seconds",
            "How long the oldest of them waits",
            audit.unsealed_age.clone(),
        );
        registry.register(
            "qd_audit_unchecked_age_seconds",
            "Age of the oldest sealed record that no checkpoint covers",
            audit.unchecked_age.clone(),
        );
        registry.register("qd_audit_signs", "1 where this process signs the audit", audit.signs.clone());
        registry.register(
            "qd_audit_sink_behind",
            "Checkpoints that a place outside does not have",
            audit.sink_behind.clone(),
        );
        registry.register(
            "qd_audit_sink_failing_seconds",
            "How long a place outside has taken none; 0 where it takes them",
            audit.sink_failing.clone(),
        );
        audit
    }

    fn set(&self, read: Option<&(AuditReading, Timestamp)>) {
        self.sink_behind.clear();
        self.sink_failing.clear();
        let Some((reading, now)) = read else { return };
        let age = |since: Option<Timestamp>| since.map_or(0.0, |since| now.since(since).as_secs_f64());
        self.unsealed.set(reading.unsealed);
        self.unsealed_age.set(age(reading.unsealed_since));
        self.unchecked_age.set(age(reading.unchecked_since));
        self.signs.set(i64::from(reading.silent.is_none()));
        for sink in &reading.sinks {
            let labels = SinkLabels { sink: sink.name.clone() };
            self.sink_behind.get_or_create(&labels).set(sink.behind);
            self.sink_failing.get_or_create(&labels).set(age(sink.failing_since));
        }
    }
}
