//! An access token that is renewed before it expires, by the refresh token beside it in the context file.
//!
//! A refresh token works once, and one that comes a second time ends the session. So whoever renews holds the lock of the
//! context file, looks there first whether another process has renewed meanwhile, and writes the next one before it is used.

use std::cell::{Cell, RefCell};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;

use super::{Client, Reply, problem_of};
use crate::context::{Access, ContextFile};
use crate::failure::Failure;

/// Renewed when it has less than this left, seconds: more than a request takes.
const EARLY: i64 = 60;

/// What every request carries, and where its token is renewed.
pub(super) struct Session {
    headers: RefCell<HeaderMap>,
    renewal: Option<Renewal>,
}

struct Renewal {
    contexts: ContextFile,
    name: String,
    /// Seconds since 1970.
    expires_at: Cell<i64>,
}

/// What `POST /api/v1/auth/token` answers.
#[derive(Debug, Deserialize)]
pub struct Granted {
    pub access_token: String,
    pub expires_in: i64,
    pub refresh_token: String,
    pub principal: Whose,
}

#[derive(Debug, Deserialize)]
pub struct Whose {
    pub name: String,
}

impl Session {
    pub fn new(headers: HeaderMap, access: &Access) -> Self {
        let renewal = access.renewal.clone().map(|(contexts, name, expires_at)| Renewal {
            contexts,
            name,
            expires_at: Cell::new(expires_at),
        });
        Self { headers: RefCell::new(headers), renewal }
    }

    pub fn headers(&self) -> HeaderMap {
        self.headers.borrow().clone()
    }

    fn adopt(&self, renewal: &Renewal, token: &str, expires_at: i64) -> Result<(), Failure> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Failure::local("the token has characters that HTTP does not carry"))?;
        value.set_sensitive(true);
        self.headers.borrow_mut().insert(AUTHORIZATION, value);
        renewal.expires_at.set(expires_at);
        Ok(())
    }
}

impl Client {
    /// Sees to it that the token lasts for the next request.
    pub(super) async fn renew(&self) -> Result<(), Failure> {
        let Some(renewal) = &self.session.renewal else { return Ok(()) };
        if self.clock.now().unix_timestamp() + EARLY < renewal.expires_at.get() {
            return Ok(());
        }
        self.renew_by(renewal).await
    }

    /// The same of a token that looks as if it lasted and was refused.
    pub async fn renew_now(&self) -> Result<(), Failure> {
        let Some(renewal) = &self.session.renewal else { return Ok(()) };
        self.renew_by(renewal).await
    }

    /// By another process's hand, if it has renewed it meanwhile.
    async fn renew_by(&self, renewal: &Renewal) -> Result<(), Failure> {
        let now = || self.clock.now().unix_timestamp();
        let _lock = renewal.contexts.lock().await?;
        let mut contexts = renewal.contexts.read()?;
        let Some(entry) = contexts.contexts.get_mut(&renewal.name) else { return Ok(()) };
        let Some(refresh) = entry.refresh.clone() else { return Ok(()) };
        if let (Some(token), Some(expires_at)) = (&entry.token, entry.expires_at)
            && now() + EARLY < expires_at
            && self.bearer().as_ref() != Some(token)
        {
            return self.session.adopt(renewal, token, expires_at);
        }
        let asked_at = now();
        let granted = self.granted(&refresh).await?;
        let expires_at = asked_at + granted.expires_in;
        (entry.token, entry.refresh) = (Some(granted.access_token.clone()), Some(granted.refresh_token));
        entry.expires_at = Some(expires_at);
        renewal.contexts.write(&contexts)?;
        self.session.adopt(renewal, &granted.access_token, expires_at)
    }

    /// The bearer token in use, renewed where it is about to expire.
    pub async fn token(&self) -> Result<Option<String>, Failure> {
        self.renew().await?;
        Ok(self.bearer())
    }

    /// The same as it stands.
    pub fn bearer(&self) -> Option<String> {
        let headers = self.session.headers();
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned)
    }

    /// Sent once: an answer that is lost takes the session with it, and a second try would be taken for theft.
    async fn granted(&self, refresh: &str) -> Result<Granted, Failure> {
        let body = json!({ "grant_type": "refresh_token", "refresh_token": refresh });
        let request = self
            .http
            .post(self.url("/api/v1/auth/token")?)
            .header("x-request-id", self.clock.id().to_string())
            .timeout(super::ANSWER_TIMEOUT)
            .json(&body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.lost(&error).await),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?.to_vec();
        let reply = Reply { status, headers, server: self.server.to_string(), body };
        if status.is_success() {
            return reply.json();
        }
        let problem = problem_of(&reply);
        if problem.code == "bad_refresh_token" {
            return Err(Failure::SessionEnded);
        }
        Err(Failure::Problem(Box::new(problem)))
    }
}
