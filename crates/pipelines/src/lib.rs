//! The plane for pipelines on Xenna and Ray.

pub mod supervisor;
