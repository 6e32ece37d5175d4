//! What the server says of itself: reachable, its version, ready, our token, clock, engines.

use std::net::TcpListener;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Finding;
use crate::client::shapes::{Engine, Page, text_of};
use crate::client::{Client, Reply};
use crate::context::Access;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::age;
use crate::verbs::version;

/// Tokens and times in lists go wrong beyond this.
const SKEW_ALLOWED_S: i64 = 30;

pub async fn check(invocation: &Invocation, access: &Access) -> Result<Vec<Finding>, Failure> {
    let client = invocation.client()?;
    let shown = access.server.as_str().trim_end_matches('/').to_owned();
    let reply = match client.get("/version").once().send().await {
        Ok(reply) => reply,
        Err(failure) => {
            let mut findings = vec![unreachable(access, &shown, &failure)];
            findings.extend(port(access).filter(|_| failure.status().is_none()));
            return Ok(findings);
        }
    };
    let mut findings = vec![answering(&shown, &reply.value().unwrap_or_default())];
    findings.extend(clock(&reply, invocation.clock.now()));
    findings.push(ready(&client).await);
    findings.push(identity(&client).await);
    findings.extend(engines(&client, invocation.clock.now()).await);
    Ok(findings)
}

fn unreachable(access: &Access, shown: &str, failure: &Failure) -> Finding {
    if failure.status().is_some() {
        return Finding::fail(
            "server",
            format!("{shown} answers, but not like Quarterdeck: {failure}"),
            "something else listens on this port; choose another with `qd up --port`",
        );
    }
    let todo = if access.is_loopback() {
        "start it with `qd up`"
    } else {
        "check the address, the network, and that the server runs"
    };
    Finding::fail("server", failure.to_string(), todo)
}

/// Whether `qd up` could listen there.
fn port(access: &Access) -> Option<Finding> {
    let addresses = access.server.socket_addrs(|| None).ok().filter(|_| access.is_loopback())?;
    let address = addresses.first()?;
    Some(match TcpListener::bind(address) {
        Ok(_) => Finding::ok("port", format!("{} is free", address.port())),
        Err(error) => Finding::fail(
            "port",
            format!("{} is taken by something that does not answer: {error}", address.port()),
            "choose another one with `qd up --port`",
        ),
    })
}

fn answering(shown: &str, server: &Value) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    let Some(theirs) = server.get("version").and_then(Value::as_str) else {
        return Finding::fail(
            "server",
            format!("{shown} answers without a version"),
            "is this Quarterdeck? choose another port with `qd up --port`",
        );
    };
    if theirs == own {
        return Finding::ok("server", format!("{shown}, version {}", version::describe(server)));
    }
    Finding::warn(
        "server",
        format!("{shown} is version {theirs}, this program is {own}"),
        "use the same version on both sides",
    )
}

fn clock(reply: &Reply, now: OffsetDateTime) -> Option<Finding> {
    let date = reply.header("date")?.replace("GMT", "+0000");
    let theirs = OffsetDateTime::parse(&date, &Rfc2822).ok()?;
    let skew = (now - theirs).whole_seconds();
    Some(if skew.abs() <= SKEW_ALLOWED_S {
        Finding::ok("clock", format!("within {SKEW_ALLOWED_S} s of the server's"))
    } else {
        let side = if skew > 0 { "ahead of" } else { "behind" };
        let by = age::duration(skew.unsigned_abs() as f64);
        Finding::warn(
            "clock",
            format!("{by} {side} the server's"),
            "let both machines follow a time server (timedatectl set-ntp true)",
        )
    })
}

async fn ready(client: &Client) -> Finding {
    let todo = "the server's log says why; give it a moment after a start";
    match client.get("/ready").once().send().await {
        Ok(reply) => Finding::ok("ready", parts(&reply.value().unwrap_or_default())),
        // 503 comes with the same document, which names what is missing.
        Err(failure) => Finding::fail(
            "ready",
            serde_json::from_str(&detail(&failure)).map_or(detail(&failure), |value| parts(&value)),
            todo,
        ),
    }
}

