//! The REST client: one request at a time, retried where that is safe, with errors that a person can read.
//!
//! Every request carries the command's correlation id and a request id of its own. A POST that creates a job carries
//! an `Idempotency-Key` made once, so that a retry after a lost answer starts nothing twice. What is not safe to
//! repeat is not repeated. Streams are [`follow`]'s part.

pub mod download;
pub mod follow;
pub mod problem;
pub mod retry;
pub mod session;
pub mod shapes;
pub mod sse;
mod tls;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::clock::Clock;
use crate::context::Access;
use crate::failure::Failure;
use crate::output::Out;
use problem::Problem;
use retry::{Attempt, Policy};
use session::Session;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for one answer that is not a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// One path segment, safe for any name or run reference (`curate#42`).
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Refuses a path that would lead to another route than the one it was made for: `.` and `..` are resolved in every URL,
/// however they are encoded, and behind a part that is empty lies the collection.
fn check_path(path: &str) -> Result<(), Failure> {
    match path.split('/').skip(1).find(|part| matches!(*part, "" | "." | "..")) {
        None => Ok(()),
        Some(part) => Err(Failure::usage(format!("{part:?} is neither a name nor an id of anything"))),
    }
}

pub struct Client {
    http: reqwest::Client,
    server: Url,
    session: Session,
    clock: Clock,
    out: Out,
    /// Whether this process has had an answer: then a refused connection is a restart, not a wrong address.
    answered: Cell<bool>,
    /// Whether it was looked whether the server speaks TLS.
    looked: Cell<bool>,
}

/// An answer with a body that was read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    server: String,
    body: Vec<u8>,
}

impl Reply {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::Answer { server: self.server.clone(), detail: error.to_string() })
    }

    pub fn value(&self) -> Result<Value, Failure> {
        self.json()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The roots that a file holds.
fn roots(file: &Path) -> Result<Vec<Certificate>, Failure> {
    let wrong = |why: String| Failure::local(format!("read the roots in {}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) => Err(wrong("it holds no certificate".into())),
        Err(error) => Err(wrong(chain(&error))),
    }
}

impl Client {
    pub fn new(access: &Access, clock: Clock, out: Out) -> Result<Self, Failure> {
        if access.token.is_some() {
            access.warn_of_http(out);
        }
        // An error means that a provider is installed already, which is all that is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("qd/", env!("CARGO_PKG_VERSION")));
        if access.server.scheme() == "http" {
            // No TLS is spoken, so a machine without root certificates is no obstacle.
            builder = builder.tls_certs_only([]);
        }
        if let Some(file) = &access.cacert {
            builder = builder.tls_certs_only(roots(file)?);
        }
        if access.is_loopback() {
            builder = builder.no_proxy();
        }
        let http =
            builder.build().map_err(|error| Failure::local(format!("set up HTTP: {}", chain(&error))))?;
        Ok(Self {
            http,
            server: access.server.clone(),
            session: Session::new(fixed_headers(access, &clock)?, access),
            clock,
            out,
            answered: Cell::new(false),
            looked: Cell::new(false),
        })
    }

    pub fn server(&self) -> &Url {
        &self.server
    }

    pub fn get(&self, path: &str) -> Request<'_> {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Request<'_> {
        self.request(Method::POST, path)
    }

    pub fn request(&self, method: Method, path: &str) -> Request<'_> {
        Request {
            client: self,
            repeatable: method.is_idempotent(),
            method,
            path: path.to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
            timeout: ANSWER_TIMEOUT,
            policy: Policy::default(),
        }
    }

    /// GETs and decodes.
    pub async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.get(path).send().await?.json()
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        check_path(path)?;
        let mut url = self.server.clone();
        let base = self.server.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        Ok(url)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let server = self.server.as_str().trim_end_matches('/').to_owned();
        if error.is_decode() || error.is_builder() {
            return Failure::Answer { server, detail: chain(error) };
        }
        Failure::Unreachable {
            server,
            detail: if error.is_timeout() { "no answer in time".into() } else { chain(error) },
        }
    }
}

/// A request being built; `send` carries it out, as often as is safe and useful.
pub struct Request<'c> {
    client: &'c Client,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Option<Arc<[u8]>>,
    repeatable: bool,
    timeout: Duration,
    policy: Policy,
}

