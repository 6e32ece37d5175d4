//! Writing a secret, and removing one. What is written down of it is its path, its version and who did it.

use std::sync::Arc;

use qd_core::{
    diff::Change,
    error::{Error, Result},
};
use serde_json::json;
use uuid::Uuid;

use super::{LONGEST, Referrer, Secret, SecretInfo, SecretPath, bound_to, keys, keys::Sealing, references};
use crate::{
    access,
    clock::Source,
    context::Context,
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    params,
};

/// As audit and events call it.
const KIND: &str = "Secret";
/// How often a write is begun anew because the tenant's data key changed under it.
const TRIES: usize = 8;

impl Kernel {
    /// Writes the next version of a secret. Answers what is told of it, and whether there was none before.
    ///
    /// # Errors
    /// `bad_secret_value`; `secret_key_missing` and `secret_key_wrong` where nothing can be sealed here.
    pub async fn secret_put(
        &self,
        context: &Context,
        path: SecretPath,
        value: Secret,
    ) -> Result<(SecretInfo, bool)> {
        access::check(context, "secrets.write")?;
        check(&value)?;
        let value = Arc::new(value);
        for _ in 0..TRIES {
            let sealing = self.secrets.sealing(context.scope.tenant_id).await?;
            let (path_of, value, source) = (path.clone(), value.clone(), self.source.clone());
            let written = self
                .mutate(context, Act::new("secrets", "write"), move |m| {
                    write(m, &path_of, &value, &sealing, &source)
                })
                .await?;
            if let Some(created) = written {
                return Ok((self.secret_get(context.scope, &path).await?, created));
            }
        }
        Err(Error::unavailable("secret_key_gone", "the data key is being exchanged; try again"))
    }

    /// Removes a secret with all its versions.
    ///
    /// # Errors
    /// `secret_in_use` with who refers to it.
    pub async fn secret_delete(&self, context: &Context, path: &SecretPath, reason: String) -> Result<()> {
        let path = path.clone();
        self.mutate(context, Act::new("secrets", "delete").because(reason), move |m| {
            let sql = format!(
                "SELECT id, version FROM secret WHERE project_id = $1 AND path = $2{}",
                m.tx.backend().for_update()
            );
            let project = m.context.scope.project_id;
            let found: Option<(Uuid, i64)> =
                m.tx.opt(&sql, params![project, path.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (id, version) = found.ok_or_else(|| not_found(&path))?;
            let referrers = references::of(m.tx, project, &[path.as_str().to_owned()])?;
            let referrers: Vec<Referrer> = referrers.into_iter().map(|(_, referrer)| referrer).collect();
            if !referrers.is_empty() {
                return Err(in_use(&path, &referrers));
            }
            m.tx.exec("DELETE FROM secret_version WHERE secret_id = $1", params![id])?;
            m.tx.exec("DELETE FROM secret WHERE id = $1", params![id])?;
            let changes = [Change::remove("/version", version.into())];
            m.audit(&Object { kind: KIND, id, name: path.as_str() }, &changes, None)?;
            m.event("secret.deleted", subject(&path), &json!({ "version": version }))
        })
        .await
    }
}

fn subject(path: &SecretPath) -> Subject<'_> {
    Subject { kind: Some(KIND), resource_name: Some(path.as_str()), ..Subject::default() }
}

/// None where the data key changed since it was read: then nothing is written, and it is begun anew.
fn write(
    m: &mut Mutation<'_, '_>,
    path: &SecretPath,
    value: &Secret,
    sealing: &Sealing,
    source: &Source,
) -> Result<Option<bool>> {
    let scope = m.context.scope;
    let (tenant, project) = (scope.tenant_id, scope.project_id);
    let kept = match &sealing.fresh {
        None => keys::hold_newest(m.tx, tenant)? == Some(sealing.number),
        Some(fresh) => {
            keys::put_in_force(m.tx, &fresh.master, m.now)?
                && keys::insert(m.tx, tenant, sealing.number, fresh, None, m.now)?
        }
    };
    let sql = format!(
        "SELECT id, version FROM secret WHERE project_id = $1 AND path = $2{}",
        m.tx.backend().for_update()
    );
    let found: Option<(Uuid, i64)> = match kept {
        true => m.tx.opt(&sql, params![project, path.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?,
        false => None,
    };
    let id = found.map_or_else(|| m.id(), |(id, _)| id);
    let version = found.map_or(1, |(_, version)| version + 1);
    let by = m.context.principal.name.clone();
    let owned = kept
        && match found {
            Some(_) => {
                m.tx.exec(
                    "UPDATE secret SET version = $2, updated_by = $3, updated_at = $4 WHERE id = $1",
                    params![id, version, by, m.now],
                )? == 1
            }
            None => {
                m.tx.exec(
                    "INSERT INTO secret (id, tenant_id, project_id, path, version, created_by, created_at, updated_by, updated_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7) ON CONFLICT (project_id, path) DO NOTHING",
                    params![id, tenant, project, path.as_str(), version, by, m.now],
                )? == 1
            }
        };
    if !owned {
        m.unchanged();
        return Ok(None);
    }
    // Sealed here: a closure that runs twice seals twice, each time with a nonce of its own.
    let aad = bound_to(tenant, project, id, path.as_str(), version);
    let sealed = sealing.key.seal(source, &aad, value.expose().as_bytes())?;
    m.tx.exec_later(
        "INSERT INTO secret_version (secret_id, version, tenant_id, key_number, sealed, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        params![id, version, tenant, sealing.number, sealed, by, m.now],
    )?;
    let change = match found {
        Some((_, before)) => Change::replace("/version", before.into(), version.into()),
        None => Change::add("/version", version.into()),
    };
    m.audit(&Object { kind: KIND, id, name: path.as_str() }, &[change], None)?;
    m.event("secret.written", subject(path), &json!({ "version": version }))?;
    Ok(Some(found.is_none()))
}

/// Says what is wrong without repeating any of it.
fn check(value: &Secret) -> Result<()> {
    let bad = |detail: String| Err(Error::invalid("bad_secret_value", detail));
    match value.expose() {
        "" => bad("a secret has at least one character".into()),
        text if text.len() > LONGEST => {
            bad(format!("a secret has at most {LONGEST} bytes; this has {}", text.len()))
        }
        text if text.contains('\0') => bad("a secret is text, without NUL characters".into()),
        _ => Ok(()),
    }
}

pub(super) fn not_found(path: &SecretPath) -> Error {
    Error::not_found("secret_not_found", format!("there is no secret at {path} here"))
}

fn in_use(path: &SecretPath, referrers: &[Referrer]) -> Error {
    let names: Vec<String> =
        referrers.iter().map(|one| format!("{} {} at {}", one.kind, one.name, one.pointer)).collect();
    Error::conflict("secret_in_use", format!("{path} is referred to by {}", names.join(", ")))
}
