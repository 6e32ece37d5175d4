//! AES-256-GCM: a key, and what is sealed with it.
//!
//! A sealed text is one byte that says its form, a nonce of 12 random bytes, the ciphertext and its tag. What a text belongs to is
//! bound to it as associated data, so that a row that was moved, copied or put back in place of a newer one does not open. A
//! random nonce is safe for 2^32 texts under one key; rotate the data key long before.

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use qd_core::error::{Error, Result};
use zeroize::Zeroizing;

use crate::clock::Source;

const KEY: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;
/// AES-256-GCM with a nonce of 12 bytes in front.
const FORM: u8 = 1;

/// A key, gone from memory when dropped.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; KEY]>);

impl Key {
    pub fn draw(source: &Source) -> Self {
        let mut key = Self(Zeroizing::new([0; KEY]));
        source.random(&mut *key.0);
        key
    }

    pub fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub fn bytes(&self) -> &[u8] {
        &*self.0
    }

    pub fn seal(&self, source: &Source, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        source.random(&mut nonce);
        let text = self
            .cipher()
            .encrypt(&nonce.into(), Payload { msg: plain, aad })
            .map_err(|_| Error::internal("secret_seal", "a value could not be sealed"))?;
        let mut sealed = Vec::with_capacity(1 + NONCE + text.len());
        sealed.push(FORM);
        sealed.extend_from_slice(&nonce);
        sealed.extend(text);
        Ok(sealed)
    }

    /// None where it was sealed with another key, for another place, or was changed since.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (form, rest) = sealed.split_first()?;
        if *form != FORM || rest.len() < NONCE + TAG {
            return None;
        }
        let (nonce, text) = rest.split_at(NONCE);
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        self.cipher().decrypt(&nonce.into(), Payload { msg: text, aad }).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.0).into())
    }
}

/// Parts one behind the other, each after its length, so that no two lists give the same bytes.
pub(super) fn bound(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
        let source = clock::system();
        let (key, other) = (Key::draw(&source), Key::draw(&source));
        let here = bound(&[b"tenant", b"path", b"1"]);
        let sealed = key.seal(&source, &here, b"canary-4711").unwrap();
        assert_eq!(key.open(&here, &sealed).unwrap().as_slice(), b"canary-4711");
        assert_ne!(sealed, key.seal(&source, &here, b"canary-4711").unwrap(), "each has a nonce of its own");
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert!(other.open(&here, &sealed).is_none());
        for there in [bound(&[b"tenant", b"path", b"2"]), bound(&[b"tenantpath", b"1"]), vec![]] {
            assert!(key.open(&there, &sealed).is_none());
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&here, &changed).is_none(), "byte {at}");
            assert!(key.open(&here, &sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(bound(&[b"ab", b"c"]), bound(&[b"a", b"bc"]));
        assert_ne!(bound(&[b"a", b""]), bound(&[b"a"]));
    }
}
