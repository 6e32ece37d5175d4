//! Those who ask: each sends its request until somebody answers, always with the same key.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::plan::Wish;

const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(100);

pub struct Clients {
    http: Client,
    pub urls: Vec<String>,
    pub token: String,
    world: String,
    next: AtomicUsize,
    /// Answers that did not come, or came as 5xx.
    pub again: AtomicU64,
    /// The job of each wish that was answered 202.
    pub answered: Mutex<BTreeMap<String, String>>,
}

impl Clients {
    pub fn new(urls: Vec<String>, token: String, world: String) -> Arc<Self> {
        // An error says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(Duration::from_secs(2)).build().expect("make a client");
        let (next, again, answered) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::default());
        Arc::new(Self { http, urls, token, world, next, again, answered })
    }

    /// Asks for everything at its time.
    pub async fn ask_all(self: Arc<Self>, wishes: Arc<Vec<Wish>>, began: Instant) {
        let asking = (0..CLIENTS).map(|_| {
            let (clients, wishes) = (self.clone(), wishes.clone());
            tokio::spawn(async move {
                while let Some(wish) = wishes.get(clients.next.fetch_add(1, Ordering::Relaxed)) {
                    tokio::time::sleep(wish.at.saturating_sub(began.elapsed())).await;
                    clients.ask(wish).await;
                }
            })
        });
        for asked in futures::future::join_all(asking).await {
            asked.expect("a client goes on to the end");
        }
    }

    async fn ask(self: &Arc<Self>, wish: &Wish) {
        let reply = self.send(wish, "/jobs", &wish.body(&self.world)).await;
        let job = reply["job"]["id"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        self.answered.lock().expect("the answers").insert(wish.name.clone(), job.clone());
        if let Some(after) = wish.cancel {
            let (clients, wish) = (self.clone(), wish.clone());
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                clients.send(&wish, &format!("/jobs/{job}/cancel"), &json!({ "reason": "a storm" })).await;
            });
        }
    }

    /// The first answer of anybody; a conflict is one as well.
    async fn send(&self, wish: &Wish, path: &str, body: &Value) -> Value {
        for turn in wish.first.. {
            let url = format!("{}/api/v1{path}", self.urls[turn % self.urls.len()]);
            let request = self.http.post(url).bearer_auth(&self.token).header("idempotency-key", &wish.name);
            let reply = request.header("x-tenant-id", &wish.tenant).json(body).send().await;
            if let Ok(reply) = reply
                && !reply.status().is_server_error()
            {
                let status = reply.status();
                if let Ok(text) = reply.text().await {
                    let right = status == StatusCode::ACCEPTED || status == StatusCode::CONFLICT;
                    assert!(right, "{path} of {}: {status}: {text}", wish.name);
                    return serde_json::from_str(&text).expect("JSON");
                }
            }
            self.again.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("there is always another turn")
    }
}
