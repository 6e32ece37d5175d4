//! Following a stream over dropped connections: `Last-Event-ID` on every reconnect, and nothing twice.
//!
//! An id is one or more numbers with dots between (`17`, `17.203`). Each number only grows, so a message whose
//! numbers are all at or below the last seen ones is a duplicate and is skipped. A connection that has been silent
//! for three heartbeats is taken for dead.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::{BoxStream, LocalBoxStream};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use url::Url;

use super::sse::{Item, Message, Parser};
use super::{Client, Reply, problem_of};
use crate::failure::Failure;

/// Three heartbeats of 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a server may be gone before following gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait for the beginning of an answer, which comes at once from a server that is well.
const OPENING: Duration = Duration::from_secs(20);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Connected; what happened before may have to be read once.
    Opened,
    Message(Message),
}

pub struct Follow<'c> {
    client: &'c Client,
    path: String,
    query: Vec<(String, String)>,
    last_id: Option<String>,
    body: Option<BoxStream<'static, reqwest::Result<bytes::Bytes>>>,
    parser: Parser,
    ready: VecDeque<Signal>,
    /// The first wait before a reconnect; the server may set it.
    first_wait: Duration,
    wait: Duration,
    lost_since: Option<Instant>,
    told: bool,
}

impl Client {
    /// Follows the event stream at `path`, beginning after `last_id` when there is one.
    pub fn follow(&self, path: &str, query: &[(&str, String)], last_id: Option<String>) -> Follow<'_> {
        Follow {
            client: self,
            path: path.to_owned(),
            query: query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            last_id,
            body: None,
            parser: Parser::default(),
            ready: VecDeque::new(),
            first_wait: FIRST_WAIT,
            wait: FIRST_WAIT,
            lost_since: None,
            told: false,
        }
    }
}

impl<'c> Follow<'c> {
    /// The signals one after the other; reconnects as often as it takes. Ends after the first error: the server
    /// refuses the stream, or stays unreachable for two minutes. A stream, not a function, so that a `select!`
    /// that turns to something else does not lose a connection that is being made.
    pub fn signals(self) -> LocalBoxStream<'c, Result<Signal, Failure>> {
        futures::stream::unfold(Some(self), |state| async {
            let mut follow = state?;
            match follow.next().await {
                Ok(signal) => Some((Ok(signal), Some(follow))),
                Err(failure) => Some((Err(failure), None)),
            }
        })
        .boxed_local()
    }

    async fn next(&mut self) -> Result<Signal, Failure> {
        loop {
            if let Some(signal) = self.ready.pop_front() {
                return Ok(signal);
            }
            match &mut self.body {
                None => self.connect().await?,
                Some(body) => match tokio::time::timeout(SILENCE, body.next()).await {
                    Ok(Some(Ok(chunk))) => self.take(&chunk)?,
                    // End, error or silence: all the same to a client that resumes.
                    _ => self.body = None,
                },
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let url = self.client.url(&self.path)?;
        if self.lost_since.is_some() {
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        match self.client.renew().await {
            Err(failure @ Failure::Unreachable { .. }) => return self.give_up_or_go_on(since, failure),
            renewed => renewed?,
        }
        let Ok(answer) = tokio::time::timeout(OPENING, self.request(url)).await else {
            let server = self.client.server.as_str().trim_end_matches('/').to_owned();
            let failure = Failure::Unreachable { server, detail: "no answer in time".into() };
            return self.give_up_or_go_on(since, failure);
        };
        match answer {
            Ok(response) if response.status() == StatusCode::OK => {
                self.client.answered.set(true);
                if self.told {
                    self.client.out.note("connected again");
                    self.told = false;
                }
                self.parser = Parser::default();
                self.body = Some(response.bytes_stream().boxed());
                self.ready.push_back(Signal::Opened);
                Ok(())
            }
            Ok(response) => self.refused(response, since).await,
            Err(error) => match self.client.tls_wanted(&error).await {
                Some(failure) => Err(failure),
                None => self.give_up_or_go_on(since, self.client.unreachable(&error)),
            },
        }
    }

    async fn request(&self, url: Url) -> reqwest::Result<reqwest::Response> {
        let client = self.client;
        let mut request = client
            .http
            .get(url)
            .query(&self.query)
            .headers(client.session.headers())
            .header(ACCEPT, "text/event-stream")
            .header("x-request-id", client.clock.id().to_string());
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        request.send().await
    }

    async fn refused(&mut self, response: reqwest::Response, since: Instant) -> Result<(), Failure> {
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let reply = Reply { status, headers, server: self.client.server.to_string(), body };
        let failure = Failure::Problem(Box::new(problem_of(&reply)));
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return self.give_up_or_go_on(since, failure);
        }
        Err(failure)
    }

    fn give_up_or_go_on(&mut self, since: Instant, failure: Failure) -> Result<(), Failure> {
        if !self.client.answered.get() || since.elapsed() > PATIENCE {
            return Err(failure);
        }
        if !self.told && since.elapsed() > Duration::from_secs(1) {
            self.client.out.note(&format!("{failure}; trying again"));
            self.told = true;
        }
        Ok(())
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let items = self.parser.push(chunk).map_err(|_| Failure::Answer {
            server: self.client.server.to_string(),
            detail: "an event of the stream is too large".into(),
        })?;
        for item in items {
            self.wait = self.first_wait;
            self.lost_since = None;
            match item {
                Item::Heartbeat => {}
                Item::Retry(milliseconds) => {
                    self.first_wait = Duration::from_millis(milliseconds).min(LONGEST_WAIT);
                    self.wait = self.first_wait;
                }
                Item::Message(message) => {
                    if let Some(id) = &message.id {
                        if self.last_id.as_deref().is_some_and(|last| !is_newer(id, last)) {
                            continue;
                        }
                        self.last_id = Some(id.clone());
                    }
                    self.ready.push_back(Signal::Message(message));
                }
            }
        }
        Ok(())
    }
}

/// Whether any of an id's numbers goes beyond the last seen id. Ids of another form are only compared for equality.
fn is_newer(id: &str, last: &str) -> bool {
    match (numbers(id), numbers(last)) {
        (Some(id), Some(last)) if id.len() == last.len() => id.iter().zip(&last).any(|(new, old)| new > old),
        _ => id != last,
    }
}

fn numbers(id: &str) -> Option<Vec<u64>> {
    id.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_only_grow() {
        assert!(is_newer("10", "9"));
        assert!(!is_newer("9", "9"));
        assert!(!is_newer("8", "9"));
        assert!(is_newer("5.11", "5.10"));
        assert!(is_newer("6.10", "5.10"));
        assert!(!is_newer("5.10", "5.10"));
        assert!(!is_newer("4.10", "5.10"));
        assert!(is_newer("abc", "abd"));
        assert!(!is_newer("abc", "abc"));
    }
}
