//! How a job's steps reach the world.

use std::{collections::BTreeMap, time::Duration};

use qd_core::error::{Error, Result};
use reqwest::{Client, Method, Response, StatusCode};
use serde::{Deserialize, Serialize};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What somebody does, under a name of his choice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deed {
    pub name: String,
    /// Who does it: a job.
    pub holder: String,
    /// The keys under which it is done, each with its fence.
    #[serde(default)]
    pub keys: BTreeMap<String, i64>,
    #[serde(default)]
    pub phase: Phase,
    /// The answer says how long until this long after the first time.
    #[serde(default)]
    pub ready_after_ms: u64,
}

/// Where the doer stands with his keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Needs no key.
    #[default]
    Free,
    /// Comes in; nobody else may be.
    Enter,
    Inside,
    Leave,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Done {
    /// It was there already.
    pub adopted: bool,
    pub ready_in_ms: u64,
}

impl Deed {
    /// Without any key.
    pub fn once(name: String, holder: String) -> Self {
        Self { name, holder, keys: BTreeMap::new(), phase: Phase::Free, ready_after_ms: 0 }
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorldClient {
    http: Client,
    url: String,
}

impl WorldClient {
    pub fn new(url: &str) -> Result<Self> {
        // An error says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(PATIENCE).build().map_err(|error| {
            Error::internal("world_client", "make a client of the world").with_source(error)
        })?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// The same client of another world.
    pub fn at(&self, url: &str) -> Self {
        Self { http: self.http.clone(), url: url.to_owned() }
    }

    pub async fn act(&self, deed: &Deed) -> Result<Done> {
        let answer = self.send(Method::POST, "/effects", Some(deed)).await?;
        answer.json().await.map_err(|error| unreachable(&error))
    }

    /// Nothing to undo is as good.
    pub async fn undo(&self, deed: &Deed) -> Result<()> {
        self.send(Method::DELETE, &format!("/effects/{}", deed.name), Some(deed)).await.map(drop)
    }

    /// Whether an effect is there, and was not undone.
    pub async fn holds(&self, name: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Effect {
            present: bool,
        }
        match self.send(Method::GET, &format!("/effects/{name}"), None).await {
            Ok(answer) => {
                let effect: Effect = answer.json().await.map_err(|error| unreachable(&error))?;
                Ok(effect.present)
            }
            Err(error) if error.code == "world_without_it" => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, method: Method, path: &str, deed: Option<&Deed>) -> Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(deed) = deed {
            request = request.json(deed);
        }
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::CONFLICT => {
                let said = answer.text().await.unwrap_or_default();
                Err(Error::conflict("world_fenced", format!("the world has seen a higher fence: {said}")))
            }
            StatusCode::NOT_FOUND => Err(Error::not_found("world_without_it", "there is no such effect")),
            status => Err(Error::unavailable("world_unwell", format!("the world answers {status}"))),
        }
    }
}

fn unreachable(error: &reqwest::Error) -> Error {
    Error::unavailable("world_unreachable", format!("the world does not answer: {error}"))
}
