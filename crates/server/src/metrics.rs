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
use qd_kernel::{events::ConsumerReading, store::Stats};

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
        Self { registry, requests, durations, commits, transactions, queued, behind, failures, dead }
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

    /// `consumers`: none where the database does not say.
    pub fn render(&self, store: &Stats, consumers: &[ConsumerReading]) -> String {
        // What cannot be read now is not told as if it were as before.
        self.behind.clear();
        self.failures.clear();
        self.dead.clear();
        for reading in consumers {
            let labels = ConsumerLabels { consumer: reading.name.clone() };
            self.behind.get_or_create(&labels).set(reading.behind);
            self.failures.get_or_create(&labels).set(reading.failures);
            self.dead.get_or_create(&labels).set(reading.dead);
        }
        self.commits.set(store.commits);
        self.transactions.set(store.closures);
        self.queued.set(u64::try_from(store.queued).unwrap_or(u64::MAX));
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
