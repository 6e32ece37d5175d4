//! What tests share: real services started on free ports, and a database for each test. A dev-dependency only, so
//! it may panic where a test would.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "only tests use it")]

pub mod database;
pub mod postgres;

pub use database::TestDatabase;
