//! The kernel from outside, on SQLite and on Postgres: one file for each noun.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail by panicking")]

mod apply;
mod audit;
mod bus;
mod clocks;
mod connections;
mod consumers;
mod credentials;
mod drain;
mod events;
mod explain;
mod idempotency;
mod jobs;
mod jobs_crash;
mod locks;
mod log_places;
mod logs;
mod mutation;
mod notifications;
mod observer;
mod pages;
mod people;
mod plans;
mod policies;
mod quotas;
mod resources;
mod retention;
mod reviews;
mod revisions;
mod runs;
mod schedules;
mod scope;
mod secrets;
mod secrets_places;
mod secrets_rotation;
mod secrets_vault;
mod sharing;
mod slots;
mod subscriptions;
mod teams;
mod tenants;
mod tenants_delete;
mod tokens;
mod undo;
