//! The session of `qd login`: kept for its owner alone, renewed by whoever needs it, once.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::stand_in::StandIn;

/// A server that knows one refresh token at a time, as the real one does.
#[derive(Clone)]
struct Family(Arc<(Mutex<String>, AtomicUsize)>);

impl Family {
    fn start(expires_in: i64) -> (Self, StandIn) {
        let family = Self(Arc::new((Mutex::new("qdr_1".into()), AtomicUsize::new(1))));
        let grants = family.clone();
        let grant = move |Json(body): Json<Value>| async move {
            let mut next = grants.0.0.lock().unwrap();
            let fits = match body["grant_type"].as_str() {
                Some("password") => body["password"] == "correct horse battery",
                _ => body["refresh_token"] == *next,
            };
            if !fits {
                let problem = json!({ "title": "Not signed in", "status": 401, "code": "bad_refresh_token" });
                return (StatusCode::UNAUTHORIZED, Json(problem));
            }
            let number = grants.0.1.fetch_add(1, Ordering::SeqCst) + 1;
            *next = format!("qdr_{number}");
            let granted = json!({
                "access_token": format!("access.{number}.x"), "token_type": "Bearer", "expires_in": expires_in,
                "refresh_token": *next, "refresh_expires_in": 9999, "principal": { "name": "ann" },
            });
            (StatusCode::OK, Json(granted))
        };
        let me = || async {
            Json(
                json!({ "principal": { "name": "ann", "kind": "user", "roles": [] }, "tenant": {}, "project": {} }),
            )
        };
        let routes = Router::new().route("/api/v1/auth/token", post(grant)).route("/api/v1/me", get(me));
        (family, StandIn::start(routes))
    }

    fn grants(&self) -> usize {
        self.0.1.load(Ordering::SeqCst) - 1
    }
}

fn login(stand_in: &StandIn) {
    let file = stand_in.home().join("password");
    std::fs::write(&file, "correct horse battery\n").unwrap();
    let mut command = stand_in.command(&["login", "ann", "--password-stdin"]);
    let out = command.env_remove("QD_TOKEN").stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_session_is_kept_for_its_owner_and_used() {
    let (family, stand_in) = Family::start(600);
    login(&stand_in);
    let file = stand_in.home().join(".config/quarterdeck/config.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for _ in 0..2 {
        let out = stand_in.command(&["whoami"]).env_remove("QD_TOKEN").output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    assert_eq!(family.grants(), 1, "nothing was renewed that still works");
    let seen = stand_in.seen("GET", "/api/v1/me");
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer access.2.x"));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("qdr_2") && !text.contains("correct horse"), "{text}");
}

#[test]
fn of_many_commands_at_once_one_renews_and_all_go_on() {
    let (family, stand_in) = Family::start(600);
    login(&stand_in);
    let file = stand_in.home().join(".config/quarterdeck/config.json");
    let expired = std::fs::read_to_string(&file).unwrap();
    let mut contexts: Value = serde_json::from_str(&expired).unwrap();
    contexts["contexts"]["default"]["expires_at"] = json!(1);
    std::fs::write(&file, contexts.to_string()).unwrap();
    let commands: Vec<_> = (0..8)
        .map(|_| {
            let mut command = stand_in.command(&["whoami"]);
            command.env_remove("QD_TOKEN").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for command in commands {
        let out = command.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    assert_eq!(family.grants(), 2, "the sign-in, and one renewal for all");
}

#[test]
fn a_session_that_has_ended_says_what_to_do() {
    let (family, stand_in) = Family::start(0);
    login(&stand_in);
    *family.0.0.lock().unwrap() = "qdr_another".into();
    let out = stand_in.command(&["whoami"]).env_remove("QD_TOKEN").output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("the session has ended") && said.contains("qd login"), "{said}");
}
