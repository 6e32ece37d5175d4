//! `sslmode` and `sslrootcert` with libpq's meanings, over rustls with ring.
//!
//! `require` encrypts and, like libpq, looks at the certificate only where `sslrootcert` is given; `verify-full` checks
//! the chain and the host's name against `sslrootcert` or the system's certificates. `verify-ca` is not offered.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::{StoreError, StoreResult};

/// Where distributions keep the certificates that the system trusts.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

pub(super) struct TlsOptions {
    pub mode: SslMode,
    verify: bool,
    root_file: Option<String>,
}

/// Takes the TLS options out of the URL: the driver does not know all of them.
pub(super) fn split(url: &str) -> StoreResult<(String, TlsOptions)> {
    let mut options = TlsOptions { mode: SslMode::Prefer, verify: false, root_file: None };
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), options)) };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => {
                (options.mode, options.verify) = match mode {
                    "disable" => (SslMode::Disable, false),
                    "allow" | "prefer" => (SslMode::Prefer, false),
                    "require" => (SslMode::Require, false),
                    "verify-full" => (SslMode::Require, true),
                    other => return Err(StoreError::Refused(format!("sslmode={other} is not offered"))),
                };
            }
            Some(("sslrootcert", file)) => options.root_file = Some(file.replace("%2F", "/")),
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((url, options))
}

impl TlsOptions {
    pub fn connector(&self) -> StoreResult<MakeRustlsConnect> {
        let provider = Arc::new(ring::default_provider());
        let failed = |error: rustls::Error| StoreError::Unavailable(format!("set up TLS: {error}"));
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let verify = self.verify || (self.mode == SslMode::Require && self.root_file.is_some());
        let config = if verify {
            builder.with_root_certificates(self.roots()?).with_no_client_auth()
        } else {
            let any = Arc::new(AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth()
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self) -> StoreResult<RootCertStore> {
        let file = match &self.root_file {
            Some(file) => file.as_str(),
            None => SYSTEM_ROOTS.into_iter().find(|file| std::path::Path::new(file).exists()).ok_or_else(
                || StoreError::Refused("no system certificates found: give sslrootcert".into()),
            )?,
        };
        let unreadable = |error: &dyn std::fmt::Display| StoreError::Refused(format!("read {file}: {error}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
            roots
                .add(certificate.map_err(|error| unreadable(&error))?)
                .or_else(|error| if self.root_file.is_some() { Err(unreadable(&error)) } else { Ok(()) })?;
        }
        Ok(roots)
    }
}

/// Checks that the server holds its certificate's key, and nothing about whose certificate it is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_options_leave_the_url() {
        let (url, options) =
            split("postgres://h/db?sslmode=verify-full&connect_timeout=3&sslrootcert=/a.pem").unwrap();
        assert_eq!(url, "postgres://h/db?connect_timeout=3");
        assert!(options.verify && options.root_file.as_deref() == Some("/a.pem"));
        assert!(split("postgres://h/db?sslmode=verify-ca").is_err());
    }
}
