//! The routes that do not depend on kinds.

use qd_kernel::{
    audit::{AuditRecord, status::AuditChain},
    code::CodeInfo,
    connections::ConnectionReading,
    events::DeadLetter,
    explain::Explanation,
    jobs::{Job, JobDetail},
    logs::LogRecord,
    page::Page,
    plans::{PlanSummary, StoredPlan},
    runs::Run,
    secrets::{KeyReading, SecretInfo},
};
use serde_json::{Value, json};

use super::{
    route::{Content, Route},
    schemas::{Schemas, reference},
};
use crate::{api::describe::*, state::BuildInfo};

pub fn routes(s: &mut Schemas) -> Vec<Route> {
    let mut out = system(s);
    out.extend(documents(s));
    out.extend(secrets(s));
    out.extend(runs(s));
    out.extend(plans(s));
    out.extend(jobs_and_facts(s));
    out
}

fn system(s: &mut Schemas) -> Vec<Route> {
    vec![
        Route::get(
            "/health",
            "health",
            "system",
            "Whether the process is alive",
            Content::Json(s.of::<Health>()),
        )
        .public(),
        Route::get(
            "/ready",
            "ready",
            "system",
            "Whether it can do its work, check by check",
            Content::Json(s.of::<Ready>()),
        )
        .open_on_loopback(),
        Route::get(
            "/version",
            "version",
            "system",
            "What this binary is",
            Content::Json(s.of::<BuildInfo>()),
        )
        .public(),
        Route::get("/metrics", "metrics", "system", "OpenMetrics text", Content::Metrics).open_on_loopback(),
        Route::get(
            "/openapi.json",
            "openapi",
            "system",
            "This description",
            Content::Json(json!({ "type": "object" })),
        )
        .public(),
        Route::get(
            "/api/v1/kinds",
            "kind_list",
            "system",
            "What kinds of resources there are",
            Content::Json(s.of::<KindList>()),
        ),
        Route::get(
            "/api/v1/engines",
            "engine_list",
            "system",
            "Every engine's health with the age of the reading",
            Content::Json(s.of::<EngineList>()),
        ),
    ]
}

fn documents(s: &mut Schemas) -> Vec<Route> {
    let query = s.query::<ApplyQuery>();
    let body = json!({ "anyOf": [reference("Document"), {
        "type": "object",
        "properties": { "documents": { "type": "array", "items": reference("Document") } },
        "required": ["documents"],
    }] });
    let code = s.of::<CodeInfo>();
    vec![
        Route::with(
            "post",
            "/api/v1/apply",
            "apply",
            "documents",
            "Apply documents: all of them, or none",
            Content::Documents(body),
            (200, Content::Json(s.of::<ApplyResult>())),
        )
        .query(query)
        .may_start_jobs()
        .also(&[202]),
        Route::with(
            "put",
            "/api/v1/code/{digest}",
            "code_put",
            "documents",
            "Upload a code archive (tar.zst) by its content's digest",
            Content::Bytes,
            (201, Content::Json(code.clone())),
        )
        .also(&[200]),
        Route::get(
            "/api/v1/code/{digest}",
            "code_get",
            "documents",
            "Whether a code archive is there",
            Content::Json(code),
        ),
    ]
}

fn secrets(s: &mut Schemas) -> Vec<Route> {
    let (list, delete, secret) = (s.query::<SecretsQuery>(), s.query::<DeleteQuery>(), s.of::<SecretInfo>());
    let value = s.add("SecretBody", json!({
        "type": "object",
        "properties": {
            "value": { "type": "string", "minLength": 1, "writeOnly": true, "description": "1 to 65,536 bytes of text." },
        },
        "required": ["value"],
        "additionalProperties": false,
    }));
    vec![
        Route::get(
            "/api/v1/secrets",
            "secret_list",
            "secrets",
            "Secrets by path; never their values",
            Content::Json(s.of::<Page<SecretInfo>>()),
        )
        .query(list),
        Route::get(
            "/api/v1/secrets/{path}",
            "secret_get",
            "secrets",
            "What is told of a secret: its versions' count, who wrote it, who refers to it",
            Content::Json(secret.clone()),
        ),
        Route::with(
            "put",
            "/api/v1/secrets/{path}",
            "secret_put",
            "secrets",
            "Write the next version of a secret; no route answers it",
            Content::Json(value),
            (201, Content::Json(secret)),
        )
        .also(&[200]),
        Route::with(
            "delete",
            "/api/v1/secrets/{path}",
            "secret_delete",
            "secrets",
            "Remove a secret that nothing refers to, with all its versions",
            Content::None,
            (204, Content::None),
        )
        .query(delete),
        Route::get(
            "/api/v1/secret-keys",
            "secret_keys",
            "secrets",
            "Which keys seal secrets, by their ids",
            Content::Json(s.of::<KeyReading>()),
        ),
        Route::with(
            "post",
            "/api/v1/secret-keys/rotate",
            "secret_rotate",
            "secrets",
            "Exchange the tenant's data key, or the master key with the data keys of all tenants",
            Content::Json(s.of::<RotateBody>()),
            (202, Content::Json(s.of::<Accepted>())),
        )
        .starts_job_or_previews(s),
        Route::with(
            "post",
            "/api/v1/connections/{name}/test",
            "connection_test",
            "connections",
            "Call what a connection leads to, and keep what came of it as its last reading",
            Content::Json(s.of::<TestBody>()),
            (200, Content::Json(s.of::<ConnectionReading>())),
        ),
    ]
}

