//! Tenants and projects made, listed, renamed; tenants suspended and readmitted.
//!
//! A name is free to change: everything refers to a tenant or project by its id. A suspended tenant keeps all that it has, and
//! its runs go on and are observed. Nobody but the platform's own gets in, its schedules do not fire, and its jobs are held in the
//! queue. When it is readmitted the jobs go on, and each schedule decides by its own policy about what it missed.
//!
//! Not done here: removing one with all that it has ([`super::delete`]).

use std::collections::BTreeSet;

use qd_core::{
    error::{Error, Result},
    id::{ProjectId, TenantId},
    name::Name,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::DEFAULT;
use crate::{
    access,
    context::{Context, Scope},
    credentials::Identity,
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    page::{Page, PageRequest},
    params,
    query::Query,
    reviews::{ApprovalFrom, ReviewMode},
    schedules,
    store::{self, Column, Row, StoreResult},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    Active,
    Suspended,
}

impl TenantState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// A tenant, as those who may see it do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TenantInfo {
    pub id: TenantId,
    pub name: String,
    pub display_name: String,
    pub state: TenantState,
    pub created_at: Timestamp,
    pub version: i64,
}

/// A project of the tenant of the scope.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProjectInfo {
    pub id: ProjectId,
    pub name: String,
    pub display_name: String,
    /// What it asks of a revision before it is published.
    pub review: ReviewMode,
    /// Plans of this risk and above want a second person.
    pub approval_from: ApprovalFrom,
    pub created_at: Timestamp,
    pub version: i64,
}

/// What is changed of a tenant or project; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    pub name: Option<String>,
    pub display_name: Option<String>,
    /// Of tenants only.
    pub state: Option<TenantState>,
    /// Of projects only, and only with a reason.
    pub review: Option<ReviewMode>,
    /// The same.
    pub approval_from: Option<ApprovalFrom>,
    pub reason: String,
}

const TENANT: &str = "id, name, display_name, state, created_at, version";
const PROJECT: &str = "id, name, display_name, created_at, version, review, approval_from";

impl Kernel {
    /// A tenant with its default project.
    ///
    /// # Errors
    /// `malformed_name` (400); `already_exists` (409).
    pub async fn tenant_create(
        &self,
        context: &Context,
        name: &str,
        display_name: &str,
    ) -> Result<TenantInfo> {
        access::check(context, "tenants.create")?;
        let (name, display_name): (Name, String) = (name.parse()?, display_name.to_owned());
        self.mutate(context, Act::new("tenants", "create"), move |m| {
            let id: TenantId = m.id();
            let made = m.tx.exec(
                "INSERT INTO tenant (id, name, display_name, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO NOTHING",
                params![id, name.to_string(), display_name.clone(), m.now],
            )?;
            if made == 0 {
                return Err(Error::conflict("already_exists", format!("there is a tenant {name} already")));
            }
            let project: ProjectId = m.id();
            m.tx.exec(
                "INSERT INTO project (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)",
                params![project, id, DEFAULT, m.now],
            )?;
            record(
                m,
                "tenant.created",
                &Object { kind: "Tenant", id: id.uuid(), name: name.as_str() },
                &Value::Null,
                &json!({
                    "name": name, "display_name": display_name, "state": TenantState::Active,
                }),
            )?;
            Ok(m.tx.one(&format!("SELECT {TENANT} FROM tenant WHERE id = $1"), params![id], tenant_row)?)
        })
        .await
    }

    /// Those that the caller may know of, by name: where it holds a role, is in a team, or holds something of a resource.
    pub async fn tenant_list(&self, identity: &Identity, page: PageRequest) -> Result<Page<TenantInfo>> {
        let (after, fetch) = (page.after("tenants")?.map(str::to_owned), page.fetch());
        let seen = identity.tenants();
        let items = self
            .store
            .read(move |tx| -> Result<Vec<TenantInfo>> {
                let mut query = Query::new(&format!("SELECT {TENANT} FROM tenant WHERE"));
                match &seen {
                    None => query.text(" true"),
                    Some(ids) => query.among(tx.backend(), " id", ids.iter().map(|id| id.uuid())),
                };
                if let Some(after) = &after {
                    query.push(" AND name > ?", after.clone());
                }
                query.text(" ORDER BY name").limit(fetch);
                Ok(query.rows(tx, tenant_row)?)
            })
            .await?;
        Ok(page.cut("tenants", items, |tenant| tenant.name.clone()))
    }