fn parts(value: &Value) -> String {
    let checks: Vec<String> = value
        .get("checks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|check| {
            format!(
                "{} {}",
                check.get("name").map(text_of).unwrap_or_default(),
                check.get("detail").map(text_of).unwrap_or_default()
            )
        })
        .collect();
    if checks.is_empty() { "yes".into() } else { checks.join(", ") }
}

async fn identity(client: &Client) -> Finding {
    match client.get("/api/v1/me").once().send().await.and_then(|reply| reply.value()) {
        Ok(me) => {
            let name = me.pointer("/principal/name").map(text_of).unwrap_or_default();
            Finding::ok("token", format!("you are {name}"))
        }
        Err(failure) if failure.status() == Some(401) => Finding::fail(
            "token",
            "the server does not accept it",
            "sign in again: `qd up` on the server's machine writes a context; or set QD_TOKEN",
        ),
        Err(failure) => Finding::fail("token", detail(&failure), "`qd whoami` says more"),
    }
}

async fn engines(client: &Client, now: OffsetDateTime) -> Vec<Finding> {
    let page: Page<Engine> =
        match client.get("/api/v1/engines").once().send().await.and_then(|reply| reply.json()) {
            Ok(page) => page,
            Err(failure) if failure.status() == Some(401) => return Vec::new(),
            Err(failure) => {
                return vec![Finding::fail("engines", detail(&failure), "the server's log says why")];
            }
        };
    page.items.iter().map(|item| engine(item, now)).collect()
}

fn engine(engine: &Engine, now: OffsetDateTime) -> Finding {
    let check = format!("engine {}", engine.name);
    let seen = age::age(engine.observed_at.as_deref(), now);
    let seen = if seen.is_empty() { String::new() } else { format!(", seen {seen} ago") };
    let detail = engine.detail_text();
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let found = format!("{}{seen}{detail}", engine.state);
    match engine.state.as_str() {
        "healthy" => Finding::ok(&check, found),
        "preparing" => Finding::warn(&check, found, "wait: runs start by themselves when it is done"),
        "degraded" => {
            Finding::fail(&check, found, "the detail says what failed; a restart of the server tries again")
        }
        _ => Finding::warn(&check, found, "`qd get engines -o yaml` shows everything"),
    }
}

fn detail(failure: &Failure) -> String {
    match failure {
        Failure::Problem(problem) => problem.detail.clone().unwrap_or_else(|| problem.title.clone()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Verdict;
    use serde_json::json;

    #[test]
    fn an_engine_is_judged_by_its_state() {
        let of = |state: &str| {
            let value = json!({"name": "xenna", "state": state, "detail": "getting ready", "progress": {"step": 2, "total": 4, "title": "install Ray"}, "observed_at": "2026-11-20T11:59:50Z"});
            engine(&serde_json::from_value(value).unwrap(), time::macros::datetime!(2026-11-20 12:00:00 UTC))
        };
        assert_eq!(of("healthy").verdict, Verdict::Ok);
        assert_eq!(of("preparing").found, "preparing, seen 10s ago: step 2 of 4: install Ray");
        assert_eq!(of("unknown").verdict, Verdict::Warn);
        assert_eq!(of("degraded").verdict, Verdict::Fail);
    }

    #[test]
    fn another_version_is_a_warning() {
        assert_eq!(answering("x", &json!({"version": env!("CARGO_PKG_VERSION")})).verdict, Verdict::Ok);
        assert_eq!(answering("x", &json!({"version": "9.9.9"})).verdict, Verdict::Warn);
        assert_eq!(answering("x", &json!({})).verdict, Verdict::Fail);
    }

    #[test]
    fn readiness_names_its_parts() {
        let value = json!({"ready": true, "checks": [{"name": "store", "ok": true, "detail": "answers"}]});
        assert_eq!(parts(&value), "store answers");
    }
}
