//! The keys that wrap the tenants' data keys: 32 bytes from the environment or a file, or a key of Vault's that never leaves it.
//!
//! Several may be held: the first seals, all of them open, which is how one is exchanged for another. A key is known by its id,
//! which follows from it and leads nowhere; the key itself is printed by nothing.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use qd_core::error::{Error, Result};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    place::ServerPlaces,
    seal::Key,
    vault::{Vault, VaultOptions},
};
use crate::clock::Source;

/// The environment's names of the present key, and of the one before it.
pub const KEY_VARIABLE: &str = "SECRET_ENCRYPTION_KEY";
pub const PREVIOUS_VARIABLE: &str = "SECRET_ENCRYPTION_KEY_PREVIOUS";

/// 32 bytes, and the name by which they are known.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    key: Key,
}

impl MasterKey {
    /// From hex or base64. `place` says where the text was found; the text itself is repeated nowhere.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let text = text.trim();
        let bytes = hex::decode(text).ok().or_else(|| {
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                .iter()
                .find_map(|form| form.decode(text).ok())
        });
        let key = bytes.map(Zeroizing::new).and_then(|bytes| Key::of(&bytes));
        key.map(Self::of).ok_or_else(|| {
            Error::malformed(
                "secret_key_malformed",
                format!("{place} holds no key: 32 bytes are wanted, in hex or in base64, such as `openssl rand -hex 32` makes"),
            )
        })
    }

    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
            let detail = format!("the key file {} cannot be read: {}", file.display(), error.kind());
            Error::malformed("secret_key_malformed", detail)
        })?;
        Self::parse(&text, &format!("the key file {}", file.display()))
    }

    pub(super) fn of(key: Key) -> Self {
        // In parts: no copy of the key is left behind.
        let hash =
            Sha256::new().chain_update(b"quarterdeck master key ").chain_update(key.bytes()).finalize();
        Self { id: hex::encode(&hash[..8]), key }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// As a key file holds it.
    pub(super) fn text(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(vec![b'\n'; 2 * self.key.bytes().len() + 1]);
        let digits = text.len() - 1;
        // The room is what the digits need.
        let _ = hex::encode_to_slice(self.key.bytes(), &mut text[..digits]);
        text
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// What wraps data keys.
#[derive(Debug)]
pub(super) enum Master {
    Local(MasterKey),
    Vault(Vault),
}

impl Master {
    pub fn id(&self) -> &str {
        match self {
            Self::Local(key) => key.id(),
            Self::Vault(vault) => vault.id(),
        }
    }

    pub async fn wrap(&self, source: &Source, aad: &[u8], key: &Key) -> Result<Vec<u8>> {
        match self {
            Self::Local(master) => master.key.seal(source, aad, key.bytes()),
            Self::Vault(vault) => vault.encrypt(aad, key.bytes()).await,
        }
    }

    pub async fn unwrap(&self, aad: &[u8], wrapped: &[u8]) -> Result<Key> {
        let plain = match self {
            Self::Local(master) => master.key.open(aad, wrapped),
            Self::Vault(vault) => Some(vault.decrypt(aad, wrapped).await?),
        };
        plain.and_then(|plain| Key::of(&plain)).ok_or_else(|| {
            let detail =
                format!("a data key does not open under the master key {}: its row was changed", self.id());
            Error::internal("secret_unreadable", detail)
        })
    }
}

/// Which master keys a process holds, and where it may make itself one.
#[derive(Debug, Clone, Default)]
pub struct SecretOptions {
    /// The first seals.
    pub(super) masters: Vec<Arc<Master>>,
    /// The folder in which a process that is alone makes a key at first need, where it was given none.
    pub folder: Option<PathBuf>,
    /// What connections may name of the server's machine.
    pub places: ServerPlaces,
}

/// Where an operator says that master keys are.
#[derive(Debug, Clone, Default)]
pub struct KeyPlaces {
    /// The present one, then the one before it.
    pub files: Vec<PathBuf>,
    /// `https://vault:8200/transit/quarterdeck`: the address, the mount and the key.
    pub vault_url: Option<String>,
    pub vault_token_file: Option<PathBuf>,
}

impl SecretOptions {
    /// One more key: the first one given seals, the others only open.
    #[must_use]
    pub fn with(mut self, key: MasterKey) -> Self {
        if self.masters.iter().all(|held| held.id() != key.id()) {
            self.masters.push(Arc::new(Master::Local(key)));
        }
        self
    }

    pub fn with_vault(mut self, options: VaultOptions) -> Result<Self> {
        self.masters.push(Arc::new(Master::Vault(Vault::new(options)?)));
        Ok(self)
    }

    /// What the operator gave: Vault first, then the files as they were given, then the environment's two.
    ///
    /// # Errors
    /// `secret_key_malformed` in words that do not show the key.
    pub fn read(places: &KeyPlaces, env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut options = Self::default();
        options.places.own.extend(places.files.iter().chain(&places.vault_token_file).cloned());
        if let Some(url) = &places.vault_url {
            options = options.with_vault(VaultOptions::read(url, places.vault_token_file.clone())?)?;
        }
        for file in &places.files {
            options = options.with(MasterKey::read(file)?);
        }
        for name in [KEY_VARIABLE, PREVIOUS_VARIABLE] {
            if let Some(text) = env(name).map(Zeroizing::new) {
                options = options.with(MasterKey::parse(&text, name)?);
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_key_is_read_from_hex_and_base64_and_told_by_its_id() {
        let bytes = hex::decode(HEX).unwrap();
        let id = MasterKey::parse(HEX, "here").unwrap().id().to_owned();
        assert_eq!(id.len(), 16);
        for text in
            [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes), format!(" {}\n", HEX.to_uppercase())]
        {
            assert_eq!(MasterKey::parse(&text, "here").unwrap().id(), id);
        }
        assert_eq!(format!("{:?}", MasterKey::parse(HEX, "here").unwrap()), format!("MasterKey({id})"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for wrong in
            ["", "canary", &HEX[2..], &format!("{HEX}00"), "canary-canary-canary-canary-canary-canar"]
        {
            let error = MasterKey::parse(wrong, KEY_VARIABLE).unwrap_err();
            assert_eq!(error.code, "secret_key_malformed");
            assert!(error.detail.starts_with("SECRET_ENCRYPTION_KEY holds no key"), "{error}");
            assert!(!format!("{error:?}").contains("canary"));
        }
        let env = |name: &str| (name == KEY_VARIABLE).then(|| "canary".to_owned());
        assert_eq!(SecretOptions::read(&KeyPlaces::default(), env).unwrap_err().code, "secret_key_malformed");
    }

    #[test]
    fn files_come_before_the_environment_and_the_present_before_the_previous() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("new"), HEX.replace("00", "77"));
        std::fs::write(&file, HEX).unwrap();
        let env = |name: &str| (name == KEY_VARIABLE).then(|| other.clone());
        let places = KeyPlaces { files: vec![file], ..KeyPlaces::default() };
        let held = SecretOptions::read(&places, env).unwrap();
        let ids: Vec<&str> = held.masters.iter().map(|master| master.id()).collect();
        assert_eq!(
            ids,
            [MasterKey::parse(HEX, "").unwrap().id(), MasterKey::parse(&other, "").unwrap().id()]
        );
        assert!(!format!("{held:?}").contains("0a0b0c"));
    }

    #[tokio::test]
    async fn a_wrapped_key_opens_under_its_master_alone() {
        let source = clock::system();
        let (one, two) = (MasterKey::of(Key::draw(&source)), MasterKey::of(Key::draw(&source)));
        let (one, two) = (Master::Local(one), Master::Local(two));
        let key = Key::draw(&source);
        let wrapped = one.wrap(&source, b"tenant", &key).await.unwrap();
        assert_eq!(one.unwrap(b"tenant", &wrapped).await.unwrap().bytes(), key.bytes());
        assert_eq!(two.unwrap(b"tenant", &wrapped).await.err().unwrap().code, "secret_unreadable");
        assert_eq!(one.unwrap(b"other", &wrapped).await.err().unwrap().code, "secret_unreadable");
    }
}
