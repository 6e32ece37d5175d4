//! What `jsonwebtoken` computes with: ring, which TLS brings along anyway. It signs with Ed25519 (and HMAC, for tests), and
//! verifies everything that gateways sign with.

use std::sync::Once;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Signer, Verifier},
};
use ring::{
    hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
        RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
        RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Signing { algorithm: *algorithm, key: key.clone() })),
    verifier_factory: |algorithm, key| {
        if algorithm.family() != key.family() {
            return Err(Error::from(ErrorKind::InvalidKeyFormat));
        }
        Ok(Box::new(Verifying { algorithm: *algorithm, key: key.clone() }))
    },
    // Asked only where a key is turned into a JWK or a thumbprint, which nobody does here.
    key_utils: KeyUtils::new_unimplemented(),
};

pub(super) fn install() {
    static DONE: Once = Once::new();
    // Another one can only be there where another crate put it.
    DONE.call_once(|| {
        let _ = RING.install_default();
    });
}

/// Of the 32 bytes of a private key.
pub(super) fn public_of(seed: &[u8]) -> Option<[u8; 32]> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    pair.public_key().as_ref().try_into().ok()
}

struct Signing {
    algorithm: Algorithm,
    key: EncodingKey,
}

struct Verifying {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let key = self.key.as_bytes();
        match (self.algorithm, self.key.family()) {
            (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(key).map_err(|_| signature::Error::new())?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            (algorithm, AlgorithmFamily::Hmac) => {
                let digest = digest_of(algorithm).ok_or_else(signature::Error::new)?;
                Ok(hmac::sign(&hmac::Key::new(digest, key), message).as_ref().to_vec())
            }
            _ => Err(signature::Error::new()),
        }
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), signature::Error> {
        self.holds(message, given).filter(|holds| *holds).map(drop).ok_or_else(signature::Error::new)
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifying {
    fn holds(&self, message: &[u8], given: &[u8]) -> Option<bool> {
        if let Some(digest) = digest_of(self.algorithm) {
            let key = hmac::Key::new(digest, self.key.try_get_as_bytes().ok()?);
            return Some(hmac::verify(&key, message, given).is_ok());
        }
        if let Some(rsa) = rsa_of(self.algorithm) {
            let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else { return None };
            return Some(RsaPublicKeyComponents { n, e }.verify(rsa, message, given).is_ok());
        }
        let curve: &dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::EdDSA => &ED25519,
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
            _ => return None,
        };
        let key = self.key.try_get_as_bytes().ok()?;
        Some(UnparsedPublicKey::new(curve, key).verify(message, given).is_ok())
    }
}

fn digest_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_of(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}
