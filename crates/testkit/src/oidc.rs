//! A real OpenID provider on a free port: `oidc-provider` from npm, run by Node, with people whom a test makes.
//!
//! `QD_TEST_OIDC` names the folder that it was installed in; `./x test` does that. Without it a test that wants it says so and ends.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Client, Method, Response, StatusCode, redirect::Policy};
use serde_json::Value;
use url::Url;

use crate::{eventually, postgres::free_port};

pub struct OidcProvider {
    port: u16,
    modules: String,
    process: Option<Child>,
}

/// Nothing, and a line that says so, where it is not installed.
pub fn installed() -> Option<OidcProvider> {
    match std::env::var("QD_TEST_OIDC") {
        Ok(modules) => Some(OidcProvider { port: free_port(), modules, process: None }),
        Err(_) => {
            let said =
                "skipped: QD_TEST_OIDC names no folder with oidc-provider (npm install oidc-provider)\n";
            let _ = std::io::stderr().write_all(said.as_bytes());
            None
        }
    }
}

impl OidcProvider {
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its secret for the client `quarterdeck`.
    pub fn client_secret() -> &'static str {
        "a secret of the client's"
    }

    /// Starts it for a client that is sent back to this address.
    pub async fn start(&mut self, redirect: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oidc/provider.mjs");
        let command = Command::new("node")
            .arg(script)
            .args([&self.modules, &self.port.to_string(), redirect])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(command.expect("start node"));
        let discovery = format!("{}/.well-known/openid-configuration", self.issuer());
        let client = client();
        eventually("the provider answers", async || {
            let answer = client.get(&discovery).timeout(Duration::from_secs(5)).send().await;
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
    }

    /// Makes somebody, or changes what is said of him: `sub` and claims.
    pub async fn person(&self, claims: Value) {
        self.tell("people", claims).await;
    }

    /// Signs with another key from now on, and publishes no other.
    pub async fn rotate(&self) {
        self.tell("rotate", Value::Null).await;
    }

    async fn tell(&self, what: &str, body: Value) {
        let asked = client().post(format!("{}/test/{what}", self.issuer())).json(&body).send().await;
        assert_eq!(asked.expect("ask the provider").status(), StatusCode::OK);
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(Policy::none()).no_proxy().build().expect("a client")
}

/// As much of a browser as a sign-in wants: cookies by site and name, and redirects one at a time.
pub struct Browser {
    client: Client,
    pub cookies: BTreeMap<(String, String), String>,
}

impl Default for Browser {
    fn default() -> Self {
        Self { client: client(), cookies: BTreeMap::new() }
    }
}

impl Browser {
    pub async fn get(&mut self, url: &str) -> Response {
        let site = site(url);
        let kept: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), value)| *of == site && !value.is_empty())
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let request = self.client.request(Method::GET, url).header("cookie", kept.join("; "));
        let reply = request.send().await.unwrap_or_else(|error| panic!("get {url}: {error}"));
        for set in reply.headers().get_all("set-cookie") {
            let set = set.to_str().expect("a cookie of plain signs");
            let (name, value) = set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            self.cookies.insert((site.clone(), name.to_owned()), value.to_owned());
        }
        reply
    }

    pub fn cookie(&mut self, url: &str, name: &str) -> Option<&mut String> {
        self.cookies.get_mut(&(site(url), name.to_owned())).filter(|value| !value.is_empty())
    }

    /// From an address on until it is sent back to `end`; answers that address, not asked for yet. A page that asks who one is
    /// is answered with `answer`: `as=ann`.
    pub async fn until(&mut self, from: &str, end: &str, answer: &str) -> String {
        let mut at = from.to_owned();
        for _ in 0..20 {
            if at.starts_with(end) {
                return at;
            }
            if at.contains("/interaction/") {
                at = format!("{at}?{answer}");
            }
            let reply = self.get(&at).await;
            let there =
                reply.headers().get("location").map(|value| value.to_str().expect("a URL").to_owned());
            let Some(there) = there else {
                panic!("{at} answered {}: {}", reply.status(), reply.text().await.unwrap_or_default())
            };
            at = Url::parse(&at).and_then(|base| base.join(&there)).expect("a URL").to_string();
        }
        panic!("sent about without an end; at last to {at}")
    }
}

fn site(url: &str) -> String {
    let url = Url::parse(url).expect("a URL");
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}