impl Request<'_> {
    #[must_use]
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    #[must_use]
    pub fn maybe_query(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.body(value.to_string().into_bytes(), "application/json")
    }

    #[must_use]
    pub fn body(mut self, bytes: Vec<u8>, content_type: &'static str) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(bytes.into());
        self
    }

    /// Sends the key `given`, or one made now, with every attempt: the job is created once.
    pub fn idempotent(mut self, given: Option<&str>) -> Result<Self, Failure> {
        let key = given.map_or_else(|| self.client.clock.id().to_string(), str::to_owned);
        let value = HeaderValue::from_str(&key)
            .map_err(|_| Failure::usage(format!("{key:?} cannot be an idempotency key")))?;
        self.headers.insert(HeaderName::from_static("idempotency-key"), value);
        self.repeatable = true;
        Ok(self)
    }

    /// Changes only what still has this ETag.
    pub fn if_match(mut self, etag: &str) -> Result<Self, Failure> {
        let value = HeaderValue::from_str(etag)
            .map_err(|_| Failure::local(format!("the server's ETag {etag:?} cannot be sent back")))?;
        self.headers.insert(HeaderName::from_static("if-match"), value);
        Ok(self)
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives up at the first obstacle.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.policy = Policy::once();
        self
    }

    /// Sends it and reads the answer; anything but 2xx is a [`Failure`].
    pub async fn send(self) -> Result<Reply, Failure> {
        let url = self.client.url(&self.path)?;
        let mut attempt = Attempt::new(self.policy.clone(), self.client.answered.get());
        loop {
            self.client.renew().await?;
            let failure = match self.once_over(&url).await {
                Ok(reply) if reply.status.is_success() => return Ok(reply),
                Ok(reply) => {
                    let problem = problem_of(&reply);
                    // The server builds a failed environment again by itself, but what is wrong is mostly the
                    // requirement: whoever asked is told at once instead of being kept. A process without the role has
                    // none later either.
                    let passes = reply.status == StatusCode::SERVICE_UNAVAILABLE
                        && !matches!(problem.code.as_str(), "environment_failed" | "role_absent");
                    let wait = (self.repeatable && passes)
                        .then(|| attempt.after_unavailable(reply.header("retry-after")))
                        .flatten();
                    match wait {
                        Some(wait) => {
                            self.client.out.note(&retry::waiting_line(&problem, wait));
                            tokio::time::sleep(wait).await;
                            continue;
                        }
                        None => Failure::Problem(Box::new(problem)),
                    }
                }
                Err(error) => {
                    if let Some(failure) = self.client.tls_wanted(&error).await {
                        return Err(failure);
                    }
                    let safe = self.repeatable || error.is_connect();
                    match safe.then(|| attempt.after_lost(error.is_connect())).flatten() {
                        Some(wait) => {
                            if attempt.worth_telling() {
                                self.client
                                    .out
                                    .note(&format!("{}; trying again", self.client.unreachable(&error)));
                            }
                            tokio::time::sleep(wait).await;
                            continue;
                        }
                        None => self.client.unreachable(&error),
                    }
                }
            };
            return Err(failure);
        }
    }

    async fn once_over(&self, url: &Url) -> Result<Reply, reqwest::Error> {
        let client = self.client;
        let mut request = client
            .http
            .request(self.method.clone(), url.clone())
            .query(&self.query)
            .headers(client.session.headers())
            .headers(self.headers.clone())
            .header("x-request-id", client.clock.id().to_string())
            .timeout(self.timeout);
        if let Some(body) = &self.body {
            request = request.body(body.to_vec());
        }
        let response = request.send().await?;
        client.answered.set(true);
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.bytes().await?.to_vec();
        Ok(Reply { status, headers, server: client.server.to_string(), body })
    }
}

fn fixed_headers(access: &Access, clock: &Clock) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, text: &str, what: &str| {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| Failure::local(format!("the {what} has characters that HTTP does not carry")))?;
        value.set_sensitive(name == "authorization");
        headers.insert(HeaderName::from_static(name), value);
        Ok::<_, Failure>(())
    };
    if let Some(token) = &access.token {
        put(AUTHORIZATION.as_str(), &format!("Bearer {token}"), "token")?;
    }
    if let Some(tenant) = &access.tenant {
        put("x-tenant-id", tenant, "tenant")?;
    }
    if let Some(project) = &access.project {
        put("x-project-id", project, "project")?;
    }
    put("x-correlation-id", &clock.id().to_string(), "correlation id")?;
    Ok(headers)
}

/// The problem document of an answer that is not 2xx, also when it has none.
pub fn problem_of(reply: &Reply) -> Problem {
    let fallback = || Problem::of_status(reply.status.as_u16(), &String::from_utf8_lossy(&reply.body));
    let mut problem = match serde_json::from_slice::<Problem>(&reply.body) {
        Ok(problem) if !problem.title.is_empty() || problem.detail.is_some() => problem,
        _ => fallback(),
    };
    problem.status = reply.status.as_u16();
    if problem.title.is_empty() {
        problem.title = format!("the server answered {}", reply.status.as_u16());
    }
    if problem.code.is_empty() {
        problem.code = format!("http_{}", reply.status.as_u16());
    }
    if problem.correlation_id.is_none() {
        problem.correlation_id = reply.header("x-correlation-id").map(str::to_owned);
    }
    problem
}

/// The last cause of an error, which says most ("Connection refused"), without the URL.
fn chain(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_carries_any_reference() {
        assert_eq!(segment("curate#42"), "curate%2342");
        assert_eq!(segment("sha256:ab/.."), "sha256:ab%2F..");
        assert_eq!(segment("a b?c"), "a%20b%3Fc");
    }

    #[test]
    fn a_path_leads_to_no_other_route() {
        for name in ["curate", "curate#42", "a/../b", "...", ".a", "%2e%2e", "sha256:ab", "\\..", ".\t."] {
            let path = format!("/api/v1/users/{}/tokens", segment(name));
            check_path(&path).unwrap();
            let mut url = Url::parse("http://127.0.0.1/base/").unwrap();
            url.set_path(&path);
            assert_eq!(url.path(), path, "{name}");
        }
        for name in ["", ".", ".."] {
            for path in [format!("/api/v1/users/{}", segment(name)), format!("/api/v1/users/{name}/tokens")] {
                assert!(matches!(check_path(&path), Err(Failure::Usage(_))), "{path}");
            }
        }
    }
}
