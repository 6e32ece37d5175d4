//! The plane for pipelines on Xenna and Ray: what a pipeline is, whether it can work, and how its runs are carried
//! out.

pub mod code;
pub mod describe;
pub mod engine;
pub mod environment;
pub mod kinds;
pub mod params;
pub mod run_file;
pub mod spec;
pub mod supervisor;
pub mod target;
pub mod templates;
pub mod validate;

mod bounded;
mod conformance;
