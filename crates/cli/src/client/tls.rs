//! Told apart from a connection that was lost: a server that speaks TLS at an address that says `http://`.
//!
//! It answers the plain words with an alert and closes, which looks like any other connection that breaks, and is tried again
//! for as long. So whoever was never answered looks once more, by hand. A server that says nothing is left at that.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::Client;
use crate::failure::Failure;

/// An alert comes at once, or there is none.
const PATIENCE: Duration = Duration::from_secs(3);
/// The first byte of a TLS record with an alert.
const ALERT: u8 = 0x15;

impl Client {
    /// What to say where it is TLS that was wanted.
    pub(super) async fn tls_wanted(&self, error: &reqwest::Error) -> Option<Failure> {
        let broken = self.server.scheme() == "http" && !error.is_connect() && !error.is_timeout();
        if !broken || self.answered.get() || self.looked.replace(true) || !alerts(&self.server).await {
            return None;
        }
        let server = self.server.as_str().trim_end_matches('/');
        let https = server.replacen("http://", "https://", 1);
        Some(Failure::local_with_help(
            format!("{server} speaks TLS, and was spoken to without it"),
            format!("use {https}: by --server or QD_SERVER, or `qd context set NAME --server {https}`"),
        ))
    }

    /// Why a request came to nothing.
    pub(super) async fn lost(&self, error: &reqwest::Error) -> Failure {
        self.tls_wanted(error).await.unwrap_or_else(|| self.unreachable(error))
    }
}

async fn alerts(server: &Url) -> bool {
    let first = async {
        let host = match server.host()? {
            Host::Ipv6(ip) => ip.to_string(),
            host => host.to_string(),
        };
        let mut stream = TcpStream::connect((host, server.port_or_known_default()?)).await.ok()?;
        stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await.ok()?;
        stream.read_u8().await.ok()
    };
    matches!(tokio::time::timeout(PATIENCE, first).await, Ok(Some(ALERT)))
}
