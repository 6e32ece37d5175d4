//! The built `qd` against a stand-in of the server that speaks the same REST, to see what a real one rarely does:
//! lost answers, dropped streams, 503. The real server is tested where it lives.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod addresses;
mod apply;
mod archive;
mod can;
mod describe;
mod logs;
mod run;
mod session;
mod stand_in;
mod tenants;
mod usage;
