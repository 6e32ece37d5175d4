//! Who holds which role where.
//!
//! A binding is a principal, a role and a place: everywhere, a tenant, or a project of one. Nobody grants what they do not
//! hold at least there: a tenant's administrator hands out roles of the tenant, and only the platform's own hands out
//! those that are held everywhere. The last administrator of the platform keeps the role.
//!
//! Not done here: whether a role allows something ([`super::check`]).

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{PrincipalId, TenantId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{PLATFORM_ADMIN, matrix::Level};
use crate::{
    context::{Context, Scope},
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    page::{Page, PageRequest},
    params,
    query::Query,
    store::{self, Column, Row, StoreResult, Tx},
};

/// A role held at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub role: String,
    pub level: Level,
    /// Of the tenant or the project; nil for the platform.
    pub object_id: Uuid,
    /// Nil for the platform.
    pub tenant_id: TenantId,
}

impl Binding {
    /// Whether what is done in `scope` is done with this role.
    fn reaches(&self, scope: Scope) -> bool {
        match self.level {
            Level::Platform => true,
            Level::Tenant => !scope.is_platform() && self.tenant_id == scope.tenant_id,
            Level::Project => self.object_id == scope.project_id.uuid() && self.tenant_id == scope.tenant_id,
        }
    }
}

/// The roles held in a scope, each once.
pub fn roles_in(bindings: &[Binding], scope: Scope) -> Vec<String> {
    let mut roles: Vec<String> = bindings
        .iter()
        .filter(|binding| binding.reaches(scope))
        .map(|binding| binding.role.clone())
        .collect();
    roles.sort();
    roles.dedup();
    roles
}

/// Whether the tenant may be known of at all.
pub fn sees_tenant(bindings: &[Binding], tenant_id: TenantId) -> bool {
    bindings.iter().any(|binding| binding.level == Level::Platform || binding.tenant_id == tenant_id)
}

/// A person or service with a role in a tenant, or everywhere.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Member {
    pub principal_id: PrincipalId,
    pub name: String,
    pub display_name: String,
    pub kind: crate::context::PrincipalKind,
    pub role: String,
    pub level: Level,
    /// The project's name, where the role is held in one.
    pub project: Option<String>,
    pub granted_by: String,
    pub granted_at: Timestamp,
}

/// Where a role is granted: to whom, and in which project if not in all of the scope.
#[derive(Debug, Clone)]
pub struct Grant {
    pub principal: String,
    pub role: String,
    /// By name or id, for a scope that is a tenant.
    pub project: Option<String>,
}

impl Kernel {
    /// Who holds what in the tenant of the scope, or everywhere where the scope is the platform; by name.
    pub async fn member_list(&self, scope: Scope, page: PageRequest) -> Result<Page<Member>> {
        let (after, fetch) = (page.after("members")?.map(str::to_owned), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Member>> {
                let mut query = Query::new(
                    "SELECT p.id, p.name, p.display_name, p.kind, b.role, b.level, j.name, b.created_by, b.created_at
                     FROM role_binding b JOIN principal p ON p.id = b.principal_id LEFT JOIN project j ON j.id = b.object_id
                     WHERE",
                );
                query.push(" b.tenant_id = ?", scope.tenant_id);
                if let Some(after) = &after {
                    query.push(" AND p.name || '/' || b.role || '/' || COALESCE(j.name, '') > ?", after.clone());
                }
                query.text(" ORDER BY p.name || '/' || b.role || '/' || COALESCE(j.name, '')").limit(fetch);
                Ok(query.rows(tx, member_row)?)
            })
            .await?;
        Ok(page.cut("members", items, |member| {
            format!("{}/{}/{}", member.name, member.role, member.project.as_deref().unwrap_or_default())
        }))
    }

    /// Gives somebody a role; giving it again changes nothing.
    ///
    /// # Errors
    /// `role_not_found`, `user_not_found`, `project_not_found` (404); `role_not_here` (422) where the role cannot be held at
    /// that level; `own_access` (403) for one's own roles.
    pub async fn role_grant(&self, context: &Context, grant: Grant) -> Result<()> {
        self.role_change(context, "grant", grant, |m, place, role| {
            let (me, now) = (m.context.principal.name.clone(), m.now);
            let granted = m.tx.exec(
                "INSERT INTO role_binding (principal_id, role, level, object_id, tenant_id, created_by, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (principal_id, role, object_id) DO NOTHING",
                params![
                    place.principal_id,
                    role.to_owned(),
                    place.level.as_str(),
                    place.object_id,
                    place.tenant_id,
                    me,
                    now
                ],
            )?;
            Ok(granted == 1)
        })
        .await
    }

    /// Takes a role from somebody.
    ///
    /// # Errors
    /// As [`Self::role_grant`]; `role_not_held` (404); `last_administrator` (409).
    pub async fn role_revoke(&self, context: &Context, grant: Grant) -> Result<()> {
        self.role_change(context, "revoke", grant, |m, place, role| {
            let gone = m.tx.exec(
                "DELETE FROM role_binding WHERE principal_id = $1 AND role = $2 AND object_id = $3",
                params![place.principal_id, role.to_owned(), place.object_id],
            )?;
            if gone == 0 {
                let detail = format!("{} does not hold the role {role} there", place.name);
                return Err(Error::not_found("role_not_held", detail));
            }
            administrators_left(m.tx)?;
            Ok(true)
        })
        .await
    }

