//! The Ray Jobs REST API, as far as it is used here (read from Ray 2.60, tried on a real head).
//!
//! What Ray answers is sorted into four kinds of fault, because they mean different things for a run: a head that cannot be
//! reached ends none, a refused token will not get better by itself, a job that is not there may be lost.
//!
//! The token goes into one header and nowhere else. Redirects are not followed, so it goes to no other address.

use std::time::Duration;

use qd_core::error::{Error, clip};
use qd_kernel::outbound::{self, Outbound};
use qd_kernel::secrets::Secret;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use reqwest_websocket::{Upgrade as _, WebSocket};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::log_body::LogBody;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);
/// Code, runner and run file at 32 MiB each may take their time.
const UPLOAD: Duration = Duration::from_mins(3);
/// Bytes of an answer that is no log; one that is longer is not Ray's.
const SHORT: usize = 16 << 20;
/// Characters of Ray's own words that are repeated.
const SHOWN: usize = 500;

/// One cluster's Jobs API.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    address: String,
    token: Option<Secret>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody answers, or not like Ray: nothing is known.
    Unreachable(String),
    /// 401 or 403.
    Token,
    NotFound,
    /// Ray does not take the request as it is.
    Refused(String),
}

/// What Ray says of a job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub status: String,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub error_type: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub end_time: Option<i64>,
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub driver_exit_code: Option<i32>,
}

impl Job {
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.as_str(), "SUCCEEDED" | "FAILED" | "STOPPED")
    }
}

/// A client for all clusters, which calls no address that the operator does not allow.
pub(super) fn client(outbound: &Outbound) -> Result<Client, Error> {
    // A WebSocket begins as HTTP/1.1.
    let built = outbound.guard(Client::builder()).connect_timeout(CONNECT).http1_only().build();
    let failed =
        |error| Error::unavailable("no_http_client", "make a client for Ray clusters").with_source(error);
    built.map_err(failed)
}

impl Api {
    pub fn new(client: &Client, address: &str, token: Option<Secret>) -> Self {
        Self { client: client.clone(), address: address.trim_end_matches('/').to_owned(), token }
    }

