//! Quotas: how many resources and runs at once, and how many bytes of logs, a tenant and a project of it may have.
//!
//! A tenant's are set by the platform, a project's by the tenant, within the tenant's; both hold. A resource that would be one too
//! many is refused in the transaction that would make it. A run that would be one too many waits for a slot, like any other
//! ([`crate::slots`]). Lines of a log that would be too many are not kept, which one line says, and the run goes on.
//!
//! Who counts holds the row of the quota, so that of several at once none counts without the others; where there is no quota nobody
//! waits. Resources and runs are counted along an index, bytes of logs are summed up as they come and go.

use qd_core::{
    diff::diff,
    error::{Error, Result},
    id::{ProjectId, RunId, TenantId},
    violation::Violation,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::{
    access,
    context::{Context, Scope},
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    params,
    store::{Row, StoreResult, Tx},
};

/// Rows in which a project's bytes of logs are counted.
const SHARDS: u8 = 16;

/// The most of each; no limit where absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Resources of all kinds that are not archived.
    #[schemars(range(min = 0))]
    pub resources: Option<i64>,
    /// Runs that an engine has at once; more wait.
    #[schemars(range(min = 0))]
    pub active_runs: Option<i64>,
    /// Bytes of logs that are kept.
    #[schemars(range(min = 0))]
    pub log_bytes: Option<i64>,
}

/// A limit beside what is used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quota {
    pub limit: Option<i64>,
    pub usage: i64,
}

/// The quotas of a tenant or a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quotas {
    pub name: String,
    pub resources: Quota,
    pub active_runs: Quota,
    pub log_bytes: Quota,
    /// 0 before any was set.
    pub version: i64,
}

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Tenant(TenantId),
    Project(ProjectId),
}

impl Holder {
    pub(crate) fn id(self) -> Uuid {
        match self {
            Self::Tenant(id) => id.uuid(),
            Self::Project(id) => id.uuid(),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Project(_) => "project",
        }
    }

    /// Those of a scope: the tenant's first.
    pub(crate) fn of(scope: Scope) -> [Self; 2] {
        [Self::Tenant(scope.tenant_id), Self::Project(scope.project_id)]
    }
}

impl Limits {
    fn within(self, outer: Self) -> Result<()> {
        let parts = [
            ("resources", self.resources, outer.resources),
            ("active_runs", self.active_runs, outer.active_runs),
            ("log_bytes", self.log_bytes, outer.log_bytes),
        ];
        if let Some((what, ..)) = parts.iter().find(|(_, limit, _)| limit.is_some_and(|limit| limit < 0)) {
            return Err(Error::malformed(
                "bad_quota",
                format!("{what} is 0 or more, or absent for no limit"),
            ));
        }
        match parts
            .iter()
            .find_map(|(what, limit, outer)| Some((what, (*limit)?, (*outer)?)).filter(|(_, l, o)| l > o))
        {
            Some((what, limit, outer)) => Err(Error::conflict(
                "quota_above_tenants",
                format!("{limit} {what} are more than the tenant may have, which is {outer}"),
            )),
            None => Ok(()),
        }
    }
}

impl Kernel {
    /// The tenant's quotas, for whoever may read in it.
    pub async fn tenant_quotas(&self, context: &Context, name: &str) -> Result<Quotas> {
        access::check(context, "quotas.read")?;
        let (name, holder) = (name.to_owned(), Holder::Tenant(context.scope.tenant_id));
        self.store.read(move |tx| read(tx, name.clone(), holder)).await
    }

    /// # Errors
    /// `tenant_not_found` (404); `stale_version` (412); `bad_quota` (400).
    pub async fn tenant_quotas_set(
        &self,
        context: &Context,
        name: &str,
        version: i64,
        limits: Limits,
    ) -> Result<Quotas> {
        access::check(context, "tenants.limit")?;
        limits.within(Limits::default())?;
        let name = name.to_owned();
        self.mutate(context, Act::new("tenants", "limit"), move |m| {
            let sql = format!("SELECT id FROM tenant WHERE name = $1{}", m.tx.backend().for_update());
            let id: TenantId = m.tx.opt(&sql, params![name], |row| row.get(0))?.ok_or_else(|| {
                Error::not_found("tenant_not_found", format!("there is no tenant {name:?}"))
            })?;
            set(m, &name, id, Holder::Tenant(id), version, limits)
        })
        .await
    }

