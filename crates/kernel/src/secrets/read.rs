//! What is told of secrets: everything but their values.

use std::collections::HashMap;

use qd_core::error::Result;

use super::{KeyReading, Referrer, SecretInfo, SecretPath, references, write::not_found};
use crate::{
    context::Scope,
    kernel::Kernel,
    page::{Page, PageRequest},
    query::Query,
    store::{Row, StoreResult, Tx},
};

const SELECT: &str = "SELECT path, version, created_by, created_at, updated_by, updated_at FROM secret WHERE";

impl Kernel {
    pub async fn secret_get(&self, scope: Scope, path: &SecretPath) -> Result<SecretInfo> {
        let wanted = path.clone();
        self.store
            .read(move |tx| -> Result<Option<SecretInfo>> {
                let mut query = Query::new(SELECT);
                query
                    .push(" project_id = ?", scope.project_id)
                    .push(" AND path = ?", wanted.as_str().to_owned());
                let found = query.rows(tx, row)?;
                Ok(with_referrers(tx, scope, found)?.into_iter().next())
            })
            .await?
            .ok_or_else(|| not_found(path))
    }

    /// By path.
    pub async fn secret_list(&self, scope: Scope, page: PageRequest) -> Result<Page<SecretInfo>> {
        let (after, fetch) = (page.after("secrets")?.map(str::to_owned), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<SecretInfo>> {
                let mut query = Query::new(SELECT);
                query.push(" project_id = ?", scope.project_id);
                if let Some(after) = &after {
                    query.push(" AND path > ?", after.clone());
                }
                query.text(" ORDER BY path").limit(fetch);
                let found = query.rows(tx, row)?;
                with_referrers(tx, scope, found)
            })
            .await?;
        Ok(page.cut("secrets", items, |secret| secret.path.clone()))
    }

    /// Which keys there are and which of them are in use; none is told.
    pub async fn secret_keys(&self, scope: Scope) -> Result<KeyReading> {
        self.secrets.key_reading(scope.tenant_id).await
    }
}

fn row(row: &Row<'_>) -> StoreResult<SecretInfo> {
    Ok(SecretInfo {
        path: row.get(0)?,
        version: row.get(1)?,
        created_by: row.get(2)?,
        created_at: row.get(3)?,
        updated_by: row.get(4)?,
        updated_at: row.get(5)?,
        referred_by: vec![],
    })
}

fn with_referrers(tx: &mut Tx<'_>, scope: Scope, mut secrets: Vec<SecretInfo>) -> Result<Vec<SecretInfo>> {
    let paths: Vec<String> = secrets.iter().map(|secret| secret.path.clone()).collect();
    let mut by_path: HashMap<String, Vec<Referrer>> = HashMap::new();
    for (path, referrer) in references::of(tx, scope.project_id, &paths)? {
        by_path.entry(path).or_default().push(referrer);
    }
    for secret in &mut secrets {
        secret.referred_by = by_path.remove(&secret.path).unwrap_or_default();
    }
    Ok(secrets)
}
