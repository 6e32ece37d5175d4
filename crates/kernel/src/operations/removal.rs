//! Deleting a tenant, or a project of one, as a job: what runs is stopped, what there is is removed in batches, and the data keys of a
//! tenant's secrets are destroyed, without which a copy of their values cannot be read.
//!
//! From the moment the job is asked for, nobody gets in and no schedule fires. Jobs and runs end in the ways that they always end in,
//! so nothing goes on outside unseen. The job itself lives elsewhere: a tenant's in the default project of the default tenant, a
//! project's in the default project of its tenant; neither can be deleted.
//!
//! It cannot be undone. A job that failed or was cancelled leaves what is not yet removed, and the next one removes that.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use qd_core::{
    audit::RecordObject,
    diff::Change,
    error::{Error, ErrorKind, Result},
    id::{JobId, ProjectId, RunId, TenantId},
    plan::Risk,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::read;
use crate::{
    access::PLATFORM_ADMIN,
    audit::{NewRecord, append_record},
    context::{Context, Scope},
    jobs::cancel_request,
    mutation::{Mutation, Object, Subject},
    operation::{Apply, Ending, Intended, Intent, Operation, Outcome, Planned, Step, View, plan_of, step},
    params, schedules,
    store::Tx,
};

pub const TENANT_DELETE: &str = "tenants.delete";
pub const PROJECT_DELETE: &str = "projects.delete";

/// How long a step works before it gives its slot back.
const STINT: Duration = Duration::from_secs(20);
/// A server that dies while it removes is no fault of the step, and each attempt leaves less to do.
const ATTEMPTS: u32 = 100_000;
/// The end of a run or a job is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// For what other processes remember of who may get in where.
const REMEMBERED: Duration = Duration::from_secs(6);
/// Runs and jobs that are told to end at once.
const AT_ONCE: i64 = 100;

/// Deletes a suspended tenant, or a project.
pub(crate) struct Delete {
    pub name: &'static str,
}

/// What is to go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Removal {
    pub tenant_id: TenantId,
    /// None for the tenant as a whole.
    pub project_id: Option<ProjectId>,
    pub name: String,
    /// The job that removes it; none while it is asked for.
    #[serde(default)]
    pub job_id: Option<JobId>,
}

impl Removal {
    pub(crate) fn of_tenant(tenant_id: TenantId, name: String) -> Self {
        Self { tenant_id, project_id: None, name, job_id: None }
    }

    pub(crate) fn of_project(scope: Scope, name: String) -> Self {
        Self { tenant_id: scope.tenant_id, project_id: Some(scope.project_id), name, job_id: None }
    }

    fn table(&self) -> &'static str {
        if self.project_id.is_some() { "project" } else { "tenant" }
    }

    fn id(&self) -> Uuid {
        self.project_id.map_or_else(|| self.tenant_id.uuid(), ProjectId::uuid)
    }

    fn kind(&self) -> &'static str {
        if self.project_id.is_some() { "Project" } else { "Tenant" }
    }

    /// The projects that go, as they are now.
    fn projects(&self, tx: &mut Tx<'_>) -> Result<Vec<ProjectId>> {
        match self.project_id {
            Some(project) => Ok(vec![project]),
            None => Ok(tx.rows(
                "SELECT id FROM project WHERE tenant_id = $1 ORDER BY id",
                params![self.tenant_id],
                |row| row.get(0),
            )?),
        }
    }

    /// What somebody who looks at the plan would ask: how much it is.
    fn counts(&self, view: &mut View<'_, '_>) -> Result<Value> {
        let within = match self.project_id {
            Some(_) => "= $1",
            None => "IN (SELECT id FROM project WHERE tenant_id = $1)",
        };
        let id = self.id();
        let mut counts = serde_json::Map::new();
        for (what, sql) in [
            ("resources", format!("SELECT count(*) FROM resource WHERE project_id {within}")),
            ("runs", format!("SELECT count(*) FROM run WHERE project_id {within}")),
            (
                "active_runs",
                format!(
                    "SELECT count(*) FROM run WHERE project_id {within} AND state IN ('queued', 'running')"
                ),
            ),
            ("jobs", format!("SELECT count(*) FROM job WHERE project_id {within}")),
            ("secrets", format!("SELECT count(*) FROM secret WHERE project_id {within}")),
            (
                "log_bytes",
                format!(
                    "SELECT CAST(COALESCE(sum(bytes), 0) AS BIGINT) FROM log_usage WHERE project_id {within}"
                ),
            ),
            ("roles_held", "SELECT count(*) FROM role_binding WHERE object_id = $1".to_owned()),
        ] {
            let found: Vec<i64> = view.rows(&sql, params![id], |row| row.get(0))?;
            counts.insert(what.to_owned(), found.first().copied().unwrap_or_default().into());
        }
        if self.project_id.is_none() {
            let sql = "SELECT count(*) FROM project WHERE tenant_id = $1";
            let found: Vec<i64> = view.rows(sql, params![id], |row| row.get(0))?;
            counts.insert("projects".to_owned(), found.first().copied().unwrap_or_default().into());
        }
        Ok(Value::Object(counts))
    }
}