    /// The quotas of a project of the tenant.
    pub async fn project_quotas(&self, context: &Context, name: &str) -> Result<Quotas> {
        access::check(context, "quotas.read")?;
        let (name, tenant) = (name.to_owned(), context.scope.tenant_id);
        self.store
            .read(move |tx| {
                let id = project(tx, tenant, &name, "")?;
                read(tx, name.clone(), Holder::Project(id))
            })
            .await
    }

    /// # Errors
    /// `project_not_found` (404); `stale_version` (412); `bad_quota` (400); `quota_above_tenants` (409).
    pub async fn project_quotas_set(
        &self,
        context: &Context,
        name: &str,
        version: i64,
        limits: Limits,
    ) -> Result<Quotas> {
        access::check(context, "projects.limit")?;
        let name = name.to_owned();
        self.mutate(context, Act::new("projects", "limit"), move |m| {
            let (tenant, lock) = (m.context.scope.tenant_id, m.tx.backend().for_update());
            let outer = stored(m.tx, Holder::Tenant(tenant), lock)?;
            limits.within(outer.unwrap_or_default().0)?;
            let id = project(m.tx, tenant, &name, lock)?;
            set(m, &name, tenant, Holder::Project(id), version, limits)
        })
        .await
    }
}

fn project(tx: &mut Tx<'_>, tenant: TenantId, name: &str, lock: &str) -> Result<ProjectId> {
    let sql = format!("SELECT id FROM project WHERE tenant_id = $1 AND name = $2{lock}");
    tx.opt(&sql, params![tenant, name.to_owned()], |row| row.get(0))?
        .ok_or_else(|| Error::not_found("project_not_found", format!("the tenant has no project {name:?}")))
}

fn set(
    m: &mut Mutation<'_, '_>,
    name: &str,
    tenant: TenantId,
    holder: Holder,
    version: i64,
    limits: Limits,
) -> Result<Quotas> {
    let lock = m.tx.backend().for_update();
    let (old, is) = stored(m.tx, holder, lock)?.unwrap_or_default();
    if is != version {
        let what = holder.word();
        let detail = format!(
            "the quotas of the {what} {name} were changed since they were read: version {is}, and not {version}"
        );
        return Err(Error::stale("stale_version", detail));
    }
    m.tx.exec(
        "INSERT INTO quota (object_id, tenant_id, resources, active_runs, log_bytes, version) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (object_id) DO UPDATE SET resources = excluded.resources, active_runs = excluded.active_runs,
           log_bytes = excluded.log_bytes, version = excluded.version",
        params![holder.id(), tenant, limits.resources, limits.active_runs, limits.log_bytes, is + 1],
    )?;
    let kind = if matches!(holder, Holder::Tenant(_)) { "Tenant" } else { "Project" };
    let changes = diff(&json!(old), &json!(limits));
    m.event(
        &format!("{}.limited", holder.word()),
        Subject::default(),
        &json!({ "name": name, "limits": limits }),
    )?;
    m.audit(&Object { kind, id: holder.id(), name }, &changes, None)?;
    // Runs that wait may have a slot now.
    m.wake_jobs();
    read(m.tx, name.to_owned(), holder)
}

fn read(tx: &mut Tx<'_>, name: String, holder: Holder) -> Result<Quotas> {
    let (limits, version) = stored(tx, holder, "")?.unwrap_or_default();
    Ok(Quotas {
        name,
        resources: Quota { limit: limits.resources, usage: resources(tx, holder)? },
        active_runs: Quota { limit: limits.active_runs, usage: active_runs(tx, holder)? },
        log_bytes: Quota { limit: limits.log_bytes, usage: log_bytes(tx, holder)? },
        version,
    })
}

fn stored(tx: &mut Tx<'_>, holder: Holder, lock: &str) -> Result<Option<(Limits, i64)>> {
    let sql =
        format!("SELECT resources, active_runs, log_bytes, version FROM quota WHERE object_id = $1{lock}");
    Ok(tx.opt(&sql, params![holder.id()], |row| Ok((limits(row)?, row.get(3)?)))?)
}

fn limits(row: &Row<'_>) -> StoreResult<Limits> {
    Ok(Limits { resources: row.get(0)?, active_runs: row.get(1)?, log_bytes: row.get(2)? })
}

fn resources(tx: &mut Tx<'_>, holder: Holder) -> Result<i64> {
    let sql = match holder {
        Holder::Tenant(_) => {
            "SELECT count(*) FROM project p JOIN resource r ON r.project_id = p.id WHERE p.tenant_id = $1 AND r.state = 'active'"
        }
        Holder::Project(_) => "SELECT count(*) FROM resource WHERE project_id = $1 AND state = 'active'",
    };
    Ok(tx.one(sql, params![holder.id()], |row| row.get(0))?)
}

