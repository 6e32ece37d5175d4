//! Who holds which role where.
//!
//! A binding is a holder, a role and a place: everywhere, a tenant, or a project of one. The holder is a principal, or a team,
//! whose members hold what it holds ([`super::teams`]); nothing is held everywhere through a team. Nobody grants a role that
//! allows more than he may do there himself, and nobody hands out what is held everywhere but the platform's own. The last
//! administrator of the platform keeps the role.
//!
//! Accounts are the platform's. Whom a tenant does not know is not there for it ([`principal_named`]): it neither learns who has
//! an account, nor draws anybody in who is another's.
//!
//! Not done here: whether a role allows something ([`super::check`]).

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{PrincipalId, TeamId, TenantId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    PLATFORM_ADMIN,
    matrix::{Level, RoleInfo},
    teams,
};
use crate::{
    context::{Context, Scope},
    credentials::OWNER,
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
    /// The team that it is held through.
    pub team: Option<String>,
}

impl Binding {
    /// Whether what is done in `scope` is done with this role.
    pub(crate) fn reaches(&self, scope: Scope) -> bool {
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

/// A person or service with a role in a tenant, or everywhere; once for each way in which it is held.
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
    /// The team through which it is held; none where it was given to this one.
    pub team: Option<String>,
    pub granted_by: String,
    pub granted_at: Timestamp,
}

/// A role with the place where somebody holds it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HeldRole {
    pub role: String,
    pub level: Level,
    /// The tenant's name, where it is not held everywhere.
    pub tenant: Option<String>,
    /// The project's name, where the role is held in one.
    pub project: Option<String>,
    /// The team through which it is held; none where it was given to this one.
    pub team: Option<String>,
    pub granted_by: String,
    pub granted_at: Timestamp,
}

/// Where a role is granted: to whom, and in which project if not in all of the scope.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The name of a person or service, or `team:` and a team's name.
    pub principal: String,
    pub role: String,
    /// By name or id, for a scope that is a tenant.
    pub project: Option<String>,
}

/// Everybody with everything that he holds, by himself and through teams; `place` is the order of the list.
const MEMBERS: &str = "SELECT m.id, m.name, m.display_name, m.kind, m.role, m.level, m.project, m.team, m.created_by, m.created_at FROM (
  SELECT p.id, p.name, p.display_name, p.kind, b.role, b.level, j.name AS project, b.team, b.created_by, b.created_at, b.tenant_id,
    p.name || '/' || b.role || '/' || COALESCE(j.name, '') || '/' || COALESCE(b.team, '') AS place
  FROM (
    SELECT principal_id, role, level, object_id, tenant_id, NULL AS team, created_by, created_at FROM role_binding
    UNION ALL
    SELECT tm.principal_id, tb.role, tb.level, tb.object_id, tb.tenant_id, t.name AS team, tb.created_by, tb.created_at
    FROM team_binding tb JOIN team t ON t.id = tb.team_id JOIN team_member tm ON tm.team_id = tb.team_id
  ) b
  JOIN principal p ON p.id = b.principal_id LEFT JOIN project j ON j.id = b.object_id
) m";

impl Kernel {
    /// Who holds what in the tenant of the scope, or everywhere where the scope is the platform; by name.
    pub async fn member_list(&self, scope: Scope, page: PageRequest) -> Result<Page<Member>> {
        let (after, fetch) = (page.after("members")?.map(str::to_owned), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Member>> {
                let mut query = Query::new(MEMBERS);
                query.push(" WHERE m.tenant_id = ?", scope.tenant_id);
                if let Some(after) = &after {
                    query.push(" AND m.place > ?", after.clone());
                }
                query.text(" ORDER BY m.place").limit(fetch);
                Ok(query.rows(tx, member_row)?)
            })
            .await?;
        Ok(page.cut("members", items, |member| {
            let (project, team) = (member.project.as_deref(), member.team.as_deref());
            let (project, team) = (project.unwrap_or_default(), team.unwrap_or_default());
            format!("{}/{}/{project}/{team}", member.name, member.role)
        }))
    }

