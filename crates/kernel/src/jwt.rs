//! JSON Web Tokens: signed with our own key, and read with a key and algorithms that the reader fixes.
//!
//! What a token says of itself decides nothing but which of the known keys is tried: the algorithm, and with it the family of
//! the key, is the caller's. A token that is longer than [`LONGEST`] is not looked into. Why one is refused is told to
//! nobody: a caller learns that it is.
//!
//! Not done here: where keys come from, and what the claims have to be.

mod backend;

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use qd_core::{
    error::{Error, Result},
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes.
pub const LONGEST: usize = 4096;
/// How far the clocks of two machines may be apart, seconds.
pub const LEEWAY_S: i64 = 30;

/// Whether it has the form of a token: three parts, which none of our opaque secrets has.
pub fn looks_like_one(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The id of the key that the token claims to be signed with.
pub fn kid(token: &str) -> Option<String> {
    backend::install();
    if token.len() > LONGEST {
        return None;
    }
    jsonwebtoken::decode_header(token).ok()?.kid
}

/// The claims of a token whose signature is that of the key, by one of the algorithms.
pub fn verify<T: DeserializeOwned>(token: &str, key: &DecodingKey, algorithms: &[Algorithm]) -> Option<T> {
    backend::install();
    if token.len() > LONGEST {
        return None;
    }
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.algorithms = algorithms.iter().copied().filter(|one| one.family() == key.family()).collect();
    if rules.algorithms.is_empty() {
        return None;
    }
    // Claims are the caller's to look at, by the clock that it was given.
    rules.required_spec_claims = HashSet::new();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    jsonwebtoken::decode(token, key, &rules).ok().map(|data| data.claims)
}

/// The issuer that a token names, which nobody has proved yet: to choose by it whose keys to ask.
pub fn claimed_issuer(token: &str) -> Option<String> {
    if token.len() > LONGEST {
        return None;
    }
    let body = token.split('.').nth(1)?;
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// Whether `now` is within a token's time, both ends in seconds since 1970.
pub fn in_time(now: Timestamp, not_before: i64, expires: i64) -> bool {
    let now = seconds(now);
    not_before <= now.saturating_add(LEEWAY_S) && now.saturating_sub(LEEWAY_S) < expires
}

pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

/// A token of ours: EdDSA, with the id of the key.
pub(crate) fn sign<T: Serialize>(kid: &str, seed: &[u8; 32], claims: &T) -> Result<String> {
    backend::install();
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some("at+jwt".into());
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(seed))
        .map_err(|_| Error::internal("token_sign", "an access token could not be signed"))
}

/// The public half of a signing key.
pub(crate) fn public_of(seed: &[u8; 32]) -> Result<[u8; 32]> {
    backend::public_of(seed).ok_or_else(|| Error::internal("token_sign", "the signing key is no Ed25519 key"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SEED: [u8; 32] = [7; 32];

    fn forged(header: &Value, claims: &Value, signature: &[u8]) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(signature))
    }

    fn read(token: &str, public: &[u8; 32]) -> Option<Value> {
        verify(token, &DecodingKey::from_ed_der(public), &[Algorithm::EdDSA])
    }

    #[test]
    fn only_the_keys_own_signature_is_taken() {
        let public = public_of(&SEED).unwrap();
        let token = sign("one", &SEED, &json!({ "sub": "ann" })).unwrap();
        assert_eq!((kid(&token).as_deref(), looks_like_one(&token)), (Some("one"), true));
        assert_eq!(read(&token, &public).unwrap()["sub"], "ann");
        assert!(read(&token, &public_of(&[8; 32]).unwrap()).is_none());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last sign of a part has bits that stand for nothing, and a decoder that is strict takes none of them.
            assert!(read(&changed, &public).is_none(), "byte {at}");
        }
    }

    #[test]
    fn no_algorithm_and_another_ones_key_are_refused() {
        let public = public_of(&SEED).unwrap();
        let claims = json!({ "sub": "ann" });
        for alg in ["none", "None", "HS256", "RS256", "ES256", "", "EdDSA"] {
            assert!(read(&forged(&json!({ "alg": alg }), &claims, b""), &public).is_none(), "{alg}");
        }
        // What is public is no shared secret.
        backend::install();
        let shared = EncodingKey::from_secret(&public);
        let confused = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &shared).unwrap();
        assert!(read(&confused, &public).is_none());
        let hmac = DecodingKey::from_secret(&public);
        assert!(
            verify::<Value>(&confused, &hmac, &[Algorithm::HS256]).is_some(),
            "the forgery itself is well made"
        );
        assert!(verify::<Value>(&confused, &hmac, &[Algorithm::EdDSA]).is_none());
    }

    #[test]
    fn what_is_too_long_is_not_looked_into() {
        let token = sign("one", &SEED, &json!({ "sub": "x".repeat(8000) })).unwrap();
        assert!(token.len() > 10_000);
        assert!(read(&token, &public_of(&SEED).unwrap()).is_none());
        assert!((kid(&token), claimed_issuer(&token)) == (None, None));
    }

    #[test]
    fn time_has_thirty_seconds_of_play_and_no_more() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        for (now, fits) in [(69, false), (70, true), (100, true), (229, true), (230, false)] {
            assert_eq!(in_time(at(now), 100, 200), fits, "{now}");
        }
        assert!(!in_time(at(1), i64::MAX, i64::MAX) && !in_time(at(1), 0, i64::MIN));
    }
}
