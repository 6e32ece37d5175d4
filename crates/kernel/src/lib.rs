//! The model made durable: everything of DESIGN's six nouns that must survive a crash.
//!
//! The kernel knows no plane. Planes register [`kind::Kind`]s, [`operation::Operation`]s and [`engine::RunEngine`]s in a
//! [`registry::Registry`]; REST routes, CLI verbs, OpenAPI, audit and access actions all come from there.
//! Every change of state goes through [`mutation`]: access check, audit record and event in the transaction of the change.
//!
//! Deliberately absent: HTTP, the names of planes, time series (a run's own bounded charts are the one exception).

pub mod access;
pub mod apply;
pub mod audit;
pub mod bus;
pub mod changes;
pub mod clock;
pub mod code;
pub mod connections;
pub mod context;
pub mod credentials;
mod duties;
pub mod engine;
pub mod events;
pub mod explain;
pub mod failpoint;
pub mod federation;
pub mod idempotency;
pub mod jobs;
pub mod jwt;
pub mod kernel;
pub mod kind;
pub mod logs;
pub mod mutation;
pub mod notifications;
mod objects;
pub mod observer;
pub mod operation;
pub mod operations;
pub mod outbound;
pub mod page;
pub mod plans;
pub mod policies;
mod private_file;
mod query;
pub mod quotas;
mod reckoning;
pub mod registry;
pub mod resources;
pub mod retention;
pub mod reviews;
pub mod revisions;
pub mod roles;
pub mod runs;
pub mod schedules;
pub mod secrets;
mod slots;
pub mod store;
pub mod subscriptions;
pub mod tenants;

pub use kernel::{Kernel, KernelOptions};
pub use qd_core::error::{Error, ErrorKind, Result};