    /// All that somebody holds, by place; 500 at most.
    pub async fn roles_held(&self, of: PrincipalId) -> Result<Vec<HeldRole>> {
        self.store
            .read(move |tx| -> Result<Vec<HeldRole>> {
                Ok(tx.rows(
                    "SELECT b.role, b.level, t.name, j.name, b.team, b.created_by, b.created_at FROM (
                       SELECT role, level, object_id, tenant_id, NULL AS team, created_by, created_at FROM role_binding
                       WHERE principal_id = $1
                       UNION ALL
                       SELECT tb.role, tb.level, tb.object_id, tb.tenant_id, tt.name AS team, tb.created_by, tb.created_at
                       FROM team_member tm JOIN team_binding tb ON tb.team_id = tm.team_id JOIN team tt ON tt.id = tm.team_id
                       WHERE tm.principal_id = $1
                     ) b
                     LEFT JOIN tenant t ON t.id = b.tenant_id LEFT JOIN project j ON j.id = b.object_id
                     ORDER BY COALESCE(t.name, ''), COALESCE(j.name, ''), b.role, COALESCE(b.team, '') LIMIT 500",
                    params![of],
                    |row| {
                        Ok(HeldRole {
                            role: row.get(0)?,
                            level: row.get(1)?,
                            tenant: row.get(2)?,
                            project: row.get(3)?,
                            team: row.get(4)?,
                            granted_by: row.get(5)?,
                            granted_at: row.get(6)?,
                        })
                    },
                )?)
            })
            .await
    }

    /// Gives somebody a role; giving it again changes nothing, unless it was a group that gave it: then it stays without one.
    ///
    /// # Errors
    /// `role_not_found`, `user_not_found`, `project_not_found` (404); `role_not_here` (422) where the role cannot be held at
    /// that level; `own_access` (403) for one's own roles; `role_beyond_own` (403).
    pub async fn role_grant(&self, context: &Context, grant: Grant) -> Result<()> {
        self.role_change(context, "grant", grant, |m, place, role| {
            within_own(m, role, place.scope())?;
            let role = role.name;
            let sql = format!(
                "INSERT INTO {0}_binding ({1}, role, level, object_id, tenant_id, created_by, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT ({1}, role, object_id)
                   DO UPDATE SET created_by = excluded.created_by, created_at = excluded.created_at
                   WHERE {0}_binding.created_by LIKE 'oidc:%'",
                place.holder.table(),
                place.holder.column()
            );
            let me = m.context.principal.name.clone();
            let (role, level) = (role.to_owned(), place.level.as_str());
            let granted = m.tx.exec(
                &sql,
                params![place.holder.id(), role, level, place.object_id, place.tenant_id, me, m.now],
            )?;
            Ok(granted == 1)
        })
        .await
    }

    /// Takes a role from somebody.
    ///
    /// # Errors
    /// As [`Self::role_grant`], but for `role_beyond_own`; `role_not_held` (404); `last_administrator` (409).
    pub async fn role_revoke(&self, context: &Context, grant: Grant) -> Result<()> {
        self.role_change(context, "revoke", grant, |m, place, role| {
            let role = role.name;
            let sql = format!(
                "DELETE FROM {}_binding WHERE {} = $1 AND role = $2 AND object_id = $3",
                place.holder.table(),
                place.holder.column()
            );
            let gone = m.tx.exec(&sql, params![place.holder.id(), role.to_owned(), place.object_id])?;
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
        change: fn(&mut Mutation<'_, '_>, &Place, &RoleInfo) -> Result<bool>,
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
            let own = match place.holder {
                Holder::Principal(id) => id == m.context.principal.id,
                Holder::Team(id) => teams::has(m.tx, id, m.context.principal.id)?,
            };
            if own {
                return Err(own_access());
            }
            if !change(m, &place, &role)? {
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
            let kind = if matches!(place.holder, Holder::Team(_)) { "Team" } else { "Principal" };
            let name = place.name.trim_start_matches(TEAM);
            m.audit(&Object { kind, id: place.holder.id(), name }, &[change], None)
        })
        .await?;
        self.callers.clear();
        Ok(())
    }
}

