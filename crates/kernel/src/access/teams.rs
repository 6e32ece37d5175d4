//! Teams of a tenant: a name under which people and services hold roles, and to which resources can belong or be shared.
//!
//! A team's name is what documents and policies call it (`team:core`), so it does not change; how it is shown does. Whoever
//! leaves a team loses what came from it: at once in this process, within the callers' five seconds in others. Nobody puts
//! himself in a team or takes himself out, because that would change what he may do.

use qd_core::{
    diff::{Change, diff},
    error::{Error, Result},
    id::{PrincipalId, TeamId, TenantId},
    name::Name,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    bindings::{own_access, principal_named, team_within_own},
    matrix::Level,
};
use crate::{
    context::{Context, PrincipalKind, Scope},
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    page::{Page, PageRequest},
    params,
    query::Query,
    store::{Row, StoreResult, Tx},
};

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
    pub display_name: String,
    /// How many are in it.
    pub members: i64,
    pub created_by: String,
    pub created_at: Timestamp,
    pub version: i64,
}

/// A team with who is in it and what it holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TeamDetail {
    #[serde(flatten)]
    pub team: Team,
    /// By name.
    pub people: Vec<TeamMember>,
    pub roles: Vec<TeamRole>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TeamMember {
    pub principal_id: PrincipalId,
    pub name: String,
    pub display_name: String,
    pub kind: PrincipalKind,
    pub added_by: String,
    pub added_at: Timestamp,
}

/// A role that everybody in the team holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TeamRole {
    pub role: String,
    pub level: Level,
    /// The project's name, where the role is held in one.
    pub project: Option<String>,
}

const TEAM: &str = "SELECT t.id, t.name, t.display_name,
  (SELECT COUNT(*) FROM team_member m WHERE m.team_id = t.id), t.created_by, t.created_at, t.version FROM team t";

