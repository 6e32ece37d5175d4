//! The crash matrix: every operation that there is, killed by SIGKILL at every place where that could matter, on SQLite and
//! on Postgres. Each job ends, each effect is counted once, locks are free, audit and events are complete.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

mod crash {
    mod ledger;
    mod matrix;
    mod scenarios;
    mod stage;
}
#[path = "support/api.rs"]
mod api;
#[path = "support/process.rs"]
mod process;