/// What a team's name has before it where a person's could stand as well.
pub const TEAM: &str = "team:";

/// Who is given a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Principal(PrincipalId),
    Team(TeamId),
}

impl Holder {
    fn id(self) -> Uuid {
        match self {
            Self::Principal(id) => id.uuid(),
            Self::Team(id) => id.uuid(),
        }
    }

    fn table(self) -> &'static str {
        if matches!(self, Self::Team(_)) { "team" } else { "role" }
    }

    fn column(self) -> &'static str {
        if matches!(self, Self::Team(_)) { "team_id" } else { "principal_id" }
    }
}

struct Place {
    holder: Holder,
    /// As it was given, with `team:` before a team's.
    name: String,
    level: Level,
    object_id: Uuid,
    tenant_id: TenantId,
}

impl Place {
    fn scope(&self) -> Scope {
        at(self.level, self.object_id, self.tenant_id)
    }
}

/// Where a binding holds.
fn at(level: Level, object_id: Uuid, tenant_id: TenantId) -> Scope {
    match level {
        Level::Platform => Scope::PLATFORM,
        Level::Tenant => Scope { tenant_id, ..Scope::PLATFORM }.of_tenant(),
        Level::Project => Scope { tenant_id, project_id: object_id.into() },
    }
}

pub(crate) fn own_access() -> Error {
    Error::forbidden("own_access", "nobody changes what they may do themselves; ask another administrator")
}

/// The account of the owner is nobody else's to change: who invites it anew could sign in as it.
///
/// # Errors
/// `owner_account` (403).
pub(crate) fn not_the_owners(context: &Context, account: &str) -> Result<()> {
    if account != OWNER || context.principal.name == OWNER {
        return Ok(());
    }
    let detail = "only the owner changes the account of the owner; whoever is on its machine gets in by `qd auth link`";
    Err(Error::forbidden("owner_account", detail))
}

/// A person or service by name, of those whom the caller may know of: oneself, whom the tenant knows ([`known`]), and for the
/// platform's own anybody. Of others the answer is that of a name that nobody has.
///
/// # Errors
/// `user_not_found` (404).
pub(crate) fn principal_named(tx: &mut Tx<'_>, context: &Context, name: &str) -> Result<PrincipalId> {
    let mut query = Query::new("SELECT p.id FROM principal p");
    query.push(" WHERE p.name = ?", name.to_owned());
    if !knows_everybody(context) {
        query.push(" AND (p.id = ?", context.principal.id);
        query.push(&format!(" OR {})", known("p.id", "?")), context.scope.tenant_id);
    }
    let found = query.rows(tx, |row| row.get(0))?.pop();
    found.ok_or_else(|| nobody(name))
}

/// Of a name that nobody has, or somebody of whom the caller is not to know.
pub(crate) fn nobody(name: &str) -> Error {
    Error::not_found("user_not_found", format!("there is nobody named {name:?}"))
}

/// A person or service by name, if it may know of the tenant: it is known there ([`known`]), or holds a role everywhere.
pub(crate) fn principal_in(tx: &mut Tx<'_>, tenant_id: TenantId, name: &str) -> Result<Option<PrincipalId>> {
    let sql = format!(
        "SELECT p.id FROM principal p WHERE p.name = $1 AND ({}
           OR EXISTS (SELECT 1 FROM role_binding b WHERE b.principal_id = p.id AND b.level = 'platform'))",
        known("p.id", "$2")
    );
    Ok(tx.opt(&sql, params![name.to_owned(), tenant_id], |row| row.get(0))?)
}

/// Whoever makes accounts may see all of them. What a token is limited to is no matter: it is about who, and not about what.
fn knows_everybody(context: &Context) -> bool {
    context.authority.decide(&context.principal, Scope::PLATFORM, "users.create", None).allowed
}