fn plan(operation: &str, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
    let removal: Removal = read(input)?;
    let (table, name) = (removal.table(), &removal.name);
    let state = if table == "tenant" { "state" } else { "'suspended'" };
    let sql = format!("SELECT {state}, deleting FROM {table} WHERE id = $1");
    let found: Vec<(String, Option<Uuid>)> =
        view.rows(&sql, params![removal.id()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((state, deleting)) = found.into_iter().next() else {
        let (code, detail) = match table {
            "tenant" => ("tenant_not_found", format!("there is no tenant {name:?}")),
            _ => ("project_not_found", format!("the tenant has no project {name:?}")),
        };
        return Err(Error::not_found(code, detail));
    };
    if deleting.is_some() {
        return Err(Error::conflict(
            "scope_deleting",
            format!("the {table} {name} is being deleted already"),
        ));
    }
    if state != "suspended" {
        let detail = format!("the tenant {name} is {state}; suspend it before it is deleted");
        return Err(Error::conflict("tenant_not_suspended", detail));
    }
    let counts = removal.counts(view)?;
    let target = format!("{table}s/{name}");
    let gone = vec![Change::remove("", counts)];
    let mut steps = vec![
        step("stop", "Stop its runs and end its jobs", &target, vec![], Risk::High),
        step("remove", "Remove what it has; its audit stays", &target, gone, Risk::High),
    ];
    let last = match table {
        "tenant" => "Destroy the data keys of its secrets, and remove its roles and the tenant itself",
        _ => "Remove the project itself",
    };
    steps.push(step("close", last, &target, vec![], Risk::High));
    let mut plan = plan_of(operation, input, steps)?;
    plan.postconditions.push(format!("nothing of the {table} {name} is left but its audit"));
    plan.locks.push(target);
    Ok(plan.into())
}

fn intend(m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
    let mut removal: Removal = read(intent.input)?;
    let (table, job) = (removal.table(), intent.job_id);
    let sql =
        format!("UPDATE {table} SET deleting = $2, version = version + 1 WHERE id = $1 AND deleting IS NULL");
    if m.tx.exec(&sql, params![removal.id(), job])? == 0 {
        return Err(Error::conflict(
            "scope_deleting",
            format!("the {table} {} is being deleted already", removal.name),
        ));
    }
    removal.job_id = Some(job);
    let changes = intent.planned.plan.steps.iter().flat_map(|step| step.changes.clone()).collect::<Vec<_>>();
    m.audit(&Object { kind: removal.kind(), id: removal.id(), name: &removal.name }, &changes, Some(job))?;
    m.event(
        &format!("{table}.deleting"),
        Subject { job_id: Some(job), ..Subject::default() },
        &json!({ "name": removal.name }),
    )?;
    Ok(Intended { input: json!(removal), resource: None, run_id: None })
}

/// What did not come to its end is let go of again, with what is left of it.
fn ended(input: &Value) -> Option<Apply> {
    let removal: Removal = read(input).ok()?;
    Some(Box::new(move |m| {
        let lock = format!("SELECT id FROM tenant WHERE id = $1{}", m.tx.backend().for_update());
        m.tx.opt(&lock, params![removal.tenant_id], |row| row.get::<Uuid>(0))?;
        let sql = format!("UPDATE {} SET deleting = NULL WHERE id = $1 AND deleting = $2", removal.table());
        m.tx.exec(&sql, params![removal.id(), removal.job_id])?;
        if removal.project_id.is_some() {
            schedules::fire::resume(m, removal.tenant_id)?;
        }
        Ok(())
    }))
}

async fn run(step: &Step<'_>) -> Outcome {
    let removal: Removal = match read(step.input) {
        Ok(removal) => removal,
        Err(error) => return Outcome::Fatal(error),
    };
    step.kernel.scopes().clear();
    let done = match step.name {
        "stop" => stop(step, &removal).await,
        "remove" => remove(step, &removal).await,
        _ => close(step, &removal).await,
    };
    done.unwrap_or_else(|error| match error.kind {
        ErrorKind::Unavailable | ErrorKind::Internal => Outcome::Retry(error),
        _ => Outcome::Fatal(error),
    })
}

/// Runs and jobs that have not ended, of all the projects.
struct Going {
    runs: Vec<(Scope, RunId, String, bool)>,
    jobs: Vec<(Scope, JobId)>,
    /// All jobs; those that stop runs are not told to end.
    count: i64,
}

async fn going(step: &Step<'_>, removal: &Removal) -> Result<Going> {
    let removal = removal.clone();
    step.kernel
        .store
        .read(move |tx| -> Result<Going> {
            let mut going = Going { runs: vec![], jobs: vec![], count: 0 };
            for project_id in removal.projects(tx)? {
                let scope = Scope { tenant_id: removal.tenant_id, project_id };
                going.runs.extend(tx.rows(
                    "SELECT u.id, r.name, u.number, EXISTS (SELECT 1 FROM job j WHERE j.run_id = u.id AND j.operation = 'run.stop'
                       AND j.state IN ('queued', 'running', 'waiting')) FROM run u JOIN resource r ON r.id = u.resource_id
                     WHERE u.project_id = $1 AND u.state IN ('queued', 'running') ORDER BY u.id LIMIT $2",
                    params![project_id, AT_ONCE],
                    |row| {
                        let name = format!("{}#{}", row.get::<String>(1)?, row.get::<i64>(2)?);
                        Ok((scope, row.get(0)?, name, row.get(3)?))
                    },
                )?);
                for state in ["queued", "running", "waiting", "undoing"] {
                    // What is being undone ends by itself.
                    going.jobs.extend(tx.rows(
                        "SELECT id FROM job WHERE project_id = $1 AND state = $2 AND state <> 'undoing'
                           AND operation <> 'run.stop' AND cancel_requested = $3 ORDER BY id LIMIT $4",
                        params![project_id, state, false, AT_ONCE],
                        |row| Ok((scope, row.get(0)?)),
                    )?);
                    going.count += tx.one(
                        "SELECT count(*) FROM job WHERE project_id = $1 AND state = $2",
                        params![project_id, state],
                        |row| row.get::<i64>(0),
                    )?;
                }
            }
            Ok(going)
        })
        .await
}

/// The system, in a project of what goes, for whoever asked.
fn within(step: &Step<'_>, scope: Scope) -> Context {
    let mut context = Context { scope, ..step.context.clone() };
    // What it may do was decided when the deletion was asked for.
    context.principal.roles = vec![PLATFORM_ADMIN.into()];
    context
}

/// For how long other processes may still let somebody in; nothing where there are none.
async fn remembered_yet(step: &Step<'_>) -> Result<Duration> {
    if !step.kernel.store.is_shared() {
        return Ok(Duration::ZERO);
    }
    let job_id = step.job_id;
    let asked_at: Timestamp = step
        .kernel
        .store
        .read(move |tx| -> Result<Timestamp> {
            Ok(tx.one("SELECT created_at FROM job WHERE id = $1", params![job_id], |row| row.get(0))?)
        })
        .await?;
    Ok(REMEMBERED.saturating_sub(step.now.since(asked_at)))
}

async fn stop(step: &Step<'_>, removal: &Removal) -> Result<Outcome> {
    let left = remembered_yet(step).await?;
    if !left.is_zero() {
        return Ok(Outcome::Wait { after: left, waiting_for: "other processes to let nobody in".into() });
    }
    let going = going(step, removal).await?;
    for (scope, run, name, asked) in &going.runs {
        if *asked {
            continue;
        }
        let why = format!("the {} {} is deleted", removal.table(), removal.name);
        match run_stop(step, *scope, *run, why).await {
            Ok(()) => {}
            Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal) => {
                return Err(error);
            }
            // It ended meanwhile, or is not as far yet.
            Err(error) => tracing::debug!(%error, run = name, "stop a run of what is deleted"),
        }
    }
    for (scope, job) in &going.jobs {
        let job = *job;
        step.kernel
            .carry_out(&within(step, *scope), move |m| {
                cancel_request(m, job)?;
                m.event(
                    "job.cancel_requested",
                    Subject { job_id: Some(job), ..Subject::default() },
                    &json!({}),
                )
            })
            .await?;
    }
    if going.runs.is_empty() && going.count == 0 {
        return Ok(Outcome::done(json!({})));
    }
    let named: Vec<&str> = going.runs.iter().take(3).map(|(_, _, name, _)| name.as_str()).collect();
    let waiting_for = match going.runs.len() {
        0 => format!("{} jobs to end", going.count),
        _ => format!("runs to end: {}", named.join(", ")),
    };
    Ok(Outcome::Wait { after: LOOK_AGAIN, waiting_for })
}

