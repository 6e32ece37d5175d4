//! Tokens as somebody makes them who wants to get in: any header, any claims, signed with any key or with none.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::Value;

fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", part(header.to_string()), part(claims.to_string()))
}

fn pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a key")
}

/// Signed with Ed25519, whatever the header says.
pub fn ed25519(seed: &[u8; 32], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = pair(seed).sign(message.as_bytes());
    format!("{message}.{}", part(signature))
}

/// The public half of that key.
pub fn public(seed: &[u8; 32]) -> [u8; 32] {
    pair(seed).public_key().as_ref().try_into().expect("32 bytes")
}

/// The same as a JWK.
pub fn jwk(seed: &[u8; 32], kid: &str) -> Value {
    serde_json::json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": part(public(seed)),
    })
}

/// Signed with HMAC-SHA-256, whatever the header says.
pub fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", part(tag))
}

/// Not signed.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.", message(header, claims))
}

/// What a token says, whoever signed it.
pub fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).expect("base64")).expect("JSON")
}
