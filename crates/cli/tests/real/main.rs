//! The binary as a user runs it, with real Xenna and real Ray: killed, stopped, failing, serving.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail by panicking"
)]

mod cluster;
mod crash;
mod environment;
mod failure;
mod serving;
mod specs;
mod stop;
mod support;
mod up;
