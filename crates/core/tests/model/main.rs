//! One binary for all tests of the model; each file mirrors a module.

#![allow(clippy::unwrap_used, clippy::panic, reason = "everything here is a test")]

mod audit;
mod canonical;
mod diff;
mod document;
mod error;
mod id;
mod json;
mod name;
mod plan;
mod state;
mod suggest;
mod time;
mod violation;
