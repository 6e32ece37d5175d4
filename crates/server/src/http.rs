//! What stands between a request and its handler: ids, errors, who calls, bodies, conditions, streams.

pub mod body;
pub mod caller;
pub mod condition;
pub mod denials;
pub mod dry_run;
pub mod ids;
pub mod path;
pub mod problem;
pub mod query;
pub mod sse;
pub mod tenant_host;
pub mod tenant_path;
