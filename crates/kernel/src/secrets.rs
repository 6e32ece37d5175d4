//! Secrets: values that go in and never come out, but to a worker or an engine at the moment of use.
//!
//! A value lies at a path in its project, in versions that never change. It is sealed with the data key of its tenant, and that key
//! is wrapped by a master key that the database does not hold ([`SecretOptions`]). What a value belongs to (tenant, project,
//! secret, path, version) is bound to its ciphertext, so that a row put in another's place does not open.
//!
//! No function here that a route calls answers a value; [`Secrets::resolve`] does, writes down first who reads it for what, and is
//! for engines and workers alone. Neither values nor hashes of them go into audit, events, plans, errors or logs: the hash of
//! a short secret can be guessed.

mod keys;
mod master;
pub(crate) mod own;
mod place;
mod read;
pub(crate) mod references;
mod resolve;
pub(crate) mod rotate;
mod seal;
mod value;
mod vault;
mod write;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use qd_core::{
    id::{ProjectId, ResourceId, TenantId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

pub use keys::{KeyReading, SecretHealth};
pub use master::{KEY_VARIABLE, KeyPlaces, MasterKey, PREVIOUS_VARIABLE, SecretOptions};
pub use place::ServerPlaces;
pub use qd_core::secret_ref::{SCHEME, SecretPath, StoredRef};
pub use resolve::SecretUse;
pub use value::{Secret, redact};
pub use vault::{TOKEN_VARIABLE, VaultOptions, VaultToken};

use crate::{clock::Source, store::Store};
use master::Master;
use seal::Key;

/// Longest value, bytes.
pub const LONGEST: usize = 64 * 1024;

/// What is told of a secret; never its value.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SecretInfo {
    pub path: String,
    /// The newest; a reference that names none means it.
    pub version: i64,
    pub created_by: String,
    pub created_at: Timestamp,
    /// Who wrote the newest version, and when.
    pub updated_by: String,
    pub updated_at: Timestamp,
    /// The resources whose published revision refers to it.
    pub referred_by: Vec<Referrer>,
}

/// A place in a published spec that refers to a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Referrer {
    #[serde(skip)]
    pub resource_id: ResourceId,
    pub kind: String,
    pub name: String,
    pub revision: i64,
    /// RFC 6901, in the spec.
    pub pointer: String,
    /// The version that it names, where it names one.
    pub version: Option<i64>,
}

/// Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    store: Store,
    source: Source,
    options: SecretOptions,
    /// Those of the options, and the one that this process made or found in its folder.
    masters: Mutex<Vec<Arc<Master>>>,
    /// Data keys that were unwrapped, since when; by tenant and number.
    keys: Mutex<HashMap<(TenantId, i64), (Instant, Key)>>,
    /// Until when a use is covered by the record that was written of it.
    covered: Mutex<HashMap<resolve::Cover, Instant>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({:?})", self.0.options)
    }
}

impl Secrets {
    pub fn new(store: Store, source: Source, options: SecretOptions) -> Self {
        let masters = Mutex::new(options.masters.clone());
        Self(Arc::new(Inner {
            store,
            source,
            options,
            masters,
            keys: Mutex::default(),
            covered: Mutex::default(),
        }))
    }
}

impl Secrets {
    /// Forgets the data keys of a tenant that is gone.
    pub(crate) fn forget(&self, tenant: TenantId) {
        held(&self.0.keys).retain(|(of, _), _| *of != tenant);
    }
}

/// What the mutex guards is whole after every statement.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a value is bound to.
fn bound_to(tenant: TenantId, project: ProjectId, secret: Uuid, path: &str, version: i64) -> Vec<u8> {
    seal::bound(&[
        b"secret",
        tenant.uuid().as_bytes(),
        project.uuid().as_bytes(),
        secret.as_bytes(),
        path.as_bytes(),
        &version.to_be_bytes(),
    ])
}
