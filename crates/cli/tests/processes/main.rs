//! Several real `qd serve` on one real Postgres and one real NATS: what clients notice of it when one of them goes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

mod faults;
mod roles;
mod rolling;
mod support;
