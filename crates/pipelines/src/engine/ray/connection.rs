//! The connection type `ray`: where the head of a Ray cluster answers, and where its token is found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use qd_core::error::{Error, Result};
use qd_core::violation::{Pointer, Violation};
use qd_kernel::connections::{Call, ConnectionType, Probe, SecretRef, WANTED, is_plain_absolute};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{self, Api, Fault};
use super::cluster::ray_connection;
use crate::conformance::Conformance;
use crate::spec::plain_schema;

/// As in `type`.
pub(crate) const RAY_CONNECTION: &str = "ray";

/// A Ray cluster, as a person describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RayConnection {
    /// What it leads to.
    #[serde(rename = "type")]
    pub kind: RayKind,
    /// Where the head's dashboard answers, such as `http://ray-head:8265`: the Jobs API is there.
    #[schemars(length(max = 500))]
    pub address: String,
    /// Where the server finds the token; without it none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// How many runs may be active on it at once; those over it wait their turn. No limit without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_active_runs: Option<u32>,
    /// The folder on the cluster below which results are written, one folder for each run. A shared one outlives its node.
    #[serde(default = "default_output")]
    #[schemars(length(max = 500))]
    pub output: String,
}

/// The one value of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum RayKind {
    Ray,
}

fn default_output() -> String {
    "/tmp/quarterdeck".to_owned()
}

/// What this plane registers.
pub(crate) fn connection_type() -> ConnectionType {
    ConnectionType {
        name: RAY_CONNECTION,
        schema: plain_schema::<RayConnection>(),
        example: json!({
            "type": "ray", "address": "http://ray-head:8265", "token": "secret://ray/token"
        }),
        parse,
        secret_fields: &["/token"],
        probe: Arc::new(Head),
    }
}

fn parse(spec: &Value) -> Result<Value, Vec<Violation>> {
    let checker =
        Conformance::new(plain_schema::<RayConnection>(), "").map_err(|violation| vec![violation])?;
    let mut violations = checker.violations(spec, "");
    if !violations.is_empty() {
        for violation in violations.iter_mut().filter(|one| one.pointer.starts_with("/token")) {
            // The usual words repeat what stands there, which may be a token.
            violation.detail = WANTED.to_owned();
        }
        return Err(violations);
    }
    let invalid = |error: serde_json::Error| vec![Violation::new("", "invalid_value", error.to_string())];
    let parsed = RayConnection::deserialize(spec).map_err(invalid)?;
    let at = Pointer::root();
    if let Err(why) = check_address(&parsed.address) {
        violations.push(Violation::new(at.key("address"), "invalid_format", why));
    }
    if !is_plain_absolute(Path::new(&parsed.output)) {
        let detail = "an absolute path without `..` is wanted";
        violations.push(Violation::new(at.key("output"), "invalid_format", detail));
    }
    let token = parsed.token.iter().flat_map(|token| token.violations(&at.key("token")));
    violations.extend(token);
    if violations.is_empty() { serde_json::to_value(parsed).map_err(invalid) } else { Err(violations) }
}

/// Nothing of the address is repeated: somebody may have written a password into it.
fn check_address(address: &str) -> Result<(), &'static str> {
    let url = Url::parse(address).map_err(|_| "no URL such as http://ray-head:8265")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("a URL with http or https and a host is wanted");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address holds no user and no password: a token is named in `token`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address ends with its path");
    }
    Ok(())
}

/// Asks the head for its version, as a health check does.
struct Head;

#[async_trait]
impl Probe for Head {
    async fn probe(&self, call: &Call<'_>) -> Result<String> {
        let spec = ray_connection(call.spec)
            .ok_or_else(|| Error::internal("spec_unreadable", "the connection's spec cannot be read"))?;
        call.outbound.url(&spec.address)?;
        let token = match &spec.token {
            Some(token) => Some(call.word(token).await?),
            None => None,
        };
        let client = api::client(call.outbound)?;
        let version = Api::new(&client, &spec.address, token).version(call.within).await;
        version.map(|version| format!("Ray {version}")).map_err(Fault::into_error)
    }
}

impl RayConnection {
    /// Where a run's results go.
    pub fn output_of(&self, run: &str) -> PathBuf {
        Path::new(&self.output).join(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(spec: Value) -> Vec<(String, String)> {
        let found = parse(&spec).err().unwrap_or_default();
        assert!(!format!("{found:?}").contains("canary"), "{found:?}");
        found.into_iter().map(|one| (one.pointer.to_string(), one.code.to_string())).collect()
    }

    #[test]
    fn a_connection_is_checked_field_by_field() {
        let good = json!({ "type": "ray", "address": "https://ray.example.org/team-a", "token": { "file": "/run/token" } });
        let mut written_out = good.clone();
        written_out["output"] = json!("/tmp/quarterdeck");
        assert_eq!(parse(&good), Ok(written_out));
        let cases = [
            ("/address", "invalid_format", json!({ "address": "ray-head:8265" })),
            ("/address", "invalid_format", json!({ "address": "ftp://ray-head" })),
            ("/address", "invalid_format", json!({ "address": "http://me:canary@ray-head" })),
            ("/address", "invalid_format", json!({ "address": "http://ray-head/?token=canary" })),
            ("/address", "wrong_type", json!({ "address": 8265 })),
            ("/output", "invalid_format", json!({ "output": "results" })),
            ("/output", "invalid_format", json!({ "output": "/a/../b" })),
            ("/token/env", "invalid_name", json!({ "token": { "env": "canary 4711" } })),
            ("/token/file", "invalid_format", json!({ "token": { "file": "token" } })),
            ("/pasword", "unknown_field", json!({ "pasword": "x" })),
        ];
        for (pointer, code, change) in cases {
            let mut spec = good.clone();
            let members = spec.as_object_mut().unwrap();
            members.extend(change.as_object().unwrap().clone());
            assert_eq!(faults(spec), [(pointer.to_owned(), code.to_owned())], "{change}");
        }
        let mut without = good;
        without.as_object_mut().unwrap().remove("address");
        assert_eq!(faults(without), [("/address".to_owned(), "missing_field".to_owned())]);
    }

    #[test]
    fn a_token_that_stands_in_the_spec_is_refused_without_being_repeated() {
        for token in [json!("canary"), json!({ "value": "canary" })] {
            let spec = json!({ "type": "ray", "address": "http://ray-head:8265", "token": token });
            assert!(!faults(spec).is_empty());
        }
    }
}
