//! A master key in Vault's transit engine: data keys are sent there to be wrapped and unwrapped, and the key that does it is
//! never seen here.
//!
//! Two calls of its API (`encrypt` and `decrypt`, with associated data, which the key's type must know: `aes256-gcm96`).
//! Deliberately not here: making the key, its rotation inside Vault, and renewing the token. They are Vault's operator's; a
//! token file is read anew for each call, so that an agent may renew it.

use std::{fmt, path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use qd_core::error::{Error, Result, clip};
use reqwest::{Client, StatusCode, redirect};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of a request: a key of 32 bytes and what it is bound to, or the same wrapped.
const ASKED: usize = 1024;

/// The environment's name of the token, where no file is named.
pub const TOKEN_VARIABLE: &str = "VAULT_TOKEN";

/// Where the key is, and the token for it.
#[derive(Clone)]
pub struct VaultOptions {
    pub address: Url,
    /// `transit`
    pub mount: String,
    pub key: String,
    pub token: VaultToken,
}

#[derive(Clone)]
pub enum VaultToken {
    Text(Zeroizing<String>),
    File(PathBuf),
}

impl VaultOptions {
    /// From `https://vault:8200/<mount>/<key>`.
    pub fn read(url: &str, token_file: Option<PathBuf>) -> Result<Self> {
        let wrong = |what: &str| Error::malformed("vault_url", format!("Vault's URL: {what}"));
        let mut address = Url::parse(url).map_err(|_| wrong("https://host:8200/<mount>/<key> is wanted"))?;
        if !matches!(address.scheme(), "http" | "https")
            || !address.username().is_empty()
            || address.password().is_some()
        {
            return Err(wrong("http or https is wanted, and no user in it"));
        }
        let path = address.path().trim_matches('/').to_owned();
        let (mount, key) = path
            .rsplit_once('/')
            .ok_or_else(|| wrong("it ends with the mount and the key, /transit/<key>"))?;
        let (mount, key) = (mount.to_owned(), key.to_owned());
        address.set_path("");
        address.set_query(None);
        let token = match token_file {
            Some(file) => VaultToken::File(file),
            None => {
                std::env::var(TOKEN_VARIABLE).map(|token| VaultToken::Text(token.into())).map_err(|_| {
                    Error::malformed(
                        "vault_token_missing",
                        format!("Vault wants a token: set {TOKEN_VARIABLE}, or name a file of it"),
                    )
                })?
            }
        };
        Ok(Self { address, mount, key, token })
    }
}

impl fmt::Debug for VaultOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultOptions({}{}/{})", self.address, self.mount, self.key)
    }
}

pub(super) struct Vault {
    options: VaultOptions,
    id: String,
    client: Client,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.id)
    }
}

/// What a call carries: one of the two texts.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<&'a str>,
    associated_data: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    ciphertext: Option<String>,
    plaintext: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

impl Vault {
    pub fn new(options: VaultOptions) -> Result<Self> {
        // The process may have chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // The token goes to this address and to no other.
            .redirect(redirect::Policy::none());
        if options.address.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            Error::unavailable("vault_unreachable", "make a client for Vault").with_source(error)
        })?;
        let id = format!("vault:{}/{}", options.mount, options.key);
        Ok(Self { options, id, client })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub async fn encrypt(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let text = Zeroizing::new(STANDARD.encode(plain));
        let body = Asked { plaintext: Some(&text), ciphertext: None, associated_data: STANDARD.encode(aad) };
        let answer = self.call("encrypt", &body).await?;
        answer.ciphertext.map(String::into_bytes).ok_or_else(|| self.unlike("no ciphertext"))
    }

    pub async fn decrypt(&self, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let wrapped = String::from_utf8_lossy(wrapped);
        let body =
            Asked { plaintext: None, ciphertext: Some(&wrapped), associated_data: STANDARD.encode(aad) };
        let answer = self.call("decrypt", &body).await?;
        let plain =
            answer.plaintext.map(Zeroizing::new).and_then(|text| STANDARD.decode(text.as_bytes()).ok());
        plain.map(Zeroizing::new).ok_or_else(|| self.unlike("no plaintext"))
    }

    async fn call(&self, verb: &str, body: &Asked<'_>) -> Result<Data> {
        // Cleared once it is sent, and of its last size from the start, so that nothing is left where it grew.
        let mut text = Zeroizing::new(Vec::with_capacity(ASKED));
        serde_json::to_writer(&mut *text, body).map_err(|error| {
            Error::unavailable("vault_refused", "write a request for Vault").with_source(error)
        })?;
        let mut url = self.options.address.clone();
        url.set_path(&format!("/v1/{}/{verb}/{}", self.options.mount, self.options.key));
        let token = self.token().await?;
        let sent = self.client.post(url).header("x-vault-token", sensitive(&token)?);
        let sent = sent.header("content-type", "application/json").body(Bytes::from_owner(text)).send().await;
        let answer = sent.map_err(|error| {
            let why = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
            Error::unavailable("vault_unreachable", format!("Vault at {} {why}", self.options.address))
        })?;
        let status = answer.status();
        if status.is_success() {
            let answer: Answer = answer.json().await.map_err(|_| self.unlike("another form"))?;
            return Ok(answer.data);
        }
        // Vault's words name what it missed; they hold neither the token nor what was sent.
        let said =
            answer.json::<Refusal>().await.map(|refusal| refusal.errors.join("; ")).unwrap_or_default();
        let detail = format!("Vault answers {status} to {verb} with {}: {}", self.id, clip(said.trim(), 200));
        Err(match status {
            // Sealed, standing by, or overloaded.
            StatusCode::TOO_MANY_REQUESTS => Error::unavailable("vault_unreachable", detail),
            status if status.is_server_error() => Error::unavailable("vault_unreachable", detail),
            _ => Error::unavailable("vault_refused", detail),
        })
    }

    async fn token(&self) -> Result<Zeroizing<String>> {
        match &self.options.token {
            VaultToken::Text(token) => Ok(token.clone()),
            VaultToken::File(file) => {
                let text = tokio::fs::read_to_string(file).await.map(Zeroizing::new).map_err(|error| {
                    Error::unavailable(
                        "vault_refused",
                        format!("Vault's token file cannot be read: {}", error.kind()),
                    )
                })?;
                Ok(Zeroizing::new(text.trim().to_owned()))
            }
        }
    }

    fn unlike(&self, what: &str) -> Error {
        Error::unavailable(
            "vault_refused",
            format!("{} does not answer like Vault's transit engine: {what}", self.options.address),
        )
    }
}

fn sensitive(token: &str) -> Result<reqwest::header::HeaderValue> {
    let mut value = reqwest::header::HeaderValue::from_str(token).map_err(|_| {
        Error::unavailable("vault_refused", "Vault's token has characters that HTTP does not carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