    /// Ray's version.
    pub async fn version(&self, within: Duration) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Version {
            ray_version: String,
        }
        let answer = self.send(self.ask(Method::GET, "/api/version").timeout(within)).await?;
        Ok(self.json::<Version>(answer).await?.ray_version)
    }

    /// Puts a package there unless it is there; asking keeps Ray from removing it for ten minutes.
    pub async fn package_put(&self, name: &str, zip: Vec<u8>) -> Result<(), Fault> {
        let path = format!("/api/packages/gcs/{name}");
        match self.send(self.ask(Method::GET, &path)).await {
            Err(Fault::NotFound) => {}
            other => return other.map(drop),
        }
        self.send(self.ask(Method::PUT, &path).body(zip).timeout(UPLOAD)).await.map(drop)
    }

    /// Of two that submit the same id, one succeeds; the other learns that it is there, by false.
    pub async fn submit(&self, job: &Value) -> Result<bool, Fault> {
        let answer = self.ask(Method::POST, "/api/jobs/").json(job).send().await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(true),
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::INTERNAL_SERVER_ERROR => {
                let status = answer.status();
                let text = words(answer).await;
                // Other things may exist already; Ray names what does.
                let id = job["submission_id"].as_str().unwrap_or_default();
                if text.lines().any(|line| line.contains("already exists") && line.contains(id)) {
                    return Ok(false);
                }
                let said = last_line(&text);
                // The head passes on what its agent refused as an error of its own.
                if status == StatusCode::BAD_REQUEST || text.contains("status code 400") {
                    return Err(Fault::Refused(said));
                }
                Err(Fault::Unreachable(format!("{} answers {status}: {said}", self.address)))
            }
            _ => Err(self.fault(answer).await),
        }
    }

    pub async fn job(&self, id: &str) -> Result<Job, Fault> {
        let answer = self.send(self.ask(Method::GET, &format!("/api/jobs/{id}"))).await?;
        self.json(answer).await
    }

    /// Asks a job to end; one that has ended stays as it is.
    pub async fn stop(&self, id: &str) -> Result<(), Fault> {
        self.send(self.ask(Method::POST, &format!("/api/jobs/{id}/stop"))).await.map(drop)
    }

    /// What the job has said after the first `from` bytes, and whether that is all: no more than `most` bytes, and a few, are
    /// given at once. Ray hands out the whole each time, so what comes before is read and dropped.
    pub async fn logs(&self, id: &str, from: u64, most: usize) -> Result<(String, bool), Fault> {
        let request = self.ask(Method::GET, &format!("/api/jobs/{id}/logs")).timeout(UPLOAD);
        let mut answer = self.send(request).await?;
        let mut body = LogBody::new(from);
        while let Some(piece) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.feed(&piece);
            if body.text.len() >= most {
                return Ok((body.text, false));
            }
        }
        if body.is_whole() { Ok((body.text, true)) } else { Err(self.unlike_ray()) }
    }

    /// The same from the beginning on, and then as it grows, until the job has ended.
    pub async fn tail(&self, id: &str) -> Result<WebSocket, Fault> {
        // No time limit on the whole: it lasts as long as the job.
        let request = self.client.get(format!("{}/api/jobs/{id}/logs/tail", self.address));
        let upgraded = tokio::time::timeout(ANSWER, self.authorised(request).upgrade().send()).await;
        let silent = || Fault::Unreachable(format!("{} does not answer in time", self.address));
        let answer = upgraded.map_err(|_| silent())?.map_err(|error| self.no_socket(&error))?;
        answer.into_websocket().await.map_err(|error| self.no_socket(&error))
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.authorised(self.client.request(method, format!("{}{path}", self.address)).timeout(ANSWER))
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        let Some(token) = &self.token else { return request };
        match HeaderValue::try_from(format!("Bearer {}", token.expose())) {
            Ok(mut value) => {
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            // A secret is one word of ASCII, so this does not come about.
            Err(_) => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.fault(answer).await) }
    }

    async fn fault(&self, answer: Response) -> Fault {
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::Token,
            StatusCode::NOT_FOUND => Fault::NotFound,
            StatusCode::BAD_REQUEST => Fault::Refused(last_line(&words(answer).await)),
            status => {
                let said = last_line(&words(answer).await);
                Fault::Unreachable(format!("{} answers {status}: {said}", self.address))
            }
        }
    }

    async fn json<T: for<'de> Deserialize<'de>>(&self, answer: Response) -> Result<T, Fault> {
        let bytes = read(answer).await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|_| self.unlike_ray())
    }

    fn unlike_ray(&self) -> Fault {
        Fault::Unreachable(format!("{} does not answer like Ray", self.address))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Fault {
        if let Some(refused) = outbound::refusal(error) {
            return Fault::Unreachable(format!("{} is not called: {refused}", self.address));
        }
        let why = if error.is_timeout() {
            "does not answer in time"
        } else if error.is_connect() {
            "cannot be connected to"
        } else {
            "broke the connection off"
        };
        Fault::Unreachable(format!("{} {why}", self.address))
    }

    fn no_socket(&self, error: &reqwest_websocket::Error) -> Fault {
        match error {
            reqwest_websocket::Error::Reqwest(error) => self.unreachable(error),
            // Something between us and Ray that knows no WebSockets.
            _ => Fault::Refused(format!("{} opens no WebSocket", self.address)),
        }
    }
}

impl Fault {
    /// As the error of a job's step: what does not get better by itself is final.
    pub fn into_error(self) -> Error {
        let text = self.to_string();
        match self {
            Self::Unreachable(_) => Error::unavailable("ray_unreachable", text),
            Self::Token => Error::forbidden("ray_token_refused", text),
            Self::NotFound => Error::not_found("ray_job_not_found", text),
            Self::Refused(_) => Error::invalid("ray_refused", text),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the Ray head at {why}"),
            Self::Token => f.write_str("the Ray head does not accept the connection's token"),
            Self::NotFound => f.write_str("the Ray head knows no such job"),
            Self::Refused(why) => write!(f, "the Ray head does not take it: {why}"),
        }
    }
}

/// The beginning of an answer that is short where Ray gives it.
async fn read(mut answer: Response) -> reqwest::Result<Vec<u8>> {
    let mut bytes = vec![];
    while let Some(piece) = answer.chunk().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > SHORT {
            break;
        }
    }
    Ok(bytes)
}

/// What an answer says that is not the one that was wanted.
async fn words(answer: Response) -> String {
    String::from_utf8_lossy(&read(answer).await.unwrap_or_default()).into_owned()
}

/// The exception at the end of the traceback with which Ray answers.
fn last_line(text: &str) -> String {
    let said = text.lines().rev().map(str::trim).find(|line| line.len() > 1);
    clip(said.unwrap_or("without a word"), SHOWN)
}

/// The body of a submission.
pub(super) fn submission(
    id: &str,
    entrypoint: &str,
    metadata: &[(&str, String)],
    runtime_env: &Value,
) -> Value {
    let metadata: Map<String, Value> =
        metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    json!({ "entrypoint": entrypoint, "submission_id": id, "metadata": metadata, "runtime_env": runtime_env })
}
