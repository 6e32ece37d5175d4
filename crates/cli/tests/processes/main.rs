//! Real `qd serve`: several on one real Postgres and one real NATS, and what clients notice of it when one of them goes; and one
//! with two people at it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

mod audit;
mod faults;
mod plans;
mod roles;
mod rolling;
mod secrets;
mod support;
mod tls;
