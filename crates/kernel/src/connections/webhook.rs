//! The connection type `webhook`: an address that is told of things, each time signed with a secret that both sides know.
//!
//! The signature is that of Standard Webhooks: HMAC-SHA256 over the message's id, its time and its body, so that who receives it knows
//! who sent it, and refuses one that was recorded and sent again. [`send`] is how a message goes out; who has
//! something to tell, and tries again, is another's matter ([`crate::subscriptions`]).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use qd_core::{
    error::{Error, Result},
    violation::{Pointer, Violation},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Call, ConnectionType, Probe, SecretRef, http::unwell, shape};
use crate::{
    kernel::Kernel,
    outbound,
    secrets::{Secret, SecretUse, redact},
};

/// As in `type`.
pub(crate) const TYPE: &str = "webhook";
/// A receiver that takes longer has not taken the message.
const WITHIN: Duration = Duration::from_secs(4);

pub const ID_HEADER: &str = "webhook-id";
pub const TIME_HEADER: &str = "webhook-timestamp";
pub const SIGNATURE_HEADER: &str = "webhook-signature";

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WebhookConnection {
    /// What it leads to.
    #[serde(rename = "type")]
    kind: WebhookKind,
    /// Where messages are sent; a test POSTs one of the type `quarterdeck.test`.
    #[schemars(length(max = 500))]
    address: String,
    /// What messages are signed with: the receiver knows it too.
    secret: SecretRef,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum WebhookKind {
    Webhook,
}

pub(crate) fn connection_type() -> ConnectionType {
    ConnectionType {
        name: TYPE,
        schema: shape::schema::<WebhookConnection>(),
        example: json!({ "type": "webhook", "address": "https://example.org/hooks/quarterdeck", "secret": "secret://hooks/signing" }),
        parse,
        secret_fields: &["/secret"],
        probe: Arc::new(Webhook),
    }
}

fn parse(spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
    let read: WebhookConnection = shape::read(spec)?;
    let mut found = shape::address(&read.address, true);
    found.extend(shape::secrets([(Pointer::root().key("secret"), &read.secret)]));
    shape::written(&read, found)
}

/// `v1,<base64>`, as Standard Webhooks has it; `seconds` since 1970.
#[must_use]
pub fn sign(secret: &Secret, id: &str, seconds: i64, body: &str) -> String {
    // A key with `whsec_` before it is written in base64, as its receivers have it.
    let key = secret.expose().strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    let key = zeroize::Zeroizing::new(key.unwrap_or_else(|| secret.expose().as_bytes().to_vec()));
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// What is sent, the same each time.
pub(crate) struct Message {
    /// By which a receiver knows a repeat.
    pub id: String,
    pub body: String,
}

/// Sends a message over a published connection, signed as of now. Done is what the receiver answers with 2xx.
///
/// # Errors
/// `webhook_refused` where it answers something else; what the secret and the address are refused for. Nothing that the receiver said is
/// repeated.
pub(crate) async fn send(kernel: &Kernel, spec: &Value, usage: &SecretUse, message: &Message) -> Result<()> {
    let spec: WebhookConnection = shape::read(spec).map_err(Error::from_violations)?;
    let url = kernel.outbound.url(&spec.address)?;
    let secret = spec.secret.read(&kernel.secrets, usage).await?;
    let seconds = kernel.source.now().micros().div_euclid(1_000_000);
    let request = kernel
        .outbound
        .kept_client()?
        .post(url)
        .timeout(WITHIN)
        .header("content-type", "application/json")
        .header(ID_HEADER, &message.id)
        .header(TIME_HEADER, seconds)
        .header(SIGNATURE_HEADER, sign(&secret, &message.id, seconds, &message.body))
        .body(message.body.clone());
    let answer = request.send().await.map_err(|error| {
        let error = outbound::failure(&error);
        Error::new(error.kind, error.code, redact(&error.detail, std::slice::from_ref(&secret)))
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(Error::unavailable("webhook_refused", format!("the receiver answers {status}")))
}

struct Webhook;

#[async_trait]
impl Probe for Webhook {
    async fn probe(&self, call: &Call<'_>) -> Result<String> {
        let spec: WebhookConnection = shape::read(call.spec).map_err(Error::from_violations)?;
        let url = call.outbound.url(&spec.address)?;
        let secret = call.secret(&spec.secret).await?;
        let now = call.now();
        let (id, seconds) = (call.id().to_string(), now.micros().div_euclid(1_000_000));
        let body = json!({ "type": "quarterdeck.test", "timestamp": now, "data": {} }).to_string();
        let request = call
            .outbound
            .client()?
            .post(url)
            .timeout(call.within)
            .header("content-type", "application/json")
            .header(ID_HEADER, &id)
            .header(TIME_HEADER, seconds)
            .header(SIGNATURE_HEADER, sign(&secret, &id, seconds, &body))
            .body(body);
        let answer = request.send().await.map_err(|error| outbound::failure(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(format!("it takes a signed test message: {status}"));
        }
        Err(unwell(status, format!("it answers {status} to a signed test message")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_message_is_signed_as_its_receivers_check_it() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
