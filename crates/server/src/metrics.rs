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
use qd_kernel::store::Stats;

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

pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    commits: Gauge<u64, AtomicU64>,
    transactions: Gauge<u64, AtomicU64>,
    queued: Gauge<u64, AtomicU64>,
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
        Self { registry, requests, durations, commits, transactions, queued }
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

    pub fn render(&self, store: &Stats) -> String {
        self.commits.set(store.commits);
        self.transactions.set(store.closures);
        self.queued.set(u64::try_from(store.queued).unwrap_or(u64::MAX));
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
