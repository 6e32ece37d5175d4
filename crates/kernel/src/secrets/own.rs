//! What the platform itself keeps sealed: keys of its own, which belong to no tenant, wrapped by the master key as data keys are.
//!
//! Only what can be made anew is kept so: when the master key is exchanged it is made anew and not wrapped again.

use qd_core::{
    error::{Error, Result},
    time::Timestamp,
};
use zeroize::Zeroizing;

use super::{
    Secrets, keys,
    seal::{Key, bound},
};
use crate::store::Tx;

/// 32 bytes, sealed.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub bytes: Vec<u8>,
    /// The id of the master key.
    pub master: String,
}

fn of_platform(what: &str, id: &str) -> Vec<u8> {
    bound(&[b"platform", what.as_bytes(), id.as_bytes()])
}

impl Secrets {
    /// Seals a key of the platform's own, which is bound to what it is and to its id.
    ///
    /// # Errors
    /// `secret_key_missing`, `secret_key_wrong` where this process does not hold the master key in force.
    pub(crate) async fn own_seal(&self, what: &str, id: &str, plain: &[u8; 32]) -> Result<Sealed> {
        let master = self.master_to_seal().await?;
        let key = Key::of(plain).ok_or_else(|| Error::internal("secret_seal", "a key of another length"))?;
        let bytes = master.wrap(&self.0.source, &of_platform(what, id), &key).await?;
        Ok(Sealed { bytes, master: master.id().to_owned() })
    }

    /// # Errors
    /// As [`Self::own_seal`]; `secret_unreadable` where the row was changed.
    pub(crate) async fn own_open(
        &self,
        what: &str,
        id: &str,
        sealed: &Sealed,
    ) -> Result<Zeroizing<[u8; 32]>> {
        let key = self.master(&sealed.master)?.unwrap(&of_platform(what, id), &sealed.bytes).await?;
        let mut plain = Zeroizing::new([0; 32]);
        plain.copy_from_slice(key.bytes());
        Ok(plain)
    }
}

/// Whether the master key that sealed it is the one in force; the first ever is put in force.
pub(crate) fn holds(tx: &mut Tx<'_>, sealed: &Sealed, now: Timestamp) -> Result<bool> {
    keys::put_in_force(tx, &sealed.master, now)
}
