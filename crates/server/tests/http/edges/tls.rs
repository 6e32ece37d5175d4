//! TLS by a real certificate, made here, spoken to by real clients.

use std::{path::PathBuf, process::Stdio, time::Duration};

use qd_server::{EdgeOptions, TlsFiles};
use qd_testkit::eventually;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::support::TestServer;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn edge(&self) -> EdgeOptions {
        let tls = Some(TlsFiles { cert: self.cert(), key: self.key() });
        EdgeOptions { tls, ..EdgeOptions::default() }
    }

    /// A certificate for this machine, until that year; a client that trusts it and nothing else.
    fn write(&self, until: i32) -> Client {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
        std::fs::write(self.cert(), &cert).unwrap();
        trusting(&cert)
    }
}

fn trusting(cert: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = Certificate::from_pem(cert.as_bytes()).unwrap();
    Client::builder().tls_certs_only([root]).pool_max_idle_per_host(0).build().unwrap()
}

fn https(server: &TestServer, path: &str) -> String {
    format!("https://{}{path}", server.address)
}

async fn ready(server: &TestServer, client: &Client) -> (StatusCode, Value) {
    let response = client.get(https(server, "/ready")).send().await.unwrap();
    let status = response.status();
    let ready: Value = response.json().await.unwrap();
    let tls = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "tls").unwrap();
    (status, tls.clone())
}

#[tokio::test]
async fn a_server_with_a_certificate_speaks_tls_and_nothing_else() {
    let files = Files::new();
    let client = files.write(2100);
    let server = TestServer::with_edge(files.edge()).await;
    let response = client.get(https(&server, "/api/v1/me")).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
    // Whoever does not know the certificate, and whoever speaks in the clear, gets nothing.
    let stranger = Files::new().write(2100);
    assert!(stranger.get(https(&server, "/health")).send().await.is_err());
    assert!(server.client.get(server.url("/health")).send().await.is_err());
    // The session stays on TLS.
    let link = client.post(https(&server, "/api/v1/auth/links")).bearer_auth(&server.token).json(&json!({}));
    let link: Value = link.send().await.unwrap().json().await.unwrap();
    let url = link["url"].as_str().unwrap();
    assert!(url.starts_with("https://"), "{url}");
    let code = url.split_once("#code=").unwrap().1;
    let exchanged = client.post(https(&server, "/api/v1/auth/exchange")).json(&json!({ "code": code }));
    let cookie = exchanged.send().await.unwrap().headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; Secure"), "{cookie}");
    let (status, tls) = ready(&server, &client).await;
    assert_eq!((status, &tls["ok"]), (StatusCode::OK, &json!(true)));
}

/// `openssl s_client` as a client that is not ours; what it says.
async fn s_client(server: &TestServer, words: &[&str]) -> (bool, String) {
    let mut command = tokio::process::Command::new("openssl");
    command.args(["s_client", "-connect", &server.address.to_string(), "-brief"]).args(words);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test]
async fn old_versions_of_tls_are_not_spoken() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        println!("there is no openssl here: not shown");
        return;
    }
    let files = Files::new();
    files.write(2100);
    let server = TestServer::with_edge(files.edge()).await;
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (done, said) = s_client(&server, &[version, "-alpn", "h2,http/1.1"]).await;
        assert!(done && said.contains(name), "{said}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let (done, said) = s_client(&server, &[version, "-cipher", "ALL:@SECLEVEL=0"]).await;
        assert!(!done, "{said}");
    }
    let (done, said) = s_client(&server, &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"]).await;
    assert!(!done, "{said}");
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_restart() {
    let files = Files::new();
    let first = files.write(2100);
    let server = TestServer::with_edge(files.edge()).await;
    assert!(first.get(https(&server, "/health")).send().await.is_ok());
    // A file that cannot be used takes nothing away, and is spoken of.
    let kept = std::fs::read_to_string(files.cert()).unwrap();
    std::fs::write(files.cert(), "nothing").unwrap();
    eventually("the bad file is spoken of", async || {
        let (status, tls) = ready(&server, &first).await;
        assert_eq!(status, StatusCode::OK);
        (tls["ok"] == json!(false) && tls["detail"].as_str().unwrap().contains("cert.pem")).then_some(())
    })
    .await;
    std::fs::write(files.cert(), &kept).unwrap();
    let second = files.write(2101);
    eventually("the new certificate is served", async || {
        second.get(https(&server, "/health")).send().await.is_ok().then_some(())
    })
    .await;
    // A client that knows the first alone, and has no session to go on with.
    assert!(trusting(&kept).get(https(&server, "/health")).send().await.is_err());
    assert_eq!(ready(&server, &second).await.1["ok"], json!(true));
}

#[tokio::test]
async fn an_expired_certificate_is_said() {
    let files = Files::new();
    files.write(2020);
    let server = TestServer::with_edge(files.edge()).await;
    let careless =
        Client::builder().danger_accept_invalid_certs(true).timeout(Duration::from_secs(10)).build().unwrap();
    let (status, tls) = ready(&server, &careless).await;
    assert_eq!((status, &tls["ok"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(false)));
    assert!(tls["detail"].as_str().unwrap().contains("has expired at 2020-01-01"), "{tls}");
}

#[tokio::test]
async fn files_that_are_no_certificate_are_said_at_the_start() {
    let files = Files::new();
    let refused = async || TestServer::refused(files.edge()).await;
    let missing = refused().await;
    assert_eq!(missing.code, "bad_certificate");
    assert!(missing.detail.contains("cert.pem cannot be read"), "{missing}");
    files.write(2100);
    let other = Files::new();
    other.write(2100);
    std::fs::copy(other.key(), files.key()).unwrap();
    assert!(refused().await.detail.contains("do not go together"), "{}", refused().await);
    std::fs::write(files.key(), "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n").unwrap();
    let broken = refused().await.detail;
    assert!(broken.contains("key.pem") && !broken.contains("secret"), "{broken}");
}
