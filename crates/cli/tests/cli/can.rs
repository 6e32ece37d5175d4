//! `qd auth can-i`: the level that an action is done at decides.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::stand_in::{StandIn, stderr, stdout};

/// A server that answers so, to somebody who holds the role in the project and in the tenant.
fn server(level: &str, object: Option<bool>, because: &[&str]) -> StandIn {
    let because: Vec<Value> = because.iter().map(|sentence| json!({ "sentence": sentence })).collect();
    let told = json!({
        "level": level, "project": true, "tenant": true, "platform": false, "object": object,
        "because": because, "roles": [], "allowed_by": ["PLATFORM_ADMIN"],
    });
    StandIn::start(Router::new().route("/api/v1/auth/can-i", get(move || async move { Json(told) })))
}

#[test]
fn what_is_done_to_the_platform_is_not_allowed_by_a_project() {
    let out = server("platform", None, &[]).run(&["auth", "can-i", "users.create"]);
    assert_eq!((stdout(&out).as_str(), out.status.code()), ("no\n", Some(2)), "{}", stderr(&out));
    assert!(stderr(&out).contains("roles that allow it: PLATFORM_ADMIN"), "{}", stderr(&out));

    let out =
        server("platform", None, &["the policy night forbids it"]).run(&["auth", "can-i", "users.create"]);
    assert_eq!((stdout(&out).as_str(), out.status.code()), ("no\n", Some(2)), "{}", stderr(&out));
    assert!(stderr(&out).contains("the policy night forbids it"), "{}", stderr(&out));
    assert!(!stderr(&out).contains("roles that allow it"), "{}", stderr(&out));
}

#[test]
fn what_is_allowed_at_its_level_is_told_with_every_place() {
    for level in ["project", "tenant"] {
        let out =
            server(level, None, &["through the role TENANT_ADMIN"]).run(&["auth", "can-i", "teams.create"]);
        let said = (stdout(&out), out.status.code());
        assert_eq!(said, ("yes (project, tenant)\n".to_owned(), Some(0)), "{level}: {}", stderr(&out));
        assert!(stderr(&out).contains("through the role TENANT_ADMIN"), "{}", stderr(&out));
    }
}

#[test]
fn of_an_object_its_own_answer_is_told() {
    let words = ["auth", "can-i", "pipelines.publish", "pipelines/curate"];
    let out = server("project", Some(false), &[]).run(&words);
    assert_eq!((stdout(&out).as_str(), out.status.code()), ("no\n", Some(2)), "{}", stderr(&out));
    let out = server("project", Some(true), &[]).run(&words);
    assert_eq!((stdout(&out).as_str(), out.status.code()), ("yes (pipelines/curate)\n", Some(0)));
}