fn runs(s: &mut Schemas) -> Vec<Route> {
    let (run, accepted) = (s.of::<Run>(), s.of::<Accepted>());
    let reason = s.of::<ReasonBody>();
    let (list, events, logs, attempt) =
        (s.query::<RunsQuery>(), s.query::<EventsQuery>(), s.query::<LogsQuery>(), s.query::<AttemptQuery>());
    let point = s.add("ChartPoint", json!({
        "type": "object",
        "properties": {
            "at": { "type": "string", "format": "date-time" }, "items_per_s": { "type": ["number", "null"] },
            "queue": { "type": ["number", "null"] }, "actors": { "type": ["number", "null"] },
        },
        "required": ["at"],
    }));
    let charts = s.add("RunCharts", json!({
        "type": "object",
        "properties": {
            "attempt": { "type": "integer" },
            "stages": { "type": "array", "items": {
                "type": "object",
                "properties": { "id": { "type": "string" }, "points": { "type": "array", "items": point } },
                "required": ["id", "points"],
            } },
        },
        "required": ["attempt", "stages"],
    }));
    s.of::<LogRecord>();
    vec![
        Route::get(
            "/api/v1/runs",
            "run_list",
            "runs",
            "Runs of all kinds, newest first",
            Content::Json(s.of::<Page<Run>>()),
        )
        .query(list),
        Route::get(
            "/api/v1/runs/{id}",
            "run_get",
            "runs",
            "One run, by id or reference (curate#42)",
            Content::Json(run),
        ),
        Route::with(
            "post",
            "/api/v1/runs/{id}/stop",
            "run_stop",
            "runs",
            "Ask a run to end",
            Content::Json(reason.clone()),
            (202, Content::Json(accepted.clone())),
        )
        .starts_job_or_previews(s),
        Route::with(
            "post",
            "/api/v1/runs/{id}/retry",
            "run_retry",
            "runs",
            "Start the next attempt of a failed or stopped run",
            Content::Json(reason),
            (202, Content::Json(accepted)),
        )
        .starts_job_or_previews(s),
        Route::get(
            "/api/v1/runs/{id}/logs",
            "run_logs",
            "runs",
            "A run's log",
            Content::JsonOrStream(s.of::<LogPage>()),
        )
        .query(logs),
        Route::get(
            "/api/v1/runs/{id}/events",
            "run_events",
            "runs",
            "What happened to a run",
            Content::Json(s.of::<EventList>()),
        )
        .query(events),
        Route::get(
            "/api/v1/runs/{id}/metrics",
            "run_metrics",
            "runs",
            "The points of a run's charts",
            Content::Json(charts),
        )
        .query(attempt),
        Route::get(
            "/api/v1/runs/{id}/results",
            "run_results",
            "runs",
            "The files that a run wrote",
            Content::Json(s.of::<ResultList>()),
        ),
        Route::get("/api/v1/runs/{id}/results/{path}", "run_result", "runs", "One of them", Content::Bytes),
        Route::with(
            "post",
            "/api/v1/runs/{id}/requests",
            "run_request",
            "runs",
            "One item through a serving run",
            Content::Json(s.of::<RequestBody>()),
            (200, Content::Json(s.of::<RequestResult>())),
        ),
    ]
}

/// Only where a plane has operations that are asked for by name.
pub fn ask(s: &mut Schemas) -> Route {
    let (body, accepted) = (Content::Json(s.of::<AskBody>()), Content::Json(s.of::<Accepted>()));
    let summary = "Ask for an operation by its name";
    Route::with("post", "/api/v1/jobs", "job_ask", "jobs", summary, body, (202, accepted))
        .starts_job_or_previews(s)
}