    /// # Errors
    /// `tenant_not_found` (404); `stale_version` (412); `already_exists` (409); `malformed_name` (400); `default_tenant` (409)
    /// for the default one's name or suspension.
    pub async fn tenant_update(
        &self,
        context: &Context,
        tenant: &str,
        version: i64,
        patch: Patch,
    ) -> Result<TenantInfo> {
        access::check(context, "tenants.update")?;
        let (tenant, name) = (tenant.to_owned(), patch.name.as_deref().map(str::parse::<Name>).transpose()?);
        let updated = self
            .mutate(context, Act::new("tenants", "update").because(patch.reason.clone()), move |m| {
                let old = m
                    .tx
                    .opt(
                        &format!("SELECT {TENANT} FROM tenant WHERE name = $1{}", m.tx.backend().for_update()),
                        params![tenant.clone()],
                        tenant_row,
                    )?
                    .ok_or_else(|| Error::not_found("tenant_not_found", format!("there is no tenant {tenant:?}")))?;
                not_deleting(m, "tenant", old.id.uuid(), &tenant)?;
                fresh("tenant", &tenant, old.version, version)?;
                let new_name = name.as_ref().map_or_else(|| old.name.clone(), ToString::to_string);
                let state = patch.state.unwrap_or(old.state);
                if old.name == DEFAULT && (new_name != old.name || state != old.state) {
                    return Err(Error::conflict("default_tenant", "the default tenant keeps its name and is not suspended"));
                }
                if new_name != old.name {
                    let taken = m.tx.opt("SELECT 1 FROM tenant WHERE name = $1", params![new_name.clone()], |row| row.get::<i64>(0))?;
                    free("tenant", &new_name, taken)?;
                }
                let display_name = patch.display_name.clone().unwrap_or_else(|| old.display_name.clone());
                m.tx.exec(
                    "UPDATE tenant SET name = $2, display_name = $3, state = $4, version = version + 1 WHERE id = $1",
                    params![old.id, new_name, display_name, state.as_str()],
                )?;
                if state == TenantState::Active && old.state == TenantState::Suspended {
                    schedules::fire::resume(m, old.id)?;
                    m.wake_jobs();
                }
                let new = m.tx.one(&format!("SELECT {TENANT} FROM tenant WHERE id = $1"), params![old.id], tenant_row)?;
                let said = |t: &TenantInfo| json!({ "name": t.name, "display_name": t.display_name, "state": t.state });
                let object = Object { kind: "Tenant", id: old.id.uuid(), name: &new.name };
                record(m, "tenant.updated", &object, &said(&old), &said(&new))?;
                Ok(new)
            })
            .await?;
        self.scopes().clear();
        Ok(updated)
    }

    /// # Errors
    /// `malformed_name` (400); `already_exists` (409).
    pub async fn project_create(
        &self,
        context: &Context,
        name: &str,
        display_name: &str,
    ) -> Result<ProjectInfo> {
        access::check(context, "projects.create")?;
        let (name, display_name): (Name, String) = (name.parse()?, display_name.to_owned());
        self.mutate(context, Act::new("projects", "create"), move |m| {
            let (id, tenant_id): (ProjectId, TenantId) = (m.id(), m.context.scope.tenant_id);
            let made = m.tx.exec(
                "INSERT INTO project (id, tenant_id, name, display_name, created_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (tenant_id, name) DO NOTHING",
                params![id, tenant_id, name.to_string(), display_name.clone(), m.now],
            )?;
            if made == 0 {
                return Err(Error::conflict("already_exists", format!("there is a project {name} already")));
            }
            let object = Object { kind: "Project", id: id.uuid(), name: name.as_str() };
            record(m, "project.created", &object, &Value::Null, &json!({ "name": name, "display_name": display_name }))?;
            Ok(m.tx.one(&format!("SELECT {PROJECT} FROM project WHERE id = $1"), params![id], project_row)?)
        })
        .await
    }

    /// Of the tenant, by name; of `seen` alone, where that is given.
    pub async fn project_list(
        &self,
        scope: Scope,
        seen: Option<BTreeSet<ProjectId>>,
        page: PageRequest,
    ) -> Result<Page<ProjectInfo>> {
        let (after, fetch) = (page.after("projects")?.map(str::to_owned), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<ProjectInfo>> {
                let mut query = Query::new(&format!("SELECT {PROJECT} FROM project WHERE"));
                query.push(" tenant_id = ?", scope.tenant_id);
                if let Some(ids) = &seen {
                    query.text(" AND ").among(tx.backend(), "id", ids.iter().map(|id| id.uuid()));
                }
                if let Some(after) = &after {
                    query.push(" AND name > ?", after.clone());
                }
                query.text(" ORDER BY name").limit(fetch);
                Ok(query.rows(tx, project_row)?)
            })
            .await?;
        Ok(page.cut("projects", items, |project| project.name.clone()))
    }

