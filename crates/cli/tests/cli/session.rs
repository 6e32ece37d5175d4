//! The session of `qd login`: kept for its owner alone, renewed by whoever needs it, once.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::stand_in::StandIn;

/// A server that knows one refresh token at a time, as the real one does.
#[derive(Clone)]
struct Family(Arc<(Mutex<String>, AtomicUsize, AtomicBool)>);

impl Family {
    fn start(expires_in: i64) -> (Self, StandIn) {
        let family = (Mutex::new("qdr_1".into()), AtomicUsize::new(1), AtomicBool::new(false));
        let family = Self(Arc::new(family));
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
        let ends = family.clone();
        let sign_out = move || async move {
            if ends.0.2.swap(false, Ordering::SeqCst) {
                return StatusCode::UNAUTHORIZED;
            }
            // Nobody has the token that comes next.
            let known = !std::mem::take(&mut *ends.0.0.lock().unwrap()).is_empty();
            if known { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED }
        };
        let me = || async {
            Json(
                json!({ "principal": { "name": "ann", "kind": "user", "roles": [] }, "tenant": {}, "project": {} }),
            )
        };
        let routes = Router::new()
            .route("/api/v1/auth/token", post(grant))
            .route("/api/v1/auth/sign-out", post(sign_out))
            .route("/api/v1/me", get(me));
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

/// What `qd logout` says and exits with, and the context afterwards.
fn logout(stand_in: &StandIn, words: &[&str]) -> (Option<i32>, String, Value) {
    let words: Vec<&str> = ["logout"].iter().chain(words).copied().collect();
    // Somebody else's token is not the one that is ended.
    let out = stand_in.command(&words).env_remove("QD_SERVER").output().unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap(), kept(stand_in))
}

fn kept(stand_in: &StandIn) -> Value {
    let text = std::fs::read_to_string(stand_in.home().join(".config/quarterdeck/config.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["contexts"]["default"].clone()
}

#[test]
fn signing_out_ends_the_session_there_and_forgets_it_here() {
    let (family, stand_in) = Family::start(600);
    login(&stand_in);
    let (code, said, context) = logout(&stand_in, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("signed out at http://127.0.0.1:"), "{said}");
    assert_eq!(*family.0.0.lock().unwrap(), "", "the server was asked");
    assert_eq!(context, json!({ "server": format!("http://{}", stand_in.address) }));
    let seen = stand_in.seen("POST", "/api/v1/auth/sign-out");
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer access.2.x"));
    let (code, said, _) = logout(&stand_in, &[]);
    assert_eq!((code, said.contains("keeps no session")), (Some(64), true), "{said}");
}

#[test]
fn a_session_that_is_over_already_is_forgotten() {
    // By the access token, which still looks good; and by the refresh token, which comes first.
    for expires_in in [600, 0] {
        let (family, stand_in) = Family::start(expires_in);
        login(&stand_in);
        family.0.0.lock().unwrap().clear();
        let (code, said, context) = logout(&stand_in, &[]);
        assert_eq!((code, said.contains("had ended already")), (Some(0), true), "{said}");
        assert!(context["token"].is_null() && context["refresh"].is_null(), "{context}");
    }
}

#[test]
fn a_session_is_not_over_because_its_access_token_is_refused() {
    let (family, stand_in) = Family::start(600);
    login(&stand_in);
    family.0.2.store(true, Ordering::SeqCst);
    let (code, said, context) = logout(&stand_in, &[]);
    assert_eq!((code, said.contains("signed out at")), (Some(0), true), "{said}");
    assert_eq!(family.grants(), 2, "it was renewed, and ended by the new token");
    assert_eq!(*family.0.0.lock().unwrap(), "");
    assert!(context["token"].is_null() && context["refresh"].is_null(), "{context}");
}

#[test]
fn without_its_server_a_session_is_forgotten_only_where_that_is_meant() {
    let (_, stand_in) = Family::start(600);
    login(&stand_in);
    let file = stand_in.home().join(".config/quarterdeck/config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&stand_in.address.to_string(), "127.0.0.1:9")).unwrap();
    let (code, said, context) = logout(&stand_in, &[]);
    assert_eq!((code, said.contains("qd logout --local")), (Some(2), true), "{said}");
    assert_eq!(context["refresh"], "qdr_2");
    let (code, said, context) = logout(&stand_in, &["--local"]);
    assert_eq!((code, said.contains("30 days")), (Some(0), true), "{said}");
    assert!(context["token"].is_null() && context["refresh"].is_null(), "{context}");
}

#[test]
fn who_takes_a_session_out_of_its_context_is_told_that_it_lives_on() {
    let (_, stand_in) = Family::start(600);
    login(&stand_in);
    let out = stand_in.command(&["context", "remove", "default"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("the session that default kept lives on"), "{said}");
}

#[test]
fn a_token_that_was_made_for_a_program_is_not_signed_out_of() {
    let (_, stand_in) = Family::start(600);
    login(&stand_in);
    let file = stand_in.home().join(".config/quarterdeck/config.json");
    let mut contexts: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    contexts["contexts"]["default"].as_object_mut().unwrap().remove("refresh");
    std::fs::write(&file, contexts.to_string()).unwrap();
    let (code, said, context) = logout(&stand_in, &[]);
    assert_eq!((code, said.contains("qd auth revoke ID")), (Some(64), true), "{said}");
    assert_eq!(context["token"], "access.2.x");
    assert!(stand_in.seen("POST", "/api/v1/auth/sign-out").is_empty());
}
