//! What stands before every route: from whom a request comes, how many of them, how large, how slowly, and over what.
//!
//! All of it is decided before a handler runs and knows nothing of what the handler does. Who may do what is decided
//! elsewhere: here a caller is only a key to count by. The numbers are in memory and each process counts for itself.

pub mod address;
pub mod body;
pub mod certificate;
pub mod connections;
pub mod cors;
pub mod headers;
pub mod limits;
pub mod options;
pub mod requests;
pub mod serve;

use std::sync::Arc;

use axum::http::HeaderValue;
use ipnet::IpNet;
use qd_core::error::Result;
use qd_kernel::clock::Source;

pub use options::{EdgeOptions, TlsFiles};

use crate::metrics::Metrics;
use certificate::Certificate;
use connections::Connections;
use limits::Limits;
use options::Times;

/// The edges of one server.
pub struct Edge {
    pub times: Times,
    pub trusted: Vec<IpNet>,
    pub origins: Vec<HeaderValue>,
    pub limits: Limits,
    pub connections: Arc<Connections>,
    /// None where TLS is somebody else's, or nobody's.
    pub certificate: Option<Arc<Certificate>>,
}

impl Edge {
    /// # Errors
    /// `bad_cors_origin`, `bad_certificate`.
    pub fn new(options: &EdgeOptions, source: Source, metrics: &Arc<Metrics>) -> Result<Self> {
        let certificate = options.tls.as_ref().map(|files| Certificate::load(files, source)).transpose()?;
        Ok(Self {
            times: options.times.clone(),
            trusted: options.trusted_proxies.clone(),
            origins: cors::origins(&options.cors_origins)?,
            limits: Limits::new(&options.rates, metrics.clone()),
            connections: Connections::new(
                options.max_connections,
                options.trusted_proxies.clone(),
                metrics.clone(),
            ),
            certificate: certificate.map(Arc::new),
        })
    }
}
