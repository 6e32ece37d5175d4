//! What operators and load balancers ask: alive, ready, version, metrics, the API's description.

use std::time::Duration;

use axum::extract::FromRequestParts as _;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use qd_core::time::Timestamp;
use qd_kernel::audit::status::AuditReading;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    http::{caller::PlatformCaller, problem::Problem},
    state::{App, BuildInfo},
};

/// A record that waits longer for its seal is told of; it takes about a second.
const UNSEALED: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    pub status: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    /// `store`, `secrets`, `bus` where processes are joined, `logs` where they are kept elsewhere, `audit` where the database answers,
    /// `tls` where the server has a certificate, `policies` where those of a project cannot be read, `serving` where the process is
    /// about to end.
    pub name: &'static str,
    pub ok: bool,
    pub detail: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Ready {
    pub ready: bool,
    pub checks: Vec<Check>,
}

pub async fn health() -> Json<Health> {
    Json(Health { status: "alive" })
}

pub async fn ready(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    off_loopback(&app, parts).await?;
    let store = match app.kernel.store.health().await {
        Ok(()) => Check { name: "store", ok: true, detail: "answers".into() },
        Err(error) => Check { name: "store", ok: false, detail: error.to_string() },
    };
    // Without the bus work goes on by polling: it is shown, and takes nobody out of service.
    let bus =
        app.kernel.bus.link().map(|link| Check { name: "bus", ok: link.connected, detail: link.detail });
    // Without its place a log stays in the database: that is shown, and takes nobody out of service.
    let logs = app.kernel.log_place.as_ref().map(|place| match place.problem() {
        None => Check { name: "logs", ok: true, detail: format!("kept in {}", place.name) },
        Some(why) => {
            Check { name: "logs", ok: false, detail: format!("{} cannot be reached: {why}", place.name) }
        }
    });
    // What is not sealed or signed yet is there all the same: that is shown, and takes nobody out of service.
    let audit =
        app.kernel.audit_reading().await.ok().map(|reading| audit_check(&reading, app.kernel.source.now()));
    // A process that cannot open what there is would fail whoever comes to it: others may be able to.
    let secrets = app.kernel.secrets.health().await;
    let secrets = Check { name: "secrets", ok: secrets.ok, detail: secrets.detail };
    // What clients refuse to talk to serves nobody. New files that cannot be used are shown, while the old ones serve.
    let certificate = app.edge.certificate.as_ref().map(|certificate| certificate.reading());
    let encrypted = certificate.as_ref().is_none_or(|reading| reading.valid);
    let tls = certificate.map(|reading| Check { name: "tls", ok: reading.ok, detail: reading.detail });
    // A project whose policies cannot be read is closed, and the others are not.
    let broken = app.kernel.policies_broken();
    let policies =
        (!broken.is_empty()).then(|| Check { name: "policies", ok: false, detail: broken.join("; ") });
    let leaving = app.draining.is_cancelled().then(|| Check {
        name: "serving",
        ok: false,
        detail: "stopping: takes no further connections soon".into(),
    });
    let ready = store.ok && secrets.ok && encrypted && leaving.is_none();
    let checks = [store, secrets].into_iter().chain(bus).chain(logs).chain(audit).chain(tls);
    let checks = checks.chain(policies).chain(leaving).collect();
    let ready = Ready { ready, checks };
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(ready)).into_response())
}

/// How the audit is, in one sentence for each thing that is not as it should be.
fn audit_check(reading: &AuditReading, now: Timestamp) -> Check {
    let mut wrong = vec![];
    if let Some(since) = reading.unsealed_since.filter(|since| now.since(*since) > UNSEALED) {
        wrong.push(format!("{} records wait for their seal since {since}", reading.unsealed));
    }
    if let Some(why) = &reading.silent {
        wrong.push(format!("this process signs nothing: {why}"));
    }
    for sink in &reading.sinks {
        if let (Some(since), Some(why)) = (sink.failing_since, &sink.error) {
            let behind = sink.behind;
            wrong.push(format!(
                "{} does not take checkpoints since {since} ({behind} wait): {why}",
                sink.name
            ));
        }
    }
    match wrong.is_empty() {
        true => Check { name: "audit", ok: true, detail: "sealed and signed".into() },
        false => Check { name: "audit", ok: false, detail: wrong.join("; ") },
    }
}

pub async fn version(State(app): State<App>) -> Json<BuildInfo> {
    Json(app.build.clone())
}

pub async fn metrics(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    off_loopback(&app, parts).await?;
    // Without the database the rest is told all the same.
    let consumers = app.kernel.consumer_list().await.unwrap_or_default();
    let audit = app.kernel.audit_reading().await.ok().map(|reading| (reading, app.kernel.source.now()));
    let text = app.metrics.render(&app.kernel.store.stats(), &consumers, audit.as_ref());
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
        .into_response())
}

pub async fn openapi(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.to_string()).into_response()
}

/// These pages say what runs here. Only who asks on this machine itself needs no token; a proxy asks for somebody else.
async fn off_loopback(app: &App, mut parts: Parts) -> Result<(), Problem> {
    let forwarded = parts.headers.keys().any(|name| {
        let name = name.as_str();
        name == "forwarded" || name == "via" || name == "x-real-ip" || name.starts_with("x-forwarded-")
    });
    if app.loopback && !forwarded {
        return Ok(());
    }
    PlatformCaller::from_request_parts(&mut parts, app).await?.may("system.read")
}
