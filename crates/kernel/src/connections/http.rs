//! The connection type `http`: a service that is asked over HTTP, with a token or headers that hold one.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    violation::{Pointer, Violation},
};
use reqwest::{
    StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, ConnectionType, Probe, SecretRef, shape};
use crate::{outbound, secrets::Secret};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpConnection {
    /// What it leads to.
    #[serde(rename = "type")]
    kind: HttpKind,
    /// What is asked, such as `https://api.example.org/v1`; a test GETs it.
    #[schemars(length(max = 500))]
    address: String,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<SecretRef>,
    /// Further headers whose values are secrets, such as `x-api-key`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, SecretRef>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum HttpKind {
    Http,
}

pub(crate) fn connection_type() -> ConnectionType {
    ConnectionType {
        name: "http",
        schema: shape::schema::<HttpConnection>(),
        example: json!({ "type": "http", "address": "https://api.example.org", "token": "secret://api/token" }),
        parse,
        secret_fields: &["/token", "/headers/*"],
        probe: Arc::new(Http),
    }
}

fn parse(spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
    let read: HttpConnection = shape::read(spec)?;
    let mut found = shape::address(&read.address, true);
    let at = Pointer::root();
    let headers = at.key("headers");
    for name in read.headers.keys().filter(|name| name.parse::<HeaderName>().is_err()) {
        found.push(Violation::new(headers.key(name), "invalid_name", "no name of a header"));
    }
    let token = read.token.iter().map(|token| (at.key("token"), token));
    found.extend(shape::secrets(
        token.chain(read.headers.iter().map(|(name, value)| (headers.key(name), value))),
    ));
    shape::written(&read, found)
}

struct Http;

#[async_trait]
impl Probe for Http {
    async fn probe(&self, call: &Call<'_>) -> Result<String> {
        let spec: HttpConnection = shape::read(call.spec).map_err(Error::from_violations)?;
        let url = call.outbound.url(&spec.address)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &spec.token {
            headers.insert(AUTHORIZATION, header("Bearer ", &call.word(token).await?)?);
        }
        for (name, reference) in &spec.headers {
            let name: HeaderName = name.parse().map_err(|_| unfit())?;
            headers.insert(name, header("", &call.word(reference).await?)?);
        }
        let request = call.outbound.client()?.get(url).headers(headers).timeout(call.within);
        let answer = request.send().await.map_err(|error| outbound::failure(&error))?;
        let status = answer.status();
        match status.as_u16() {
            200..=299 => Ok(format!("it answers {status}")),
            300..=399 => Err(Error::unavailable(
                "connection_refused",
                format!("it answers {status}; redirects are not followed"),
            )),
            401 | 403 => Err(Error::unavailable(
                "connection_refused",
                format!("it answers {status}: it does not take the secret"),
            )),
            // Nothing of the rest: it may repeat what was sent, in any spelling.
            _ => Err(unwell(status, format!("it answers {status}"))),
        }
    }
}

/// Of an answer that is no success: whether the other side failed, or does not do what was asked.
pub(super) fn unwell(status: StatusCode, detail: String) -> Error {
    if status.is_server_error() {
        return Error::unavailable("upstream_failed", detail);
    }
    Error::unavailable("connection_refused", detail)
}

pub(super) fn header(before: &str, secret: &Secret) -> Result<HeaderValue> {
    let text = zeroize::Zeroizing::new(format!("{before}{}", secret.expose()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| unfit())?;
    value.set_sensitive(true);
    Ok(value)
}

fn unfit() -> Error {
    Error::unavailable("secret_missing", "a header does not carry what the secret holds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_checked_field_by_field_and_repeats_nothing() {
        let good = json!({ "type": "http", "address": "https://api.example.org/v1?x=1", "token": "secret://api/token",
            "headers": { "x-api-key": { "env": "API_KEY" } } });
        assert_eq!(parse(&good), Ok(good.clone()));
        let cases = [
            ("/address", json!({ "address": "api.example.org" })),
            ("/address", json!({ "address": "https://me:canary@api.example.org" })),
            ("/address", json!({ "address": 7 })),
            ("/token", json!({ "token": "canary" })),
            ("/token", json!({ "token": { "value": "canary" } })),
            ("/token/env", json!({ "token": { "env": "canary 4711" } })),
            ("/headers/x", json!({ "headers": { "x": "canary" } })),
            ("/headers/x y", json!({ "headers": { "x y": "secret://a" } })),
            ("/pasword", json!({ "pasword": "canary" })),
        ];
        for (pointer, change) in cases {
            let mut spec = good.clone();
            spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let found = parse(&spec).unwrap_err();
            assert_eq!(
                found.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>(),
                [pointer],
                "{change}"
            );
            assert!(!format!("{found:?}").contains("canary"), "{found:?}");
        }
        let missing = parse(&json!({ "type": "http" })).unwrap_err();
        assert_eq!((missing[0].pointer.as_str(), missing[0].code.as_str()), ("/address", "missing_field"));
    }
}
