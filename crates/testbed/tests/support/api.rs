//! A client of the API that asks again, with the same key, where nobody answered.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::time::{Duration, Instant};

use qd_testkit::eventually::DEADLINE;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

const PAUSE: Duration = Duration::from_millis(10);

/// What starts a job.
#[derive(Debug, Clone)]
pub struct Ask {
    pub path: String,
    pub body: Value,
    /// Its Idempotency-Key.
    pub key: String,
}

pub fn client() -> Client {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(10)).build().expect("make a client")
}

pub struct Api {
    pub http: Client,
    pub url: String,
    pub token: String,
}

impl Api {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let said = match self.request(Method::GET, path).send().await {
                Ok(reply) if reply.status().is_success() => return reply.json().await.expect("JSON"),
                Ok(reply) => format!("{}: {}", reply.status(), reply.text().await.unwrap_or_default()),
                Err(error) => format!("{error:?}"),
            };
            assert!(Instant::now() < until, "GET {path}: {said}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A change without a job.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.request(Method::POST, path).json(body).send().await.expect("send");
        let (status, text) = (reply.status(), reply.text().await.expect("a body"));
        assert!(status.is_success(), "POST {path}: {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Replaces what is there.
    pub async fn put(&self, path: &str, body: &Value) -> Value {
        let reply = self.request(Method::PUT, path).json(body).send().await.expect("send");
        let (status, text) = (reply.status(), reply.text().await.expect("a body"));
        assert!(status.is_success(), "PUT {path}: {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Changes what has its first version.
    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        let request = self.request(Method::PATCH, path).header("if-match", "\"1\"").json(body);
        let reply = request.send().await.expect("send");
        let (status, text) = (reply.status(), reply.text().await.expect("a body"));
        assert!(status.is_success(), "PATCH {path}: {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The same server, asked in another tenant.
    pub fn within(&self, tenant: &str) -> Self {
        Self { http: self.http.clone(), url: format!("{}/t/{tenant}", self.url), token: self.token.clone() }
    }

    /// Asks once; none where the answer did not come.
    pub async fn ask_once(&self, ask: &Ask) -> Option<Value> {
        let request =
            self.request(Method::POST, &ask.path).header("idempotency-key", &ask.key).json(&ask.body);
        let reply = request.send().await.ok()?;
        let (status, text) = (reply.status(), reply.text().await.ok()?);
        assert_eq!(status, StatusCode::ACCEPTED, "{ask:?}: {text}");
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        Some(reply["job"].clone())
    }

    pub async fn cancel(&self, job: &str) {
        self.post(&format!("/jobs/{job}/cancel"), &json!({ "reason": "a test" })).await;
    }

    /// Asks once; whether the answer came.
    pub async fn cancel_once(&self, job: &str) -> bool {
        let request = self.request(Method::POST, &format!("/jobs/{job}/cancel"));
        request.json(&json!({ "reason": "a test" })).send().await.is_ok()
    }

    /// After an answer that was lost: asks again where the job was not asked to end, as who asked would see.
    pub async fn cancel_if_going_on(&self, job: &str) {
        if self.get(&format!("/jobs/{job}")).await["cancel_requested"] != true {
            self.cancel(job).await;
        }
    }

    /// Waits until the job has ended.
    pub async fn ended(&self, job: &str, what: &str) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = self.get(&format!("/jobs/{job}")).await;
            let state = found["state"].as_str().expect("a state");
            if ["succeeded", "failed", "cancelled", "undone"].contains(&state) {
                return found;
            }
            assert!(Instant::now() < until, "{what} does not end: {found}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
