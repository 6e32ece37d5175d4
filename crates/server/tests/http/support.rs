//! A server for a test, and a client that speaks to it.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use qd_core::error::Error;
use qd_kernel::{KernelOptions, store::StoreOptions};
use qd_server::{Boot, BuildInfo, EdgeOptions};
use qd_testkit::{FakeEngine, eventually, sample::Sample};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

pub struct TestServer {
    pub address: SocketAddr,
    pub token: String,
    pub engine: Arc<FakeEngine>,
    pub client: Client,
    pub kernel: qd_kernel::Kernel,
    /// Named by every request, where it is set.
    pub tenant: Option<String>,
    data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// One of which something is chosen.
    pub async fn with(choose: impl FnOnce(&mut Boot)) -> Self {
        Self::on(TempDir::new().expect("make a folder"), Arc::default(), None, choose).await
    }

    pub async fn with_edge(edge: EdgeOptions) -> Self {
        Self::with(|boot| boot.edge = edge).await
    }

    /// Why a server with such edges does not start.
    pub async fn refused(edge: EdgeOptions) -> Error {
        let data = TempDir::new().expect("make a folder");
        let mut boot = boot(data.path(), Arc::default(), None);
        boot.edge = edge;
        boot.start().await.err().expect("the server does not start")
    }

    /// One of several on a Postgres.
    pub async fn on_database(url: &str) -> Self {
        Self::on(TempDir::new().expect("make a folder"), Arc::default(), Some(url.to_owned()), |_| {}).await
    }

    async fn on(
        data: TempDir,
        engine: Arc<FakeEngine>,
        database_url: Option<String>,
        choose: impl FnOnce(&mut Boot),
    ) -> Self {
        let mut boot = boot(data.path(), engine.clone(), database_url);
        choose(&mut boot);
        let server = boot.start().await.expect("start the server");
        let (address, kernel) = (server.address, server.app.kernel.clone());
        let token = kernel.owner_token().await.expect("make a token");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            server
                .run(async {
                    let _ = stopped.await;
                })
                .await
                .expect("serve");
        });
        Self { address, token, engine, client: client(), kernel, tenant: None, data, stop: Some(stop), task }
    }

    /// Stops this server and starts another on the same data folder, with the same token.
    pub async fn restart(mut self) -> Self {
        let token = self.token.clone();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.task.await.expect("stop the server");
        drop(self.kernel);
        let mut server = Self::on(self.data, self.engine, None, |_| {}).await;
        server.token = token;
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// With the owner's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path)).bearer_auth(&self.token);
        match &self.tenant {
            Some(tenant) => request.header("x-tenant-id", tenant),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    /// A POST that starts a job, under a key of its own.
    pub async fn start_job(&self, path: &str, key: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).header("idempotency-key", key).json(&body)).await
    }

    /// Applies one sample document and waits until it is published.
    pub async fn published(&self, name: &str, spec: Value) {
        let body = json!({ "documents": [document(name, spec)] });
        let (status, reply) = self.start_job("/api/v1/apply?publish=true", name, body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
        self.job_ended(reply["job"]["id"].as_str().expect("a job")).await;
    }

    pub async fn job_ended(&self, id: &str) -> Value {
        let path = format!("/api/v1/jobs/{id}");
        eventually("the job ends", async || {
            let (_, job) = self.get(&path).await;
            job["ended_at"].is_string().then_some(job)
        })
        .await
    }

    pub async fn run_is(&self, id: &str, state: &str) -> Value {
        let path = format!("/api/v1/runs/{id}");
        eventually("the run gets into its state", async || {
            let (_, run) = self.get(&path).await;
            (run["state"] == state).then_some(run)
        })
        .await
    }
}

/// What a server is started from.
fn boot(data: &Path, engine: Arc<FakeEngine>, database_url: Option<String>) -> Boot {
    Boot {
        build: BuildInfo::new("test"),
        data_dir: data.join("data"),
        database_url,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        drain_delay: Duration::ZERO,
        public_url: None,
        edge: EdgeOptions::default(),
        base_domain: None,
        prepare: false,
        ray_lost_after: qd_pipelines::engine::LOST_AFTER,
        supervisor: "/nonexistent".into(),
        kernel: KernelOptions::default(),
        store: StoreOptions::default(),
        register: Box::new(move |registry| {
            registry.kind(Sample::default()).engine(engine);
        }),
    }
}

/// The client wants to know its cryptography even where nothing is encrypted; a second installation changes nothing.
fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

pub fn document(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "quarterdeck/v1", "kind": "Sample", "metadata": { "name": name }, "spec": spec })
}

pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let reply = request.send().await.expect("send the request");
    let status = reply.status();
    let text = reply.text().await.expect("read the reply");
    let value = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    (status, value)
}
