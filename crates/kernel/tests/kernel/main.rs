//! The kernel from outside, on SQLite and on Postgres: one file for each noun.

mod apply;
mod credentials;
mod events;
mod idempotency;
mod jobs;
mod jobs_crash;
mod logs;
mod mutation;
mod observer;
mod pages;
mod resources;
mod retention;
mod revisions;
mod runs;
mod scope;
