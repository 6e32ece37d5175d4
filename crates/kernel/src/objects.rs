//! Object stores by one URL: `s3://bucket/prefix?endpoint=http://host:9000&region=…` for anything that speaks S3 (keys from
//! `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or from the machine's role), `file:///folder` for a folder.
//!
//! What is kept there, and what happens while it is away, is known by whoever opens it.

use std::time::Duration;

use object_store::{
    ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
};

/// One attempt of one request.
const LIMIT: Duration = Duration::from_secs(20);
/// All attempts of one request; whoever asked tries again later.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store that was opened; whether it can be reached is not known yet.
pub(crate) struct Objects {
    pub store: Box<dyn ObjectStore>,
    pub prefix: Path,
    /// The address, without what signs in to it.
    pub name: String,
}

/// # Errors
/// In words, for an address that cannot be one.
pub(crate) fn open(url: &str, keys: Option<&(String, String)>) -> Result<Objects, String> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("it begins with s3:// or file:///; without one, all stays in the database")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (store, prefix): (Box<dyn ObjectStore>, &str) = match scheme {
        "file" if place.starts_with('/') && query.is_empty() => {
            std::fs::create_dir_all(place).map_err(|error| format!("make {place}: {error}"))?;
            let folder = LocalFileSystem::new_with_prefix(place).map_err(|error| error.to_string())?;
            (Box::new(folder.with_automatic_cleanup(true).with_fsync(true)), "")
        }
        "s3" => {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            if bucket.is_empty() {
                return Err("it names no bucket".into());
            }
            (Box::new(s3(bucket, query, keys)?), prefix)
        }
        _ => return Err("it is s3://bucket/prefix or file:///folder".into()),
    };
    let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|error| error.to_string())?;
    Ok(Objects { store, prefix, name: format!("{scheme}://{place}") })
}

/// The innermost reason: what stands around it are the attempts and their times.
pub(crate) fn said_shortly(error: &object_store::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let text = inner.to_string();
    text.chars().take(200).collect()
}

fn s3(
    bucket: &str,
    query: &str,
    keys: Option<&(String, String)>,
) -> std::result::Result<object_store::aws::AmazonS3, String> {
    // The client wants to know its cryptography even where nothing is encrypted; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    let mut client = ClientOptions::new().with_timeout(LIMIT).with_connect_timeout(LIMIT / 4);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("endpoint", endpoint)) => {
                if endpoint.starts_with("http://") {
                    client = client.with_allow_http(true);
                }
                builder = builder.with_endpoint(endpoint);
            }
            Some(("region", region)) => builder = builder.with_region(region),
            _ => {
                return Err(format!("{pair:?} is unknown: there are endpoint=… and region=…"));
            }
        }
    }
    if let Some((id, secret)) = keys {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    let retry = RetryConfig { max_retries: 3, retry_timeout: PATIENCE, ..RetryConfig::default() };
    builder.with_client_options(client).with_retry(retry).build().map_err(|error| error.to_string())
}
