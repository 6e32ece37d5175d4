//! The HTTP face, from outside: a real server on a free port, the sample kind, the fake engine.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

mod http {
    mod access;
    mod audit;
    mod audit_coverage;
    mod bodies;
    mod coverage;
    mod edges;
    mod federation;
    mod oidc;
    mod people;
    mod plans;
    mod resources;
    mod reviews;
    mod runs;
    mod secrets;
    mod sharing;
    mod storm;
    mod streams;
    mod support;
    mod tenancy;
    mod tenants;
    mod tokens;
}
