//! The HTTP face: REST, server-sent events, OpenAPI and the embedded UI. The only crate that knows axum.
//!
//! Handlers parse, call one kernel function and shape the reply. The routes of a kind come from the registry.

mod api;
mod app;
mod boot;
mod drain;
mod edge;
mod http;
mod listen;
mod metrics;
mod openapi;
mod state;
mod ui;

pub use app::app;
pub use boot::{Boot, Server};
pub use edge::{
    EdgeOptions, TlsFiles,
    options::{Class, ClassRate, MAX_CONNECTIONS, Rates, Times},
};
pub use http::tenant_host::BaseDomain;
pub use openapi::document as openapi_document;
pub use state::{App, BuildInfo};
