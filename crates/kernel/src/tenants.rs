//! Tenants and projects: found by name or id. The default ones are made at first start; [`admin`] makes more, [`delete`] removes
//! them, [`export`] hands out all that they have.
//!
//! What was found is remembered for [`LIFE`], which bounds how long another process still knows a tenant by its old name
//! or lets it in after it was suspended.

pub mod admin;
pub mod delete;
pub mod export;
pub mod removal;

use std::{str::FromStr, time::Duration};

use qd_core::{
    error::{Error, ErrorKind, Result},
    id::{ProjectId, TenantId},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{context::Scope, kernel::Kernel, params, store::Param};

pub const DEFAULT: &str = "default";
/// Scopes kept in memory at most; beyond that they are read again.
const SCOPES_KNOWN: usize = 1000;
const LIFE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
}

/// A scope with the names that people know it by.
#[derive(Debug, Clone)]
pub struct NamedScope {
    pub scope: Scope,
    pub tenant: Tenant,
    pub project: Project,
    /// Closed to all but those who hold a role on the platform.
    pub suspended: bool,
    /// Closed to everybody: it is being deleted.
    pub deleting: bool,
}

/// Of a tenant or project that is not there, or that the caller must not know of: the same words for both.
pub fn not_found() -> Error {
    Error::not_found("scope_not_found", "there is no such tenant or project")
}

impl Kernel {
    /// Makes the default tenant and project where they are missing; safe to repeat and to race.
    pub(crate) async fn tenants_bootstrap(&self) -> Result<()> {
        let (tenant, project, now) = (self.source.uuid(), self.source.uuid(), self.source.now());
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec(
                    "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
                    params![tenant, DEFAULT, now],
                )?;
                let tenant_id: TenantId = tx.one("SELECT id FROM tenant WHERE name = $1", params![DEFAULT], |r| r.get(0))?;
                tx.exec(
                    "INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (tenant_id, name) DO NOTHING",
                    params![project, tenant_id, DEFAULT, now],
                )?;
                Ok(())
            })
            .await
    }

    /// Whether two names or ids are of one tenant that there is.
    pub async fn same_tenant(&self, one: &str, other: &str) -> Result<bool> {
        let (one, other) = (self.scope_find(Some(one), None).await, self.scope_find(Some(other), None).await);
        match (one, other) {
            (Ok(one), Ok(other)) => Ok(one.tenant.id == other.tenant.id),
            (Err(error), _) | (_, Err(error)) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(false),
        }
    }

    /// Finds a scope by the names or ids that a request gave; what it does not name is `default`.
    pub async fn scope_find(&self, tenant: Option<&str>, project: Option<&str>) -> Result<NamedScope> {
        let (tenant, project) = (tenant.unwrap_or(DEFAULT), project.unwrap_or(DEFAULT));
        let key = (Named::<TenantId>::parse(tenant), Named::<ProjectId>::parse(project));
        let (tenant, project) = key.clone();
        let now = self.source.now();
        if let Some((found, _)) = self.scopes().get(&key).filter(|(_, until)| now < *until) {
            return Ok(found.clone());
        }
        let found = self
            .store
            .read(move |tx| -> Result<Option<NamedScope>> {
                let sql = format!(
                    "SELECT t.id, t.name, p.id, p.name, t.state = 'suspended', t.deleting IS NOT NULL OR p.deleting IS NOT NULL FROM tenant t JOIN project p ON p.tenant_id = t.id
                     WHERE t.{} = $1 AND p.{} = $2",
                    tenant.column(),
                    project.column()
                );
                Ok(tx.opt(&sql, &[tenant.value(), project.value()], |row| {
                    let (tenant_id, project_id) = (row.get(0)?, row.get(2)?);
                    Ok(NamedScope {
                        scope: Scope { tenant_id, project_id },
                        tenant: Tenant { id: tenant_id, name: row.get(1)? },
                        project: Project { id: project_id, name: row.get(3)? },
                        suspended: row.get(4)?,
                        deleting: row.get(5)?,
                    })
                })?)
            })
            .await?
            .ok_or_else(not_found)?;
        let mut known = self.scopes();
        if known.len() >= SCOPES_KNOWN {
            known.clear();
        }
        if let Some(until) = now.checked_add(LIFE) {
            known.insert(key, (found.clone(), until));
        }
        Ok(found)
    }
}

/// A tenant or a project as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Named<T> {
    Id(T),
    Name(String),
}

impl<T: FromStr + Param> Named<T> {
    fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }

    fn column(&self) -> &'static str {
        match self {
            Self::Id(_) => "id",
            Self::Name(_) => "name",
        }
    }

    fn value(&self) -> &dyn Param {
        match self {
            Self::Id(id) => id,
            Self::Name(name) => name,
        }
    }
}
