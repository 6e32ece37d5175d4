//! Code folders on their way to the server: packed, stored once by digest, named by digest in the document.
//!
//! A dry run stores them too: without the code its classes could not be checked, and an archive that nothing names
//! changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use qd_pipelines::code::{self, Packed};
use reqwest::Method;

use super::Bundle;
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::output::age;

/// Every code folder of a bundle, packed once each.
#[derive(Debug, Default)]
pub struct CodeSet {
    by_path: BTreeMap<PathBuf, Packed>,
}

impl CodeSet {
    /// Packs what the bundle names.
    pub fn pack(bundle: &Bundle) -> Result<Self, Failure> {
        let mut by_path = BTreeMap::new();
        for folder in &bundle.folders {
            if by_path.contains_key(&folder.path) {
                continue;
            }
            if !folder.path.is_dir() {
                let line = bundle.text[..folder.bytes.start].matches('\n').count() + 1;
                return Err(Failure::local_with_help(
                    format!("{}: the code folder {} is not there", bundle.place(line), folder.path.display()),
                    "the path is relative to the file that names it",
                ));
            }
            let packed = code::pack(&folder.path).map_err(|error| {
                Failure::local(format!("pack the code folder {}: {error}", folder.path.display()))
            })?;
            by_path.insert(folder.path.clone(), packed);
        }
        Ok(Self { by_path })
    }

    /// The bundle's text with digests instead of folders.
    pub fn text(&self, bundle: &Bundle) -> String {
        bundle.with_digests(|folder| self.by_path.get(&folder.path).map(|packed| packed.digest.to_string()))
    }

    /// Stores what the server does not have yet.
    pub async fn upload(&self, client: &Client, mut tell: impl FnMut(&str)) -> Result<(), Failure> {
        for (path, packed) in &self.by_path {
            if !stored(client, &packed.digest.to_string()).await? {
                tell(&format!(
                    "storing the code of {} ({})",
                    path.display(),
                    age::bytes(packed.archive.len() as u64)
                ));
                let body = packed.archive.clone();
                client
                    .request(Method::PUT, &route(&packed.digest.to_string()))
                    .body(body, "application/zstd")
                    .send()
                    .await?;
            }
        }
        Ok(())
    }
}

fn route(digest: &str) -> String {
    format!("/api/v1/code/{}", segment(digest))
}

async fn stored(client: &Client, digest: &str) -> Result<bool, Failure> {
    match client.request(Method::HEAD, &route(digest)).send().await {
        Ok(_) => Ok(true),
        Err(failure) if failure.status() == Some(404) => Ok(false),
        Err(failure) => Err(failure),
    }
}