    /// # Errors
    /// As [`Self::tenant_update`], with `project_not_found` and `default_project`; `reason_required` (400) where another
    /// review is asked for without saying why.
    pub async fn project_update(
        &self,
        context: &Context,
        project: &str,
        version: i64,
        patch: Patch,
    ) -> Result<ProjectInfo> {
        access::check(context, "projects.update")?;
        if (patch.review.is_some() || patch.approval_from.is_some()) && patch.reason.trim().is_empty() {
            let detail = "changing what is reviewed in a project wants a reason";
            return Err(Error::malformed("reason_required", detail));
        }
        let (project, name) =
            (project.to_owned(), patch.name.as_deref().map(str::parse::<Name>).transpose()?);
        let updated = self
            .mutate(context, Act::new("projects", "update").because(patch.reason.clone()), move |m| {
                let tenant_id = m.context.scope.tenant_id;
                let old =
                    m.tx.opt(
                        &format!(
                            "SELECT {PROJECT} FROM project WHERE tenant_id = $1 AND name = $2{}",
                            m.tx.backend().for_update()
                        ),
                        params![tenant_id, project.clone()],
                        project_row,
                    )?
                    .ok_or_else(|| {
                        Error::not_found(
                            "project_not_found",
                            format!("the tenant has no project {project:?}"),
                        )
                    })?;
                not_deleting(m, "project", old.id.uuid(), &project)?;
                fresh("project", &project, old.version, version)?;
                let new_name = name.as_ref().map_or_else(|| old.name.clone(), ToString::to_string);
                if new_name != old.name {
                    if old.name == DEFAULT {
                        return Err(Error::conflict("default_project", "the default project keeps its name"));
                    }
                    let taken = m.tx.opt(
                        "SELECT 1 FROM project WHERE tenant_id = $1 AND name = $2",
                        params![tenant_id, new_name.clone()],
                        |row| row.get::<i64>(0),
                    )?;
                    free("project", &new_name, taken)?;
                }
                let display_name = patch.display_name.clone().unwrap_or_else(|| old.display_name.clone());
                let review = patch.review.unwrap_or(old.review);
                let approval_from = patch.approval_from.unwrap_or(old.approval_from);
                m.tx.exec(
                    "UPDATE project SET name = $2, display_name = $3, review = $4, approval_from = $5, version = version + 1
                     WHERE id = $1",
                    params![old.id, new_name, display_name, review.as_str(), approval_from.as_str()],
                )?;
                let new = m.tx.one(
                    &format!("SELECT {PROJECT} FROM project WHERE id = $1"),
                    params![old.id],
                    project_row,
                )?;
                let said = |p: &ProjectInfo| {
                    json!({
                        "name": p.name, "display_name": p.display_name, "review": p.review, "approval_from": p.approval_from,
                    })
                };
                let object = Object { kind: "Project", id: old.id.uuid(), name: &new.name };
                record(m, "project.updated", &object, &said(&old), &said(&new))?;
                Ok(new)
            })
            .await?;
        self.scopes().clear();
        Ok(updated)
    }
}

fn record(
    m: &mut Mutation<'_, '_>,
    event: &str,
    object: &Object<'_>,
    old: &Value,
    new: &Value,
) -> Result<()> {
    let changes = qd_core::diff::diff(old, new);
    m.event(event, Subject::default(), &json!({ "name": object.name }))?;
    m.audit(object, &changes, None)
}

fn fresh(what: &str, name: &str, is: i64, read: i64) -> Result<()> {
    if is == read {
        return Ok(());
    }
    let detail =
        format!("the {what} {name} was changed since it was read: it has version {is}, and not {read}");
    Err(Error::stale("stale_version", detail))
}

fn not_deleting(m: &mut Mutation<'_, '_>, table: &str, id: Uuid, name: &str) -> Result<()> {
    let sql = format!("SELECT 1 FROM {table} WHERE id = $1 AND deleting IS NOT NULL");
    match m.tx.opt(&sql, params![id], |row| row.get::<i64>(0))? {
        Some(_) => Err(Error::conflict("scope_deleting", format!("the {table} {name} is being deleted"))),
        None => Ok(()),
    }
}

fn free(what: &str, name: &str, taken: Option<i64>) -> Result<()> {
    match taken {
        Some(_) => Err(Error::conflict("already_exists", format!("there is a {what} {name} already"))),
        None => Ok(()),
    }
}

fn tenant_row(row: &Row<'_>) -> StoreResult<TenantInfo> {
    Ok(TenantInfo {
        id: row.get(0)?,
        name: row.get(1)?,
        display_name: row.get(2)?,
        state: row.get(3)?,
        created_at: row.get(4)?,
        version: row.get(5)?,
    })
}

fn project_row(row: &Row<'_>) -> StoreResult<ProjectInfo> {
    Ok(ProjectInfo {
        id: row.get(0)?,
        name: row.get(1)?,
        display_name: row.get(2)?,
        review: row.get(5)?,
        approval_from: row.get(6)?,
        created_at: row.get(3)?,
        version: row.get(4)?,
    })
}

impl Column for TenantState {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            other => Err(format!("{other:?} is no state of a tenant")),
        }
    }
}
