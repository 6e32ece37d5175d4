//! The connection type `s3`: a bucket of anything that speaks S3.
//!
//! The keys are the connection's own. The role that the server's machine may have is not used: it is the operator's, and who
//! writes connections is somebody else.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use object_store::{
    ClientOptions, ObjectStore as _, RetryConfig,
    aws::AmazonS3Builder,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
    path::Path,
};
use qd_core::{
    error::{Error, Result},
    violation::{Pointer, Violation},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, ConnectionType, Probe, SecretRef, shape};
use crate::outbound;

/// Longest answer that is read, bytes: a page of a list has a thousand keys of a kilobyte at most.
const ANSWER: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct S3Connection {
    /// What it leads to.
    #[serde(rename = "type")]
    kind: S3Kind,
    #[schemars(length(min = 3, max = 63))]
    bucket: String,
    /// Where nothing else is said, only what lies below it is meant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 500))]
    prefix: String,
    #[serde(default = "region")]
    region: String,
    /// Where it is not AWS, such as `https://minio.example.org:9000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Of the key; no secret.
    access_key_id: String,
    secret_access_key: SecretRef,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum S3Kind {
    S3,
}

fn region() -> String {
    "us-east-1".to_owned()
}

pub(crate) fn connection_type() -> ConnectionType {
    ConnectionType {
        name: "s3",
        schema: shape::schema::<S3Connection>(),
        example: json!({
            "type": "s3", "bucket": "models", "address": "https://minio.example.org:9000", "access_key_id": "quarterdeck",
            "secret_access_key": "secret://models/key"
        }),
        parse,
        secret_fields: &["/secret_access_key"],
        probe: Arc::new(S3),
    }
}

fn parse(spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
    let read: S3Connection = shape::read(spec)?;
    let mut found =
        read.address.iter().flat_map(|address| shape::address(address, false)).collect::<Vec<_>>();
    let at = Pointer::root();
    let named = |text: &str| {
        (3..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b))
    };
    if !named(&read.bucket) {
        found.push(Violation::new(
            at.key("bucket"),
            "invalid_name",
            "3 to 63 of a-z, 0-9, '.', '-' and '_' are wanted",
        ));
    }
    if Path::parse(&read.prefix).is_err() {
        found.push(Violation::new(
            at.key("prefix"),
            "invalid_format",
            "a path without empty parts is wanted",
        ));
    }
    if !is_region(&read.region) {
        let detail = "1 to 32 of a-z, 0-9 and '-' are wanted";
        found.push(Violation::new(at.key("region"), "invalid_name", detail));
    }
    found.extend(shape::secrets([(at.key("secret_access_key"), &read.secret_access_key)]));
    shape::written(&read, found)
}

/// Part of a host's name, and nothing that leads elsewhere.
fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Hands the guarded client to the store.
#[derive(Debug, Clone)]
struct Guarded(reqwest::Client);

impl HttpConnector for Guarded {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Guarded {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let (head, body) = HttpService::call(&self.0, request).await?.into_parts();
        let (mut parts, mut read) = (body.bytes_stream(), vec![]);
        while let Some(part) = parts.try_next().await? {
            if read.len() + part.len() > ANSWER {
                let why = std::io::Error::other("the answer is longer than a list of a bucket");
                return Err(HttpError::new(HttpErrorKind::Decode, why));
            }
            read.extend_from_slice(&part);
        }
        Ok(HttpResponse::from_parts(head, read.into()))
    }
}

struct S3;

#[async_trait]
impl Probe for S3 {
    async fn probe(&self, call: &Call<'_>) -> Result<String> {
        let spec: S3Connection = shape::read(call.spec).map_err(Error::from_violations)?;
        // One that an older server took.
        if !is_region(&spec.region) {
            return Err(Error::forbidden("address_refused", "the region is no part of a host's name"));
        }
        let endpoint = spec.address.clone();
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", spec.region));
        call.outbound.url(&endpoint)?;
        let key = call.secret(&spec.secret_access_key).await?;
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&spec.bucket)
            .with_region(&spec.region)
            .with_access_key_id(&spec.access_key_id)
            .with_secret_access_key(key.expose())
            .with_retry(RetryConfig { max_retries: 0, retry_timeout: call.within, ..RetryConfig::default() })
            .with_endpoint(&endpoint)
            .with_allow_http(spec.address.is_some())
            .with_http_connector(Guarded(call.outbound.client()?));
        let store = builder.build().map_err(|error| failure(&error))?;
        let prefix = Path::parse(&spec.prefix)
            .map_err(|error| Error::unavailable("unreachable", error.to_string()))?;
        let below = (!spec.prefix.is_empty()).then_some(&prefix);
        let first = store.list(below).try_next().await.map_err(|error| failure(&error))?;
        Ok(match first {
            Some(_) => format!("the bucket {} can be listed", spec.bucket),
            None => format!("the bucket {} can be listed, and nothing lies there", spec.bucket),
        })
    }
}

fn failure(error: &object_store::Error) -> Error {
    if let Some(refused) = outbound::refusal(error) {
        return refused.clone().into();
    }
    let text = error.to_string();
    let code = if matches!(error, object_store::Error::Generic { .. }) {
        "unreachable"
    } else {
        "connection_refused"
    };
    Error::unavailable(code, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_part_of_a_name_and_leads_nowhere_else() {
        let with = |region: &str| {
            parse(&json!({
                "type": "s3", "bucket": "models", "region": region, "access_key_id": "k", "secret_access_key": "secret://k",
            }))
        };
        assert!(with("eu-central-1").is_ok());
        let long = "a".repeat(33);
        for wrong in ["", "x@10.0.0.5:8443/?", "a%00b", "a.b", "A", "a/b", &long] {
            let found = with(wrong).unwrap_err();
            assert_eq!(
                (found[0].pointer.as_str(), found[0].code.as_str()),
                ("/region", "invalid_name"),
                "{wrong}"
            );
        }
    }
}
