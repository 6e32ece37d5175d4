//! Code archives by content: what a revision pins, kept as long as the database, so that an old revision runs its old code
//! on any machine.

use qd_core::{
    canonical::Digest,
    error::{Error, Result},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    context::{Context, Scope},
    kernel::Kernel,
    mutation::{Act, Object},
    params,
    store::Store,
};

/// Largest archive taken, compressed, in bytes.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CodeInfo {
    pub digest: Digest,
    /// Compressed size.
    pub bytes: i64,
    pub files: i64,
}

/// Read access to the archives, handed to kinds and engines.
#[derive(Clone)]
pub struct CodeStore {
    store: Store,
}

impl CodeStore {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The archive as it was uploaded.
    pub async fn get(&self, scope: Scope, digest: &Digest) -> Result<Vec<u8>> {
        let digest = digest.to_string();
        self.store
            .read(move |tx| -> Result<Option<Vec<u8>>> {
                Ok(tx.opt(
                    "SELECT body FROM code WHERE tenant_id = $1 AND digest = $2",
                    params![scope.tenant_id, digest],
                    |row| row.get(0),
                )?)
            })
            .await?
            .ok_or_else(|| {
                Error::not_found("code_not_found", "no code archive with this digest was uploaded")
            })
    }

    pub async fn find(&self, scope: Scope, digest: &Digest) -> Result<Option<CodeInfo>> {
        let (text, digest) = (digest.to_string(), digest.clone());
        let found = self
            .store
            .read(move |tx| -> Result<Option<(i64, i64)>> {
                Ok(tx.opt(
                    "SELECT size, files FROM code WHERE tenant_id = $1 AND digest = $2",
                    params![scope.tenant_id, text],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?)
            })
            .await?;
        Ok(found.map(|(bytes, files)| CodeInfo { digest, bytes, files }))
    }
}

impl Kernel {
    pub fn code(&self) -> CodeStore {
        CodeStore::new(self.store.clone())
    }

    /// Keeps an archive that the caller has verified against its digest. Returns whether it was new.
    pub async fn code_put(
        &self,
        context: &Context,
        digest: Digest,
        files: i64,
        body: Vec<u8>,
    ) -> Result<(CodeInfo, bool)> {
        if body.len() > MAX_BYTES {
            return Err(Error::too_large(
                "code_too_large",
                format!("the archive has {} bytes; at most {MAX_BYTES}", body.len()),
            ));
        }
        let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
        let info = CodeInfo { digest, bytes: size, files };
        let (digest, tenant_id) = (info.digest.to_string(), context.scope.tenant_id);
        let created = self
            .mutate(context, Act::new("code", "create"), move |m| {
                let inserted = m.tx.exec(
                    "INSERT INTO code (tenant_id, digest, size, files, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (tenant_id, digest) DO NOTHING",
                    params![tenant_id, digest, size, files, body, m.now],
                )?;
                if inserted == 0 {
                    m.unchanged();
                    return Ok(false);
                }
                let id = m.id();
                m.audit(&Object { kind: "Code", id, name: &digest }, &[], None)?;
                m.event("code.created", Default::default(), &serde_json::json!({ "digest": digest, "bytes": size, "files": files }))?;
                Ok(true)
            })
            .await?;
        Ok((info, created))
    }
}