/// As somebody would, but for a second person's approval: the deletion had what it needs.
async fn run_stop(step: &Step<'_>, scope: Scope, run: RunId, why: String) -> Result<()> {
    let context = within(step, scope);
    let request = step.kernel.stop_request(&context, &run.to_string(), why).await?;
    let (kernel, operation, input) =
        (step.kernel.clone(), step.kernel.operation(&request.operation)?, request.input);
    step.kernel
        .mutate(&context, request.act, move |m| {
            let planned = kernel.plan_in(m.tx, scope, &*operation, &input, &Value::Null, true)?;
            let job_id: JobId = m.id();
            kernel.intend(m, &*operation, &input, &Value::Null, &planned, job_id, None)?;
            Ok(())
        })
        .await
}

async fn remove(step: &Step<'_>, removal: &Removal) -> Result<Outcome> {
    let until = Instant::now() + STINT;
    let listed = removal.clone();
    let projects = step.kernel.store.read(move |tx| listed.projects(tx)).await?;
    for project in projects {
        // Until a whole round finds nothing: what came late is found by the next one.
        loop {
            let (mut from, mut removed) = (Some(0), 0);
            while let Some(at) = from {
                let batch = step.kernel.project_remove_some(project, at).await?;
                step.kernel.failpoint(|| format!("{}.removed", removal.table()));
                (from, removed) = (batch.next, removed + batch.removed);
                if Instant::now() >= until || step.cancelled.is_cancelled() {
                    return Ok(Outcome::Wait {
                        after: Duration::ZERO,
                        waiting_for: "its next turn to remove more".into(),
                    });
                }
            }
            if removed == 0 {
                break;
            }
        }
    }
    Ok(Outcome::done(json!({})))
}

