//! The server's own certificate: read at the start, and again whenever its files change, without a restart.
//!
//! A certificate that cannot be used is never put in the place of one that can: what was read last goes on being served,
//! and `/ready` says what is wrong with the files.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use qd_core::{
    error::{Error, Result},
    time::Timestamp,
};
use qd_kernel::clock::Source;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_cert::der::Decode as _;

use super::options::TlsFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Before its end, a certificate is spoken of.
const SOON: Duration = Duration::from_hours(24 * 7);

pub struct Certificate {
    pub acceptor: TlsAcceptor,
    files: TlsFiles,
    source: Source,
    served: Arc<Served>,
    found: Mutex<Found>,
}

/// What the next handshake is answered with.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

/// What the files held when they were last looked at.
struct Found {
    bytes: Bytes,
    ends_at: Timestamp,
    /// Why what they hold is not what is served.
    wrong: Option<String>,
}

#[derive(PartialEq)]
struct Bytes {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// How the certificate is.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether clients accept it, as far as its time goes.
    pub valid: bool,
    /// Whether there is nothing to be said of it.
    pub ok: bool,
    pub detail: String,
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// # Errors
    /// `bad_certificate` names the file and what is wrong with it.
    pub fn load(files: &TlsFiles, source: Source) -> Result<Self> {
        // The process may have chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bytes = read(files).map_err(bad)?;
        let (key, ends_at) = parse(files, &bytes).map_err(bad)?;
        let served = Arc::new(Served(RwLock::new(key)));
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(served.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let found = Mutex::new(Found { bytes, ends_at, wrong: None });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let certificate = Self { acceptor, files: files.clone(), source, served, found };
        let reading = certificate.reading();
        if !reading.ok {
            tracing::warn!(detail = reading.detail, "the certificate for TLS");
        }
        Ok(certificate)
    }

    /// Looks at the files, and serves what they hold now if it can be served.
    pub fn look(&self) {
        let bytes = read(&self.files);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let read = bytes.and_then(|bytes| match bytes == found.bytes {
            true => Ok(None),
            false => parse(&self.files, &bytes).map(|(key, ends_at)| Some((bytes, key, ends_at))),
        });
        match read {
            Ok(None) => found.wrong = None,
            Ok(Some((bytes, key, ends_at))) => {
                *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = key;
                *found = Found { bytes, ends_at, wrong: None };
                tracing::info!(%ends_at, "took up a new certificate for TLS");
            }
            Err(why) => {
                let why = why.to_string();
                if found.wrong.as_ref() != Some(&why) {
                    tracing::warn!(why, "the new certificate for TLS cannot be used: the one before stays");
                }
                found.wrong = Some(why);
            }
        }
    }

    /// Looks again and again.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let certificate = self.clone();
            // An error says that it panicked; the next look may fare better.
            let _ = tokio::task::spawn_blocking(move || certificate.look()).await;
        }
    }

    /// The file, where its certificate is its own root: whoever trusts it trusts this server.
    pub fn own_root(&self) -> Option<&Path> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let first = CertificateDer::pem_slice_iter(&found.bytes.cert).next()?.ok()?;
        let named = x509_cert::Certificate::from_der(&first).ok()?.tbs_certificate;
        (named.issuer == named.subject).then_some(self.files.cert.as_path())
    }

    pub fn reading(&self) -> Reading {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, ends_at) = (self.source.now(), found.ends_at);
        let valid = now < ends_at;
        let mut said = vec![];
        if !valid {
            said.push(format!("the certificate has expired at {ends_at}"));
        } else if now.checked_add(SOON).is_some_and(|soon| soon > ends_at) {
            said.push(format!("the certificate expires at {ends_at}"));
        }
        said.extend(found.wrong.iter().map(|why| format!("the one before is served, for {why}")));
        match said.is_empty() {
            true => Reading { valid, ok: true, detail: format!("valid until {ends_at}") },
            false => Reading { valid, ok: false, detail: said.join("; ") },
        }
    }
}

/// What is wrong with the files.
struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn bad(why: Wrong) -> Error {
    Error::malformed("bad_certificate", why.0)
}

fn read(files: &TlsFiles) -> Result<Bytes, Wrong> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| Wrong(format!("{} cannot be read: {error}", path.display())))
    };
    Ok(Bytes { cert: read(&files.cert)?, key: read(&files.key)? })
}

fn parse(files: &TlsFiles, bytes: &Bytes) -> Result<(Arc<CertifiedKey>, Timestamp), Wrong> {
    let (cert, key) = (files.cert.display(), files.key.display());
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&bytes.cert).collect();
    let chain = chain.map_err(|error| Wrong(format!("{cert} is no PEM file: {error}")))?;
    let first = chain.first().ok_or_else(|| Wrong(format!("{cert} holds no certificate")))?;
    let ends_at = ends_at(first).ok_or_else(|| Wrong(format!("{cert} holds what is no certificate")))?;
    // The error would name what it found; a key is not spoken of.
    let private = PrivateKeyDer::from_pem_slice(&bytes.key)
        .map_err(|_| Wrong(format!("{key} holds no private key")))?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(chain, private, &provider)
        .map_err(|error| Wrong(format!("{cert} and {key} do not go together: {error}")))?;
    Ok((Arc::new(certified), ends_at))
}

fn ends_at(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let ends = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    Some(Timestamp::from_micros(i64::try_from(ends.as_micros()).ok()?))
}
