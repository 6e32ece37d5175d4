//! Calls to those whom the operator trusts.
//!
//! Their addresses stand in the operator's own files, so private ones and loopback are called; link-local ones, where clouds keep
//! credentials, are not, unless their network is named (`--allow-network`). As with every call to outside no redirect is
//! followed and no proxy used, and an answer has a bound in time and in size.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::BytesMut;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http};
use qd_core::error::{Error, Result};
use reqwest::Client;

use crate::outbound::{self, Outbound, OutboundOptions};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes.
const LARGEST: usize = 1024 * 1024;

#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    outbound: Outbound,
}

/// A call that had no answer, in words that hold nothing of what was sent.
#[derive(Debug)]
pub(super) struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

impl Http {
    pub fn new(options: &OutboundOptions) -> Result<Self> {
        let outbound =
            Outbound::new(&OutboundOptions { private: Some(true), networks: options.networks.clone() }, true);
        Ok(Self { client: outbound.client()?, outbound })
    }

    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let lost = |error: reqwest::Error| NoAnswer(outbound::failure(&error).detail);
        let url = self.outbound.url(&request.uri().to_string()).map_err(|error| NoAnswer(error.detail))?;
        let (parts, body) = request.into_parts();
        let sent = self.client.request(parts.method, url).headers(parts.headers).body(body).timeout(TIMEOUT);
        let mut reply = sent.send().await.map_err(lost)?;
        let mut answer = http::Response::new(vec![]);
        *answer.status_mut() = reply.status();
        *answer.headers_mut() = reply.headers().clone();
        let mut read = BytesMut::new();
        while let Some(chunk) = reply.chunk().await.map_err(lost)? {
            if read.len() + chunk.len() > LARGEST {
                return Err(NoAnswer("its answer is too large".into()));
            }
            read.extend_from_slice(&chunk);
        }
        *answer.body_mut() = read.to_vec();
        Ok(answer)
    }

    /// GETs, with a bearer token where there is one.
    pub async fn get(&self, url: &str, token: Option<&str>) -> Result<HttpResponse, NoAnswer> {
        let mut request = http::Request::builder().uri(url).header("accept", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(vec![]).map_err(|_| NoAnswer("its address cannot be called".into()))?;
        self.send(request).await
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl From<NoAnswer> for Error {
    fn from(error: NoAnswer) -> Self {
        Self::unavailable("provider_unavailable", error.0)
    }
}
