//! A master key in Vault, against a *stand-in* for its transit engine, written from the engine's API (`POST
//! /v1/<mount>/encrypt/<key>` and `/decrypt/<key>`, base64, `associated_data`). No Vault runs here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use qd_kernel::secrets::{Secret, SecretOptions, VaultOptions, VaultToken};
use qd_testkit::{HttpServer, Reply, TestDatabase, TestKernel};
use serde_json::{Value, json};

use super::secrets::{path, put, read};

const TOKEN: &str = "hvs.a-token-of-the-stand-in";

/// What it wrapped, by the text that it gave out: associated data and plaintext.
type Wrapped = Arc<Mutex<HashMap<String, (Value, Value)>>>;

#[derive(Default, Clone)]
struct Vault {
    wrapped: Wrapped,
    sealed: Arc<std::sync::atomic::AtomicBool>,
}

impl Vault {
    fn start(&self) -> HttpServer {
        let vault = self.clone();
        HttpServer::start(move |heard| vault.answer(heard))
    }

    fn answer(&self, heard: &qd_testkit::Heard) -> Reply {
        if self.sealed.load(std::sync::atomic::Ordering::Relaxed) {
            return Reply::new(503, json!({ "errors": ["Vault is sealed"] }).to_string());
        }
        if heard.headers.get("x-vault-token").map(String::as_str) != Some(TOKEN) {
            return Reply::new(403, json!({ "errors": ["permission denied"] }).to_string());
        }
        let body: Value = serde_json::from_str(&heard.body).unwrap();
        let mut wrapped = self.wrapped.lock().unwrap();
        match (heard.method.as_str(), heard.path.as_str()) {
            ("POST", "/v1/transit/encrypt/quarterdeck") => {
                let text = format!("vault:v1:{}", wrapped.len());
                wrapped.insert(text.clone(), (body["associated_data"].clone(), body["plaintext"].clone()));
                Reply::new(200, json!({ "data": { "ciphertext": text, "key_version": 1 } }).to_string())
            }
            ("POST", "/v1/transit/decrypt/quarterdeck") => {
                let found = wrapped.get(body["ciphertext"].as_str().unwrap());
                match found.filter(|(aad, _)| *aad == body["associated_data"]) {
                    Some((_, plain)) => {
                        Reply::new(200, json!({ "data": { "plaintext": plain } }).to_string())
                    }
                    None => Reply::new(
                        400,
                        json!({ "errors": ["cipher: message authentication failed"] }).to_string(),
                    ),
                }
            }
            _ => Reply::new(404, json!({ "errors": [] }).to_string()),
        }
    }
}

fn options(server: &HttpServer, token: &str) -> SecretOptions {
    let url = format!("{}/transit/quarterdeck", server.url);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, token).unwrap();
    let mut options = VaultOptions::read(&url, Some(file)).unwrap();
    options.token = VaultToken::Text(token.to_owned().into());
    SecretOptions::default().with_vault(options).unwrap()
}

#[tokio::test]
async fn a_stand_in_for_vault_wraps_the_data_keys_and_sees_no_value() {
    let (db, vault) = (TestDatabase::sqlite().await, Vault::default());
    let (store, server) = (db.migrated().await, vault.start());
    let started = async |token: &str| {
        let mut build = TestKernel::build().store(&store).idle();
        build.options.secrets = options(&server, token);
        build.on(&db).await
    };
    let t = started(TOKEN).await;
    put(&t, "a", "canary-of-vault").await;
    assert_eq!(
        t.kernel.secret_keys(t.scope).await.unwrap().master.as_deref(),
        Some("vault:transit/quarterdeck")
    );
    assert!(t.kernel.secrets.health().await.ok);
    // Another process unwraps what this one wrapped.
    let other = started(TOKEN).await;
    assert_eq!(read(&other, "secret://a").await.unwrap(), "canary-of-vault");
    let heard: String = server.heard().iter().map(|heard| heard.body.clone()).collect();
    assert!(!heard.contains("canary") && heard.contains("associated_data"));
    let asked = server.heard().len();
    assert_eq!(read(&other, "secret://a").await.unwrap(), "canary-of-vault");
    assert_eq!(server.heard().len(), asked, "a data key is unwrapped once");

    let refused = started("another token").await;
    let error = read(&refused, "secret://a").await.unwrap_err();
    assert_eq!(error.code, "vault_refused");
    assert!(error.detail.contains("permission denied") && !error.detail.contains("another token"), "{error}");
    vault.sealed.store(true, std::sync::atomic::Ordering::Relaxed);
    let late = started(TOKEN).await;
    let error = read(&late, "secret://a").await.unwrap_err();
    assert_eq!(error.code, "vault_unreachable");
    let error = late.kernel.secret_put(&late.context(), path("b"), Secret::new("x")).await.unwrap_err();
    assert_eq!(error.code, "vault_unreachable");
    assert!(!format!("{:?}", options(&server, TOKEN)).contains(TOKEN));
}

#[test]
fn vaults_url_names_the_mount_and_the_key() {
    let token = Some(std::path::PathBuf::from("/run/token"));
    let options = VaultOptions::read("https://vault:8200/team/transit/qd", token.clone()).unwrap();
    assert_eq!((options.mount.as_str(), options.key.as_str()), ("team/transit", "qd"));
    for wrong in [
        "vault:8200/transit/qd",
        "https://vault:8200",
        "https://vault:8200/transit",
        "https://me:x@vault/transit/qd",
        "x",
    ] {
        assert_eq!(VaultOptions::read(wrong, token.clone()).unwrap_err().code, "vault_url", "{wrong}");
    }
}