    async fn role_change(
        &self,
        context: &Context,
        verb: &'static str,
        grant: Grant,
        change: fn(&mut Mutation<'_, '_>, &Place, &str) -> Result<bool>,
    ) -> Result<()> {
        let scope = context.scope;
        let level = match (&grant.project, scope.is_platform()) {
            (_, true) => Level::Platform,
            (Some(_), false) => Level::Project,
            (None, false) => Level::Tenant,
        };
        super::check(context, &format!("members.{verb}"))?;
        let Some(role) = self.authority.roles().iter().find(|role| role.name == grant.role).cloned() else {
            let known: Vec<&str> = self.authority.roles().iter().map(|role| role.name).collect();
            let detail = format!("there is no role {:?}; there are {}", grant.role, known.join(", "));
            return Err(Error::not_found("role_not_found", detail));
        };
        if !role.levels.contains(&level) {
            let levels: Vec<&str> = role.levels.iter().map(|level| level.as_str()).collect();
            let detail = format!(
                "{} is held at the level {}, not at {}",
                role.name,
                levels.join(" or "),
                level.as_str()
            );
            return Err(Error::invalid("role_not_here", detail));
        }
        self.mutate(context, Act::new("members", verb), move |m| {
            let place = place(m, &grant, level)?;
            if place.principal_id == m.context.principal.id {
                return Err(Error::forbidden(
                    "own_access",
                    "nobody changes what they may do themselves; ask another administrator",
                ));
            }
            if !change(m, &place, role.name)? {
                m.unchanged();
                return Ok(());
            }
            let at = grant
                .project
                .as_deref()
                .map_or_else(|| level.as_str().to_owned(), |name| format!("project {name}"));
            let data = json!({ "principal": place.name, "role": role.name, "at": at });
            m.event(
                if verb == "grant" { "member.granted" } else { "member.revoked" },
                Subject::default(),
                &data,
            )?;
            let held = json!({ "role": role.name, "at": at });
            let change = match verb {
                "grant" => Change::add("/roles/-", held),
                _ => Change::remove("/roles", held),
            };
            m.audit(
                &Object { kind: "Principal", id: place.principal_id.uuid(), name: &place.name },
                &[change],
                None,
            )
        })
        .await?;
        self.callers.clear();
        Ok(())
    }
}

struct Place {
    principal_id: PrincipalId,
    name: String,
    level: Level,
    object_id: Uuid,
    tenant_id: TenantId,
}

fn place(m: &mut Mutation<'_, '_>, grant: &Grant, level: Level) -> Result<Place> {
    let (principal_id, name) = m
        .tx
        .opt("SELECT id, name FROM principal WHERE name = $1", params![grant.principal.clone()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .ok_or_else(|| {
            Error::not_found("user_not_found", format!("there is nobody named {:?}", grant.principal))
        })?;
    let tenant_id = m.context.scope.tenant_id;
    let object_id = match (level, &grant.project) {
        (Level::Platform, _) => Uuid::nil(),
        (_, None) => tenant_id.uuid(),
        (_, Some(project)) => {
            m.tx.opt(
                "SELECT id FROM project WHERE tenant_id = $1 AND name = $2",
                params![tenant_id, project.clone()],
                |row| row.get(0),
            )?
            .ok_or_else(|| {
                Error::not_found("project_not_found", format!("the tenant has no project {project:?}"))
            })?
        }
    };
    Ok(Place { principal_id, name, level, object_id, tenant_id })
}

/// Somebody who can sign in or call must be left who may do everything.
pub(crate) fn administrators_left(tx: &mut Tx<'_>) -> Result<()> {
    // Two that go at once each see the other: on Postgres the rows are held until both have looked.
    let left: Vec<PrincipalId> = tx.rows(
        &format!(
            "SELECT p.id FROM role_binding b JOIN principal p ON p.id = b.principal_id
             WHERE b.role = $1 AND b.level = 'platform' AND p.state = 'active' ORDER BY p.id{}",
            tx.backend().for_update()
        ),
        params![PLATFORM_ADMIN],
        |row| row.get(0),
    )?;
    if left.is_empty() {
        return Err(Error::conflict(
            "last_administrator",
            format!("nobody else holds {PLATFORM_ADMIN}: give it to somebody first"),
        ));
    }
    Ok(())
}

/// All that somebody holds.
pub(crate) fn of(tx: &mut Tx<'_>, principal_id: PrincipalId) -> Result<Vec<Binding>> {
    Ok(tx.rows(
        "SELECT role, level, object_id, tenant_id FROM role_binding WHERE principal_id = $1 ORDER BY role, object_id",
        params![principal_id],
        |row| {
            Ok(Binding {
                role: row.get(0)?,
                level: row.get(1)?,
                object_id: row.get(2)?,
                tenant_id: row.get(3)?,
            })
        },
    )?)
}

fn member_row(row: &Row<'_>) -> StoreResult<Member> {
    Ok(Member {
        principal_id: row.get(0)?,
        name: row.get(1)?,
        display_name: row.get(2)?,
        kind: row.get(3)?,
        role: row.get(4)?,
        level: row.get(5)?,
        project: row.get(6)?,
        granted_by: row.get(7)?,
        granted_at: row.get(8)?,
    })
}

impl Column for Level {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "platform" => Ok(Self::Platform),
            "tenant" => Ok(Self::Tenant),
            "project" => Ok(Self::Project),
            other => Err(format!("{other:?} is no level")),
        }
    }
}