fn plans(s: &mut Schemas) -> Vec<Route> {
    let (list, create) = (s.query::<PlansQuery>(), s.query::<PlanQuery>());
    let (plan, reason) = (s.of::<StoredPlan>(), s.of::<ReasonBody>());
    vec![
        Route::get(
            "/api/v1/plans",
            "plan_list",
            "plans",
            "Plans, newest first",
            Content::Json(s.of::<Page<PlanSummary>>()),
        )
        .query(list),
        Route::with(
            "post",
            "/api/v1/plans",
            "plan_create",
            "plans",
            "Plan a change and keep the plan, to be looked at, decided on and applied by id",
            Content::Documents(s.of::<PlanBody>()),
            (201, Content::Json(plan.clone())),
        )
        .query(create),
        Route::get("/api/v1/plans/{id}", "plan_get", "plans", "One plan", Content::Json(plan.clone())),
        Route::with(
            "post",
            "/api/v1/plans/{id}/approve",
            "plan_approve",
            "plans",
            "Approve somebody else's plan, by the hash of what was looked at",
            Content::Json(s.of::<ApproveBody>()),
            (200, Content::Json(plan.clone())),
        ),
        Route::with(
            "post",
            "/api/v1/plans/{id}/reject",
            "plan_reject",
            "plans",
            "Reject a plan",
            Content::Json(reason),
            (200, Content::Json(plan)),
        ),
        Route::with(
            "post",
            "/api/v1/plans/{id}/apply",
            "plan_apply",
            "plans",
            "Carry a plan out, unless something moved since it was made; 200 where no job is needed",
            Content::None,
            (202, Content::Json(s.of::<PlanApplied>())),
        )
        .starts_job()
        .also(&[200]),
        Route::get(
            "/api/v1/explain/{object}",
            "explain",
            "plans",
            "Why jobs/<id>, runs/<id>, plans/<id> or <kind>/<name> is in its state: a sentence and its evidence",
            Content::Json(s.of::<Explanation>()),
        ),
    ]
}

fn jobs_and_facts(s: &mut Schemas) -> Vec<Route> {
    let (jobs, events, audit, stream): (Vec<Value>, Vec<Value>, Vec<Value>, Vec<Value>) =
        (s.query::<JobsQuery>(), s.query::<EventsQuery>(), s.query::<AuditQuery>(), s.query::<StreamQuery>());
    let (reason, dead) = (s.of::<ReasonBody>(), s.query::<DeadLettersQuery>());
    vec![
        Route::get(
            "/api/v1/jobs",
            "job_list",
            "jobs",
            "Jobs, newest first",
            Content::Json(s.of::<Page<Job>>()),
        )
        .query(jobs),
        Route::get(
            "/api/v1/jobs/{id}",
            "job_get",
            "jobs",
            "One job with its steps, its plan, its locks and what was recorded of it",
            Content::Json(s.of::<JobDetail>()),
        ),
        Route::with(
            "post",
            "/api/v1/jobs/{id}/cancel",
            "job_cancel",
            "jobs",
            "Ask a job to end early",
            Content::Json(reason.clone()),
            (202, Content::Json(s.of::<Accepted>())),
        ),
        Route::get(
            "/api/v1/events",
            "event_list",
            "events",
            "The events of the scope",
            Content::JsonOrStream(s.of::<EventList>()),
        )
        .query(events),
        Route::get(
            "/api/v1/consumers",
            "consumer_list",
            "events",
            "What takes events onward, and how far each is",
            Content::Json(s.of::<ConsumerList>()),
        ),
        Route::get(
            "/api/v1/dead-letters",
            "dead_letter_list",
            "events",
            "Events that a consumer did not take, newest first",
            Content::Json(s.of::<Page<DeadLetter>>()),
        )
        .query(dead),
        Route::with(
            "post",
            "/api/v1/dead-letters/{id}/redeliver",
            "dead_letter_redeliver",
            "events",
            "Send an event to its consumer again",
            Content::Json(reason),
            (202, Content::Json(s.of::<DeadLetter>())),
        ),
        Route::get(
            "/api/v1/stream",
            "stream",
            "events",
            "Events, progress and a run's log in one stream",
            Content::Stream,
        )
        .query(stream),
        Route::get(
            "/api/v1/audit",
            "audit_list",
            "audit",
            "Who did what, newest first",
            Content::Json(s.of::<Page<AuditRecord>>()),
        )
        .query(audit),
        Route::get(
            "/api/v1/audit/chain",
            "audit_chain",
            "audit",
            "The chain that a tenant's records are sealed into, or the platform's",
            Content::Json(s.of::<AuditChain>()),
        )
        .query(s.query::<ChainQuery>()),
        Route::get(
            "/api/v1/audit/verify",
            "audit_verify",
            "audit",
            "What this server finds when it verifies the newest records of a chain",
            Content::Json(s.of::<Verification>()),
        )
        .query(s.query::<VerifyQuery>()),
        Route::get(
            "/api/v1/audit/export",
            "audit_export",
            "audit",
            "The chain as lines of JSON, for `qd audit verify`",
            Content::Lines,
        )
        .query(s.query::<ExportQuery>()),
    ]
}
