//! The storm: three servers on one Postgres and one NATS, all of which are killed again and again while many jobs with
//! conflicting locks are asked for and carried out.
//!
//! A short form runs with all tests. `./x test --storm [--seed N]` is the long one. The seed draws everything that is chosen: what
//! is asked, when, and who is killed; what the machine's scheduler makes of it is its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

mod storm {
    mod calm;
    mod chaos;
    mod clients;
    mod ledger;
    mod plan;
    mod run;
}
#[path = "support/process.rs"]
mod process;