async fn close(step: &Step<'_>, removal: &Removal) -> Result<Outcome> {
    if removal.project_id.is_none() {
        while step.kernel.tenant_remove_some(removal.tenant_id).await? > 0 {}
        step.kernel.secrets.forget(removal.tenant_id);
    }
    let (removal, record) = (removal.clone(), record(step, removal));
    Ok(Outcome::done_with(json!({}), move |m| {
        for project in removal.projects(m.tx)? {
            m.tx.exec("DELETE FROM project WHERE id = $1", params![project])?;
        }
        if removal.project_id.is_none() {
            m.tx.exec("DELETE FROM tenant WHERE id = $1", params![removal.tenant_id])?;
        }
        let id = m.id();
        append_record(m.tx, m.now, id, &record)?;
        m.wake.audit = true;
        m.event(&format!("{}.deleted", removal.table()), Subject::default(), &json!({ "name": removal.name }))
    }))
}

/// The last record of what is gone, in its tenant's own chain.
fn record(step: &Step<'_>, removal: &Removal) -> NewRecord {
    let scope = Scope {
        tenant_id: removal.tenant_id,
        project_id: removal.project_id.unwrap_or(Scope::PLATFORM.project_id),
    };
    let action = if removal.project_id.is_some() { "projects.delete" } else { "tenants.delete" };
    let object =
        RecordObject { kind: removal.kind().into(), id: Some(removal.id()), name: removal.name.clone() };
    let keys = match removal.project_id {
        Some(_) => "all of its rows were removed",
        None => "all of its rows were removed, and the data keys of its secrets destroyed",
    };
    let mut record = NewRecord::of(&Context { scope, ..step.context.clone() }, action, object).because(keys);
    record.changes =
        vec![Change::remove("/name", removal.name.clone().into()), Change::add("/job", json!(step.job_id))];
    record
}

#[async_trait]
impl Operation for Delete {
    fn name(&self) -> &'static str {
        self.name
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        plan(self.name, input, view)
    }

    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        intend(m, intent)
    }

    fn priority(&self) -> i64 {
        2
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(5)
    }

    fn max_attempts(&self, _step: &str) -> u32 {
        ATTEMPTS
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        run(step).await
    }

    fn ended(&self, input: &Value, _ending: &Ending) -> Option<Apply> {
        ended(input)
    }
}
