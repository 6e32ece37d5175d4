//! Ed25519 keys: read from PEM, written as PEM, named by their public half.
//!
//! Where a key's randomness comes from and where it is kept is not known here.

use std::fmt;

use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::DOMAIN;

const PUBLIC_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PUBLIC_END: &str = "-----END PUBLIC KEY-----";

/// What is no key, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

/// Whoever has it can sign for the audit. Never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// The half that anybody may have.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    /// `ed25519:` and the first 16 bytes of the key's SHA-256, as 32 hexadecimal digits.
    pub key_id: String,
    /// 32 bytes as 64 hexadecimal digits.
    pub public_key: String,
}

impl SigningKey {
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// PKCS#8, as `openssl genpkey -algorithm ed25519` writes it too.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim())
            .map(Self)
            .map_err(|_| KeyError("it is no Ed25519 key in PKCS#8 PEM; `qd audit keygen` makes one".into()))
    }

    pub fn to_pem(&self) -> Result<String, KeyError> {
        // Without the public half inside: the oldest and most widely read of the two forms.
        let pair = ed25519_dalek::pkcs8::KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let pem = pair
            .to_pkcs8_pem(Default::default())
            .map_err(|error| KeyError(format!("write the key: {error}")))?;
        Ok(pem.to_string())
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.0.verifying_key())
    }

    pub(super) fn sign(&self, statement: &str) -> String {
        hex::encode(self.0.sign(&message(statement)).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().key_id)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key_id)
    }
}

impl PublicKey {
    fn of(key: &VerifyingKey) -> Self {
        let bytes = key.to_bytes();
        let key_id = format!("ed25519:{}", hex::encode(&Sha256::digest(bytes)[..16]));
        Self { key_id, public_key: hex::encode(bytes) }
    }

    /// # Errors
    /// Where the digits are no key, or the id is another key's.
    pub fn checked(self) -> Result<Self, KeyError> {
        match self.key().map(|key| Self::of(&key)) {
            Some(known) if known == self => Ok(self),
            _ => Err(KeyError(format!("{} is no key, or not the one that it is called", self.key_id))),
        }
    }

    fn key(&self) -> Option<VerifyingKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.public_key, &mut bytes).ok()?;
        VerifyingKey::from_bytes(&bytes).ok()
    }

    pub fn to_pem(&self) -> Result<String, KeyError> {
        let key = self.key().ok_or_else(|| KeyError(format!("{} is no key", self.key_id)))?;
        key.to_public_key_pem(Default::default()).map_err(|error| KeyError(format!("write the key: {error}")))
    }

    /// Every public key of a file: one after the other, as after a rotation.
    ///
    /// # Errors
    /// Without any, or where one is no Ed25519 key. A private key is refused by name: it has no business with a verifier.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError(
                "this is the private key: verify with the public one (`qd audit keygen` prints it, \
                 `openssl pkey -pubout` makes it)"
                    .into(),
            ));
        }
        let mut keys = vec![];
        let mut rest = text;
        while let Some(begin) = rest.find(PUBLIC_BEGIN) {
            let block = &rest[begin..];
            let end = block.find(PUBLIC_END).ok_or_else(|| KeyError("a public key breaks off".into()))?;
            let (block, after) = block.split_at(end + PUBLIC_END.len());
            let key = VerifyingKey::from_public_key_pem(block)
                .map_err(|_| KeyError("one of the public keys is no Ed25519 key".into()))?;
            keys.push(Self::of(&key));
            rest = after;
        }
        if keys.is_empty() {
            return Err(KeyError("there is no public key in it (-----BEGIN PUBLIC KEY-----)".into()));
        }
        Ok(keys)
    }

    /// Whether the holder of the key signed exactly this statement.
    pub(super) fn has_signed(&self, statement: &str, signature: &str) -> bool {
        let mut bytes = [0; 64];
        let (Some(key), Ok(())) = (self.key(), hex::decode_to_slice(signature, &mut bytes)) else {
            return false;
        };
        // One signature has one spelling: a flipped digit must not pass for its capital.
        signature.bytes().all(|b| !b.is_ascii_uppercase())
            && key.verify_strict(&message(statement), &Signature::from_bytes(&bytes)).is_ok()
    }
}

fn message(statement: &str) -> Vec<u8> {
    [DOMAIN.as_bytes(), statement.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIFCDovXz5HpNnk/UriuDc4782DNAPmEZMuiokk7njdWj\n-----END PRIVATE KEY-----\n";
    const OPENSSL_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAE1PXWxqzJ/golTEFTRP0rY4SXM+QJLtrsCAjDw+mcTs=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_key_of_openssl_is_read_and_written_as_it_was() {
        let key = SigningKey::from_pem(OPENSSL).unwrap();
        assert_eq!(key.to_pem().unwrap(), OPENSSL);
        assert_eq!(key.public().to_pem().unwrap(), OPENSSL_PUBLIC);
        assert_eq!(PublicKey::all_from_pem(OPENSSL_PUBLIC).unwrap(), [key.public()]);
        assert!(!format!("{key:?}").contains("UIOi"));
    }

    #[test]
    fn several_keys_are_read_and_what_is_none_is_refused_in_words() {
        let other = SigningKey::from_seed(&[7; 32]).public();
        let both = format!("old\n{OPENSSL_PUBLIC}\nnew\n{}", other.to_pem().unwrap());
        assert_eq!(PublicKey::all_from_pem(&both).unwrap()[1], other);
        for (text, words) in [
            ("", "no public key"),
            (OPENSSL, "the private key"),
            ("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----", "no Ed25519 key"),
            ("-----BEGIN PUBLIC KEY-----\nAA==", "breaks off"),
        ] {
            let said = PublicKey::all_from_pem(text).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        assert!(SigningKey::from_pem("x").unwrap_err().to_string().contains("keygen"));
    }

    #[test]
    fn a_signature_is_of_one_text_by_one_key_in_one_spelling() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let signature = key.sign("a");
        assert!(key.public().has_signed("a", &signature));
        assert!(!key.public().has_signed("b", &signature));
        assert!(!other.public().has_signed("a", &signature));
        assert!(!key.public().has_signed("a", &signature.to_uppercase()));
        assert!(!key.public().has_signed("a", ""));
    }

    #[test]
    fn a_public_key_under_another_name_is_refused() {
        let mut key = SigningKey::from_seed(&[1; 32]).public();
        assert!(key.clone().checked().is_ok());
        key.key_id = SigningKey::from_seed(&[2; 32]).public().key_id;
        assert!(key.checked().is_err());
    }
}
