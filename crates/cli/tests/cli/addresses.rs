//! What is named on the command line leads to the route of its verb and to no other.

use axum::Router;

use crate::stand_in::{StandIn, stderr};

#[test]
fn what_is_no_path_of_a_secret_is_not_sent() {
    let server = StandIn::start(Router::new());
    for path in
        ["../members/carl/AIOPS_ENGINEER", "a/../../members/carl/viewer", "..", "a//b", "%2e%2e/me", ""]
    {
        for verb in ["set", "delete"] {
            let refused = server.run(&["secrets", verb, path]);
            assert_eq!(refused.status.code(), Some(64), "{verb} {path}: {}", stderr(&refused));
            assert!(stderr(&refused).contains("such as warehouse/password"), "{}", stderr(&refused));
        }
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert!(server.seen(method, "/").is_empty(), "{method}");
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_not_sent() {
    let server = StandIn::start(Router::new());
    for words in [
        &["members", "grant", "..", "viewer"][..],
        &["members", "grant", "ann", ".."][..],
        &["members", "revoke", "", "viewer"][..],
        &["teams", "delete", ".."][..],
        &["teams", "add", "core", "."][..],
        &["users", "suspend", ".."][..],
        &["users", "invite", ".."][..],
        &["auth", "revoke", ".."][..],
        &["jobs", "cancel", ".."][..],
        &["connections", "test", ".."][..],
        &["tenants", "delete", "..", "--confirm", "..", "--reason", "gone"][..],
    ] {
        let refused = server.run(words);
        assert_eq!(refused.status.code(), Some(64), "{words:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("is neither a name nor an id"), "{words:?}: {}", stderr(&refused));
    }
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(server.seen(method, "/").is_empty(), "{method}");
    }
}
