//! The plane for pipelines on Xenna and Ray: what a pipeline is, whether it can work, and how its runs are carried
//! out.

pub mod code;
pub mod describe;
pub mod environment;
pub mod params;
pub mod spec;
pub mod supervisor;
pub mod validate;

mod bounded;
mod conformance;
