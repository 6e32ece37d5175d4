//! The model of Quarterdeck as pure Rust: what the nouns are, which moves they may make, how their content is
//! hashed and compared, and how anything that is wrong with them is said.
//!
//! Everything above (store, planes, server, CLI) shares these types, so that a rule is written once.
//!
//! *Invariant*: no IO, no clock, no randomness, no async. The same inputs give the same bytes.

pub mod audit;
pub mod canonical;
pub mod cursor;
pub mod diff;
pub mod document;
pub mod error;
pub mod headers;
pub mod id;
pub mod name;
pub mod plan;
pub mod secret_ref;
pub mod state;
pub mod suggest;
pub mod time;
pub mod violation;

pub use canonical::Digest;
pub use document::{API_VERSION, Document, Metadata};
pub use error::{Error, ErrorKind, Result};
pub use id::{
    AuditId, EventId, JobId, PrincipalId, ProjectId, ResourceId, RevisionId, RunId, RunRef, TenantId,
};
pub use name::Name;
pub use time::Timestamp;
pub use violation::{Pointer, Violation};