/// Writes a change of who is in a team; answers the event and the difference, none where there is none.
type MemberChange =
    fn(&mut Mutation<'_, '_>, &Team, (PrincipalId, &str)) -> Result<Option<(&'static str, Change)>>;

impl Kernel {
    /// # Errors
    /// `malformed_name` (400); `already_exists` (409).
    pub async fn team_create(&self, context: &Context, name: &str, display_name: &str) -> Result<Team> {
        super::check(context, "teams.create")?;
        let (name, display_name): (Name, String) = (name.parse()?, display_name.to_owned());
        self.mutate(context, Act::new("teams", "create"), move |m| {
            let (id, scope): (TeamId, Scope) = (m.id(), m.context.scope);
            let made = m.tx.exec(
                "INSERT INTO team (id, tenant_id, name, display_name, version, created_by, created_at)
                 VALUES ($1, $2, $3, $4, 1, $5, $6) ON CONFLICT (tenant_id, name) DO NOTHING",
                params![
                    id,
                    scope.tenant_id,
                    name.to_string(),
                    display_name.clone(),
                    m.context.principal.name.clone(),
                    m.now
                ],
            )?;
            if made == 0 {
                return Err(Error::conflict("already_exists", format!("there is a team {name} already")));
            }
            let team = find(m.tx, scope, name.as_str(), "")?;
            record(m, "team.created", &team, &diff(&Value::Null, &said(&team)))?;
            Ok(team)
        })
        .await
    }

    /// All of the tenant, by name.
    pub async fn team_list(&self, scope: Scope, page: PageRequest) -> Result<Page<Team>> {
        let (after, fetch) = (page.after("teams")?.map(str::to_owned), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Team>> {
                let mut query = Query::new(TEAM);
                query.push(" WHERE t.tenant_id = ?", scope.tenant_id);
                if let Some(after) = &after {
                    query.push(" AND t.name > ?", after.clone());
                }
                query.text(" ORDER BY t.name").limit(fetch);
                Ok(query.rows(tx, team_row)?)
            })
            .await?;
        Ok(page.cut("teams", items, |team| team.name.clone()))
    }

    /// # Errors
    /// `team_not_found` (404).
    pub async fn team_get(&self, scope: Scope, name: &str) -> Result<TeamDetail> {
        let name = name.to_owned();
        self.store.read(move |tx| detail(tx, scope, &name)).await
    }

    /// Changes how it is shown. `version` is what was read.
    ///
    /// # Errors
    /// `team_not_found` (404); `stale_version` (412).
    pub async fn team_update(
        &self,
        context: &Context,
        name: &str,
        version: i64,
        display_name: Option<String>,
    ) -> Result<Team> {
        let name = name.to_owned();
        self.mutate(context, Act::new("teams", "update"), move |m| {
            let scope = m.context.scope;
            let old = locked(m, &name)?;
            if old.version != version {
                let detail =
                    format!("the team {name} was changed since it was read: it has version {}", old.version);
                return Err(Error::stale("stale_version", detail));
            }
            let display_name = display_name.clone().unwrap_or_else(|| old.display_name.clone());
            if display_name == old.display_name {
                m.unchanged();
                return Ok(old);
            }
            m.tx.exec(
                "UPDATE team SET display_name = $2, version = version + 1 WHERE id = $1",
                params![old.id, display_name],
            )?;
            let new = find(m.tx, scope, &name, "")?;
            record(m, "team.updated", &new, &diff(&said(&old), &said(&new)))?;
            Ok(new)
        })
        .await
    }

    /// Its members lose what came from it; what belongs to it by its documents belongs to nobody of that name.
    ///
    /// # Errors
    /// `team_not_found` (404); `own_access` (403) for a team that one is in.
    pub async fn team_delete(&self, context: &Context, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.mutate(context, Act::new("teams", "delete"), move |m| {
            let team = locked(m, &name)?;
            if has(m.tx, team.id, m.context.principal.id)? {
                return Err(own_access());
            }
            // What was shared with it ends with it; who owns something stands in that one's metadata.
            m.tx.exec(
                "DELETE FROM resource_holder WHERE tenant_id = $1 AND holder = $2 AND owner = $3",
                params![m.context.scope.tenant_id, format!("{}{}", super::bindings::TEAM, team.name), false],
            )?;
            for table in ["team_binding", "team_member"] {
                m.tx.exec(&format!("DELETE FROM {table} WHERE team_id = $1"), params![team.id])?;
            }
            m.tx.exec("DELETE FROM team WHERE id = $1", params![team.id])?;
            record(m, "team.deleted", &team, &diff(&said(&team), &Value::Null))
        })
        .await?;
        self.callers.clear();
        Ok(())
    }

    /// Puts somebody in the team; who is in it already stays.
    ///
    /// # Errors
    /// `team_not_found`, `user_not_found` (404); `own_access` (403) for oneself; `role_beyond_own` (403) where the team holds more
    /// than the caller may do.
    pub async fn team_member_add(&self, context: &Context, team: &str, person: &str) -> Result<()> {
        self.team_member_change(context, team, person, |m, team, (id, name)| {
            team_within_own(m, team.id)?;
            let (me, tenant_id) = (m.context.principal.name.clone(), m.context.scope.tenant_id);
            let added = m.tx.exec(
                "INSERT INTO team_member (team_id, principal_id, tenant_id, created_by, created_at)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (team_id, principal_id) DO NOTHING",
                params![team.id, id, tenant_id, me, m.now],
            )?;
            Ok((added == 1).then(|| ("team.joined", Change::add("/people/-", json!(name)))))
        })
        .await
    }

    /// # Errors
    /// As [`Self::team_member_add`]; `not_in_team` (404).
    pub async fn team_member_remove(&self, context: &Context, team: &str, person: &str) -> Result<()> {
        self.team_member_change(context, team, person, |m, team, (id, name)| {
            let gone = m.tx.exec(
                "DELETE FROM team_member WHERE team_id = $1 AND principal_id = $2",
                params![team.id, id],
            )?;
            if gone == 0 {
                let detail = format!("{name} is not in the team {}", team.name);
                return Err(Error::not_found("not_in_team", detail));
            }
            Ok(Some(("team.left", Change::remove("/people", json!(name)))))
        })
        .await
    }

    async fn team_member_change(
        &self,
        context: &Context,
        team: &str,
        person: &str,
        change: MemberChange,
    ) -> Result<()> {
        let (team, person) = (team.to_owned(), person.to_owned());
        self.mutate(context, Act::new("teams", "update"), move |m| {
            let team = locked(m, &team)?;
            let id = principal_named(m.tx, m.context, &person)?;
            if id == m.context.principal.id {
                return Err(own_access());
            }
            let Some((event, change)) = change(m, &team, (id, &person))? else {
                m.unchanged();
                return Ok(());
            };
            m.event(event, Subject::default(), &json!({ "team": team.name, "principal": person }))?;
            m.audit(&Object { kind: "Team", id: team.id.uuid(), name: &team.name }, &[change], None)
        })
        .await?;
        self.callers.clear();
        Ok(())
    }
}

/// A team of the scope's tenant; `for_update` locks its row.
pub(crate) fn find(tx: &mut Tx<'_>, scope: Scope, name: &str, for_update: &str) -> Result<Team> {
    let sql = format!("{TEAM} WHERE t.tenant_id = $1 AND t.name = $2{for_update}");
    tx.opt(&sql, params![scope.tenant_id, name.to_owned()], team_row)?
        .ok_or_else(|| Error::not_found("team_not_found", format!("the tenant has no team {name:?}")))
}

fn locked(m: &mut Mutation<'_, '_>, name: &str) -> Result<Team> {
    let for_update = m.tx.backend().for_update();
    find(m.tx, m.context.scope, name, for_update)
}

/// The teams that somebody is in, by tenant and name.
pub(crate) fn of(tx: &mut Tx<'_>, principal: PrincipalId) -> Result<Vec<(TenantId, String)>> {
    Ok(tx.rows(
        "SELECT t.tenant_id, t.name FROM team_member m JOIN team t ON t.id = m.team_id
         WHERE m.principal_id = $1 ORDER BY t.tenant_id, t.name",
        params![principal],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?)
}

/// Whether somebody is in it.
pub(crate) fn has(tx: &mut Tx<'_>, team: TeamId, principal: PrincipalId) -> Result<bool> {
    let found = tx.opt(
        "SELECT 1 FROM team_member WHERE team_id = $1 AND principal_id = $2",
        params![team, principal],
        |row| row.get::<i64>(0),
    )?;
    Ok(found.is_some())
}

fn detail(tx: &mut Tx<'_>, scope: Scope, name: &str) -> Result<TeamDetail> {
    let team = find(tx, scope, name, "")?;
    let people = tx.rows(
        "SELECT p.id, p.name, p.display_name, p.kind, m.created_by, m.created_at
         FROM team_member m JOIN principal p ON p.id = m.principal_id WHERE m.team_id = $1 ORDER BY p.name",
        params![team.id],
        |row| {
            Ok(TeamMember {
                principal_id: row.get(0)?,
                name: row.get(1)?,
                display_name: row.get(2)?,
                kind: row.get(3)?,
                added_by: row.get(4)?,
                added_at: row.get(5)?,
            })
        },
    )?;
    let roles = tx.rows(
        "SELECT b.role, b.level, j.name FROM team_binding b LEFT JOIN project j ON j.id = b.object_id
         WHERE b.team_id = $1 ORDER BY b.role, j.name",
        params![team.id],
        |row| Ok(TeamRole { role: row.get(0)?, level: row.get(1)?, project: row.get(2)? }),
    )?;
    Ok(TeamDetail { team, people, roles })
}

fn said(team: &Team) -> Value {
    json!({ "name": team.name, "display_name": team.display_name })
}

fn record(m: &mut Mutation<'_, '_>, event: &str, team: &Team, changes: &[Change]) -> Result<()> {
    m.event(event, Subject::default(), &json!({ "team": team.name }))?;
    m.audit(&Object { kind: "Team", id: team.id.uuid(), name: &team.name }, changes, None)
}

fn team_row(row: &Row<'_>) -> StoreResult<Team> {
    Ok(Team {
        id: row.get(0)?,
        name: row.get(1)?,
        display_name: row.get(2)?,
        members: row.get(3)?,
        created_by: row.get(4)?,
        created_at: row.get(5)?,
        version: row.get(6)?,
    })
}
