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
    client::{HttpClient, HttpConnector},
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
    found.extend(shape::secrets([(at.key("secret_access_key"), &read.secret_access_key)]));
    shape::written(&read, found)
}

/// Hands the guarded client to the store.
#[derive(Debug)]
struct Guarded(reqwest::Client);

impl HttpConnector for Guarded {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

struct S3;

#[async_trait]
impl Probe for S3 {
    async fn probe(&self, call: &Call<'_>) -> Result<String> {
        let spec: S3Connection = shape::read(call.spec).map_err(Error::from_violations)?;
        let key = call.secret(&spec.secret_access_key).await?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&spec.bucket)
            .with_region(&spec.region)
            .with_access_key_id(&spec.access_key_id)
            .with_secret_access_key(key.expose())
            .with_retry(RetryConfig { max_retries: 0, retry_timeout: call.within, ..RetryConfig::default() })
            .with_http_connector(Guarded(call.outbound.client()?));
        if let Some(address) = &spec.address {
            call.outbound.url(address)?;
            builder = builder.with_endpoint(address).with_allow_http(true);
        }
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
