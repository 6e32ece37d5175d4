//! The binary as a user runs it, with real Xenna and real Ray: killed, stopped, failing, serving.

mod crash;
mod failure;
mod serving;
mod specs;
mod stop;
mod support;