/// SQL: whether the account of that id is known in the tenant, by a role, a team or something there that belongs to it or is shared
/// with it.
pub(super) fn known(id: &str, tenant: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM tenant t WHERE t.id = {tenant} AND (
           EXISTS (SELECT 1 FROM role_binding kb WHERE kb.principal_id = {id} AND kb.tenant_id = t.id)
           OR EXISTS (SELECT 1 FROM team_member km WHERE km.principal_id = {id} AND km.tenant_id = t.id)
           OR EXISTS (SELECT 1 FROM resource_holder kh WHERE kh.principal_id = {id} AND kh.tenant_id = t.id)))"
    )
}

/// Refuses to hand out a role that allows more than the caller may do there himself.
///
/// # Errors
/// `role_beyond_own` (403), which names an action.
pub(crate) fn within_own(m: &mut Mutation<'_, '_>, role: &RoleInfo, at: Scope) -> Result<()> {
    let mut granter = m.context.principal.clone();
    if !at.is_platform() && !at.is_tenant() {
        // The caller acts in the tenant; what it holds in the project alone counts as well.
        granter.roles.extend(roles_in(&of(m.tx, granter.id)?, at));
    }
    let authority = &m.context.authority;
    let may = |action: &str| authority.allows(&granter, at, action);
    let Some(action) = authority.actions().iter().find(|action| role.allows(action) && !may(action)) else {
        return Ok(());
    };
    let detail = format!(
        "the role {} allows {action}, which {} may not do there: nobody gives what he does not have himself",
        role.name, granter.name
    );
    Err(Error::forbidden("role_beyond_own", detail))
}

/// The same of all that comes with a team to who joins it.
pub(super) fn team_within_own(m: &mut Mutation<'_, '_>, team: TeamId) -> Result<()> {
    let held: Vec<(String, Level, Uuid, TenantId)> = m.tx.rows(
        "SELECT role, level, object_id, tenant_id FROM team_binding WHERE team_id = $1 ORDER BY role, object_id",
        params![team],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    for (name, level, object_id, tenant_id) in held {
        let role = m.context.authority.roles().iter().find(|role| role.name == name).cloned();
        if let Some(role) = role {
            within_own(m, &role, at(level, object_id, tenant_id))?;
        }
    }
    Ok(())
}

fn place(m: &mut Mutation<'_, '_>, grant: &Grant, level: Level) -> Result<Place> {
    let holder = match grant.principal.strip_prefix(TEAM) {
        Some(_) if level == Level::Platform => {
            let detail =
                "a team belongs to a tenant and holds nothing everywhere; give the role to its members";
            return Err(Error::invalid("role_not_here", detail));
        }
        Some(team) => Holder::Team(teams::find(m.tx, m.context.scope, team, "")?.id),
        None => Holder::Principal(principal_named(m.tx, m.context, &grant.principal)?),
    };
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
    Ok(Place { holder, name: grant.principal.clone(), level, object_id, tenant_id })
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

/// All that somebody holds, by himself and through teams.
pub(crate) fn of(tx: &mut Tx<'_>, principal_id: PrincipalId) -> Result<Vec<Binding>> {
    Ok(tx.rows(
        "SELECT role, level, object_id, tenant_id, NULL AS team FROM role_binding WHERE principal_id = $1
         UNION ALL
         SELECT b.role, b.level, b.object_id, b.tenant_id, t.name
         FROM team_member m JOIN team_binding b ON b.team_id = m.team_id JOIN team t ON t.id = m.team_id
         WHERE m.principal_id = $1
         ORDER BY 1, 3, 5",
        params![principal_id],
        |row| {
            Ok(Binding {
                role: row.get(0)?,
                level: row.get(1)?,
                object_id: row.get(2)?,
                tenant_id: row.get(3)?,
                team: row.get(4)?,
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
        team: row.get(7)?,
        granted_by: row.get(8)?,
        granted_at: row.get(9)?,
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