fn active_runs(tx: &mut Tx<'_>, holder: Holder) -> Result<i64> {
    let column = holder.word();
    let sql = format!(
        "SELECT count(*) FROM run u WHERE u.{column}_id = $1 AND u.state IN ('queued', 'running') AND (
           EXISTS (SELECT 1 FROM run_slot s WHERE s.run_id = u.id AND s.held)
           OR EXISTS (SELECT 1 FROM run_attempt a WHERE a.run_id = u.id AND a.attempt = u.attempt AND a.external_id IS NOT NULL))"
    );
    Ok(tx.one(&sql, params![holder.id()], |row| row.get(0))?)
}

fn log_bytes(tx: &mut Tx<'_>, holder: Holder) -> Result<i64> {
    let sql = format!(
        "SELECT CAST(COALESCE(sum(bytes), 0) AS BIGINT) FROM log_usage WHERE {}_id = $1",
        holder.word()
    );
    Ok(tx.one(&sql, params![holder.id()], |row| row.get(0))?)
}

/// The limit of one column for each holder that has one, their rows held until the transaction ends.
fn held(tx: &mut Tx<'_>, scope: Scope, column: &str) -> Result<Vec<(Holder, i64)>> {
    let [tenant, project] = Holder::of(scope);
    let sql = format!(
        "SELECT object_id, {column} FROM quota WHERE object_id IN ($1, $2) AND {column} IS NOT NULL ORDER BY object_id{}",
        tx.backend().for_update()
    );
    let rows: Vec<(Uuid, i64)> =
        tx.rows(&sql, params![tenant.id(), project.id()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows
        .into_iter()
        .map(|(id, limit)| (if id == tenant.id() { tenant } else { project }, limit))
        .collect())
}

/// Called where a resource was made or restored: refuses the transaction that has one too many.
///
/// # Errors
/// `quota_exceeded` (409), which says whose quota, the limit and what is used.
pub(crate) fn resources_within(tx: &mut Tx<'_>, scope: Scope) -> Result<()> {
    let mut violations = vec![];
    for (holder, limit) in held(tx, scope, "resources")? {
        let used = resources(tx, holder)?;
        if used > limit {
            let word = holder.word();
            let detail = format!("the {word} may have {limit} resources and has {}", used - 1);
            violations.push(Violation::new(format!("/quotas/{word}/resources"), "quota_exceeded", detail));
        }
    }
    let Some(first) = violations.first() else { return Ok(()) };
    let detail = format!("{}; archive some, or ask for a higher quota", first.detail);
    Err(Error::conflict("quota_exceeded", detail).with_violations(violations))
}

/// The most runs at once, for each holder that has a limit. Locks nothing: the slots do.
pub(crate) fn active_runs_limits(tx: &mut Tx<'_>, scope: Scope) -> Result<Vec<(Holder, i64)>> {
    let [tenant, project] = Holder::of(scope);
    let rows: Vec<(Uuid, i64)> = tx.rows(
        "SELECT object_id, active_runs FROM quota WHERE object_id IN ($1, $2) AND active_runs IS NOT NULL",
        params![tenant.id(), project.id()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(rows
        .into_iter()
        .map(|(id, limit)| (if id == tenant.id() { tenant } else { project }, limit))
        .collect())
}

/// How many bytes of logs there is room for, and whose quota leaves the least; none without a limit.
pub(crate) fn log_room(tx: &mut Tx<'_>, scope: Scope) -> Result<Option<(i64, String)>> {
    let mut least: Option<(i64, String)> = None;
    for (holder, limit) in held(tx, scope, "log_bytes")? {
        let used = log_bytes(tx, holder)?;
        let room = limit.saturating_sub(used).max(0);
        if least.as_ref().is_none_or(|(least, _)| room < *least) {
            least =
                Some((room, format!("the {} may keep {limit} bytes of logs and has {used}", holder.word())));
        }
    }
    Ok(least)
}

/// Bytes of a run's log came, or went where `bytes` is negative.
pub(crate) fn log_count(tx: &mut Tx<'_>, scope: Scope, run: RunId, bytes: i64) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let shard = i64::from(run.uuid().as_bytes()[15] % SHARDS);
    tx.exec_later(
        "INSERT INTO log_usage (project_id, shard, tenant_id, bytes) VALUES ($1, $2, $3, $4)
         ON CONFLICT (project_id, shard) DO UPDATE SET bytes = log_usage.bytes + excluded.bytes",
        params![scope.project_id, shard, scope.tenant_id, bytes],
    )?;
    Ok(())
}
