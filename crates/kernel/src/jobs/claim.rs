//! Claiming: a worker takes due jobs in a batch and holds each by a lease with a new fencing token.
//!
//! A batch is shared out among the tenants that have something due, so that one with ten thousand queued jobs leaves the
//! next one its turn; the most urgent priority of all of them comes first. The jobs of a suspended tenant are held where they are:
//! none is taken until the tenant is readmitted, and one that a worker has goes on until its lease is given back.

use std::collections::BTreeMap;

use qd_core::{
    error::Result,
    id::{JobId, ProjectId, ResourceId, RunId, TenantId},
    state::{JobState, StepState},
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{JobError, JobStep, job_error, lock, steps_of};
use crate::{
    context::{Context, RequestIds, Scope},
    events::{self, NewEvent},
    kernel::Kernel,
    mutation::{Subject, Wake},
    params,
    reckoning::Times,
    store::{Backend, Param, Row, StoreResult, Tx, in_list, padded_rows},
};

/// How long a job that waits for a lock sleeps if nobody wakes it.
const LOCK_LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// The places in the queue where anything stands, one row a priority and tenant, found by steps along the index; and those of
/// them that are not held.
const PLACES: &str = "WITH RECURSIVE place (prio, tenant_id) AS (
  SELECT p.prio, (SELECT q.tenant_id FROM job_queue q WHERE q.prio = p.prio ORDER BY q.tenant_id LIMIT 1)
  FROM (SELECT 0 AS prio UNION ALL SELECT 1 UNION ALL SELECT 2) p
  UNION ALL
  SELECT t.prio, (SELECT q.tenant_id FROM job_queue q WHERE q.prio = t.prio AND q.tenant_id > t.tenant_id ORDER BY q.tenant_id LIMIT 1)
  FROM place t WHERE t.tenant_id IS NOT NULL
), admitted (prio, tenant_id) AS (
  SELECT t.prio, t.tenant_id FROM place t WHERE t.tenant_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM tenant h WHERE h.id = t.tenant_id AND h.state = 'suspended' AND h.deleting IS NULL)
)";

/// A job held under a lease.
#[derive(Clone)]
pub(super) struct Claimed {
    pub id: JobId,
    pub token: i64,
    pub step: usize,
    pub operation: String,
    pub input: Value,
    pub cancel_requested: bool,
    pub state: JobState,
    pub resource_id: Option<ResourceId>,
    pub run_id: Option<RunId>,
    pub steps: Vec<JobStep>,
    /// What it waited for before this claim.
    pub waiting_for: Option<String>,
    /// Why it fails once its step is called off, or why it is undone.
    pub failure: Option<JobError>,
    /// The keys of its plan.
    pub locks: Vec<String>,
    /// By key, of those that it holds.
    pub fences: Vec<(String, i64)>,
    pub waited_for_lock: bool,
    pub context: Context,
}

impl Claimed {
    pub(super) fn subject(&self) -> Subject<'static> {
        Subject {
            job_id: Some(self.id),
            run_id: self.run_id,
            resource_id: self.resource_id,
            ..Subject::default()
        }
    }

    /// It was asked to cancel before any attempt of it began: there is nothing to lock, to call off or to undo.
    pub(super) fn ends_unbegun(&self) -> bool {
        self.cancel_requested
            && self.step == 0
            && self.steps.first().is_none_or(|step| step.state == StepState::Pending)
    }
}

/// How many jobs to take.
#[derive(Clone)]
pub(super) struct Share {
    pub jobs: usize,
    /// How many of this process's slots each tenant has now.
    pub held: BTreeMap<TenantId, usize>,
    /// How many it may have.
    pub most: usize,
}

impl Share {
    fn room(&self, tenant: TenantId) -> usize {
        self.most.saturating_sub(self.held.get(&tenant).copied().unwrap_or(0))
    }

    fn take(&mut self, tenant: TenantId, jobs: usize) {
        self.jobs = self.jobs.saturating_sub(jobs);
        *self.held.entry(tenant).or_default() += jobs;
    }
}

impl Kernel {
    /// Takes due jobs.
    pub(super) async fn jobs_claim(&self, share: Share) -> Result<Vec<Claimed>> {
        let Some(due) = self.reckoning.claims_now() else { return Ok(vec![]) };
        let now = Times { shown: self.source.now(), due };
        let lease_end = now.due.checked_add(self.options.lease).unwrap_or(Timestamp::MAX);
        let reference = self.reckoning.claims_while(now.due);
        let (claimed, moved) = self
            .store
            .write(move |tx| -> Result<(Vec<Claimed>, bool)> {
                let held = match tx.backend() {
                    Backend::Sqlite => hold_one_by_one(tx, share.clone(), lease_end, now.due)?,
                    Backend::Postgres => hold_together(tx, share.clone(), lease_end, now.due, reference)?,
                };
                if held.is_empty() {
                    return Ok((vec![], false));
                }
                let mut jobs = read(tx, &held)?;
                let mut busy = lock::take(tx, &mut jobs, now.shown)?;
                let mut claimed = vec![];
                for job in jobs {
                    match busy.remove(&job.id) {
                        Some(busy) => wait_for_lock(tx, &job, &busy, now)?,
                        None => claimed.push(job),
                    }
                }
                begin(tx, &mut claimed, now.shown)?;
                Ok((claimed, true))
            })
            .await?;
        if moved {
            self.bus.wake(Wake { events: true, ..Wake::default() });
        }
        for job in &claimed {
            self.failpoint(|| format!("job.claimed:{}", job.operation));
        }
        Ok(claimed)
    }

    /// The earliest time at which a job is due, if there is any.
    pub(super) async fn jobs_next_due(&self) -> Result<Option<Timestamp>> {
        let sql = format!(
            "{PLACES} SELECT MIN((SELECT q.due_at FROM job_queue q WHERE q.prio = t.prio AND q.tenant_id = t.tenant_id
               ORDER BY q.due_at LIMIT 1)) FROM admitted t"
        );
        self.store.read(move |tx| -> Result<_> { Ok(tx.one(&sql, &[], |row| row.get(0))?) }).await
    }

    /// Ends every lease at once. Only right where no other process can hold one.
    pub(crate) async fn leases_release(&self) -> Result<()> {
        let now = self.reckoning.now();
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec(
                    "UPDATE job_queue SET due_at = $1, set_at = $1
                     WHERE EXISTS (SELECT 1 FROM job WHERE job.id = job_queue.job_id AND job.state IN ('running', 'undoing'))",
                    params![now],
                )?;
                Ok(())
            })
            .await
    }
}

/// A job's new token and its step.
type Held = BTreeMap<JobId, (i64, i64)>;

fn held_row(row: &Row<'_>) -> StoreResult<(JobId, (i64, i64))> {
    Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
}

/// SQLite has no LATERAL, and a statement costs it next to nothing: each place is asked for itself.
fn hold_one_by_one(tx: &mut Tx<'_>, mut share: Share, lease_end: Timestamp, now: Timestamp) -> Result<Held> {
    let sql = format!("{PLACES} SELECT t.prio, t.tenant_id FROM admitted t ORDER BY t.prio, t.tenant_id");
    let places: Vec<(i64, TenantId)> = tx.rows(&sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut held = Held::new();
    for prio in 0..=2 {
        let tenants: Vec<TenantId> = places.iter().filter(|(p, _)| *p == prio).map(|(_, t)| *t).collect();
        // Twice: what some leave of their share goes to the others.
        for round in 0..2 {
            for (done, tenant) in tenants.iter().enumerate() {
                let part = if round == 0 { share.jobs.div_ceil(tenants.len() - done) } else { share.jobs };
                let part = part.min(share.room(*tenant));
                if part == 0 {
                    continue;
                }
                let taken = tx.rows(
                    "UPDATE job_queue SET due_at = $1, set_at = $4, token = token + 1 WHERE job_id IN (SELECT job_id FROM job_queue
                       WHERE prio = $2 AND tenant_id = $3 AND due_at <= $4 ORDER BY due_at, job_id LIMIT $5)
                     RETURNING job_id, token, step",
                    params![lease_end, prio, *tenant, now, i64::try_from(part).unwrap_or(i64::MAX)],
                    held_row,
                )?;
                share.take(*tenant, taken.len());
                held.extend(taken);
            }
        }
    }
    Ok(held)
}

/// In one statement; a tenant is asked for an even part, and for more only where the others left some. Nothing while the database's
/// clock is behind `reference`.
fn hold_together(
    tx: &mut Tx<'_>,
    mut share: Share,
    lease_end: Timestamp,
    now: Timestamp,
    reference: Option<Timestamp>,
) -> Result<Held> {
    let most = i64::try_from(share.most).unwrap_or(i64::MAX);
    let mut held = Held::new();
    for even in [true, false] {
        let left = i64::try_from(share.jobs).unwrap_or(i64::MAX);
        if left == 0 {
            break;
        }
        let used: Vec<(TenantId, i64)> = match share.held.is_empty() {
            // VALUES wants a row.
            true => vec![(TenantId::from(uuid::Uuid::nil()), 0)],
            false => share.held.iter().map(|(t, jobs)| (*t, i64::try_from(*jobs).unwrap_or(most))).collect(),
        };
        let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint"], used.len(), 7);
        // A LIMIT that is a parameter is planned anew each time; one that is selected is not.
        // An array, because Postgres may run a subquery of IN again for each row and so take more than the limit.
        let sql = format!(
            "{PLACES}, used (tenant_id, jobs) AS (VALUES {rows}), part AS (
               SELECT GREATEST(1, $3 / GREATEST(1, (SELECT count(DISTINCT t.tenant_id) FROM admitted t))) AS jobs
             ), due AS (
               SELECT d.job_id FROM admitted t CROSS JOIN LATERAL (
                 SELECT q.job_id FROM job_queue q WHERE q.prio = t.prio AND q.tenant_id = t.tenant_id AND q.due_at <= $2
                   AND (SELECT COALESCE(clock_timestamp() >= $6, true))
                 ORDER BY q.due_at, q.job_id LIMIT LEAST(
                   CASE WHEN $4 THEN (SELECT jobs FROM part) ELSE $3 END,
                   (SELECT GREATEST(0, $5 - COALESCE(MAX(u.jobs), 0)) FROM used u WHERE u.tenant_id = t.tenant_id)
                 ) FOR UPDATE SKIP LOCKED
               ) d ORDER BY t.prio LIMIT (SELECT $3)
             )
             UPDATE job_queue SET due_at = $1, set_at = $2, token = token + 1 WHERE job_id = ANY(ARRAY(SELECT job_id FROM due))
             RETURNING job_id, token, step, tenant_id, (SELECT jobs FROM part)"
        );
        let mut args: Vec<&dyn Param> = vec![&lease_end, &now, &left, &even, &most, &reference];
        let last = used.last();
        for (tenant, jobs) in used.iter().chain(last.into_iter().cycle()).take(padded) {
            args.extend([tenant as &dyn Param, jobs]);
        }
        let mut part = left;
        let taken = tx.rows(&sql, &args, |row| {
            part = row.get(4)?;
            Ok((held_row(row)?, row.get::<TenantId>(3)?))
        })?;
        let nobody_left_any = taken.is_empty() || part >= left;
        for (job, tenant) in taken {
            share.take(tenant, 1);
            held.extend([job]);
        }
        if nobody_left_any {
            break;
        }
    }
    Ok(held)
}

fn read(tx: &mut Tx<'_>, held: &Held) -> Result<Vec<Claimed>> {
    let ids: Vec<JobId> = held.keys().copied().collect();
    let mut steps = steps_of(tx, &ids)?;
    let (list, args) = in_list(&ids, 1);
    let mut jobs = tx.rows(
        &format!(
            "SELECT id, tenant_id, project_id, operation, state, resource_id, run_id, input, cancel_requested, created_by,
               request_id, correlation_id, waiting_for, error_code, error_message, locks FROM job WHERE id IN ({list})"
        ),
        &args,
        job_row,
    )?;
    for job in &mut jobs {
        if let Some((token, step)) = held.get(&job.id) {
            (job.token, job.step) = (*token, usize::try_from(*step).unwrap_or(0));
        }
        job.steps = steps.remove(&job.id).unwrap_or_default();
    }
    Ok(jobs)
}

/// The jobs and their steps are under way, in one statement each for all.
fn begin(tx: &mut Tx<'_>, jobs: &mut [Claimed], now: Timestamp) -> Result<()> {
    let (mut started, mut first, mut steps) = (vec![], vec![], vec![]);
    for job in &mut *jobs {
        let undoing = job.state == JobState::Undoing;
        if !undoing && job.state != JobState::Running {
            if job.state == JobState::Queued || job.steps.iter().all(|step| step.started_at.is_none()) {
                first.push(job.id);
            }
            job.state = job.state.step(JobState::Running)?;
            started.push(job.id);
        }
        if job.ends_unbegun() {
            continue;
        }
        let index = job.step;
        if let Some(step) = job.steps.get_mut(index) {
            step.attempts += 1;
            step.state = if undoing { StepState::Undoing } else { StepState::Running };
            steps.push((job.id, i64::try_from(index).unwrap_or(0), step.state.as_str()));
        }
    }
    if !started.is_empty() {
        let (list, ids) = in_list(&started, 2);
        let mut args: Vec<&dyn Param> = vec![&now];
        args.extend(ids);
        tx.exec_later(
            &format!(
                "UPDATE job SET state = 'running', waiting_for = NULL, started_at = COALESCE(started_at, $1) WHERE id IN ({list})"
            ),
            &args,
        )?;
    }
    if let Some(last) = steps.last() {
        let (rows, padded) = padded_rows(tx.backend(), &["uuid", "bigint", "text"], steps.len(), 2);
        let mut args: Vec<&dyn Param> = vec![&now];
        for (id, index, state) in steps.iter().chain(std::iter::repeat(last)).take(padded) {
            args.extend([id as &dyn Param, index, state]);
        }
        tx.exec_later(
            &format!(
                "WITH v (job_id, idx, state) AS (VALUES {rows})
                 UPDATE job_step SET state = v.state, attempts = attempts + 1, started_at = COALESCE(started_at, $1)
                 FROM v WHERE job_step.job_id = v.job_id AND job_step.idx = v.idx"
            ),
            &args,
        )?;
    }
    let begun: Vec<NewEvent<'_>> = jobs
        .iter()
        .filter(|job| first.contains(&job.id))
        .map(|job| NewEvent {
            context: &job.context,
            event_type: "job.running",
            subject: job.subject(),
            data: json!({ "operation": job.operation }),
        })
        .collect();
    events::append_all(tx, now, &begun)
}

/// Gives the lease back; whoever frees the key makes the job due.
fn wait_for_lock(tx: &mut Tx<'_>, job: &Claimed, busy: &lock::Busy, now: Times) -> Result<()> {
    let waiting_for = busy.waiting_for();
    let due = now.due.checked_add(LOCK_LOOK).unwrap_or(Timestamp::MAX);
    lock::wait(tx, job.id, busy, now.shown)?;
    tx.exec_later(
        "UPDATE job_queue SET due_at = $2, set_at = $3, token = token + 1 WHERE job_id = $1",
        params![job.id, due, now.due],
    )?;
    if job.state != JobState::Waiting {
        job.state.step(JobState::Waiting)?;
    }
    tx.exec_later(
        "UPDATE job SET state = 'waiting', waiting_for = $2 WHERE id = $1",
        params![job.id, waiting_for],
    )?;
    if job.waiting_for.as_ref() != Some(&waiting_for) {
        let data = json!({ "operation": job.operation, "waiting_for": waiting_for, "lock": busy.key, "holder": busy.holder.job_id });
        events::append(tx, &job.context, now.shown, "job.waiting", &job.subject(), &data)?;
    }
    Ok(())
}

fn job_row(row: &Row<'_>) -> StoreResult<Claimed> {
    let (tenant_id, project_id): (TenantId, ProjectId) = (row.get(1)?, row.get(2)?);
    let (input, locks): (String, String) = (row.get(7)?, row.get(15)?);
    let state: JobState = row.get(4)?;
    Ok(Claimed {
        id: row.get(0)?,
        token: 0,
        step: 0,
        operation: row.get(3)?,
        // One that cannot be read fails by itself, and not all that are claimed with it.
        input: serde_json::from_str(&input).unwrap_or_default(),
        cancel_requested: row.get(8)?,
        state,
        resource_id: row.get(5)?,
        run_id: row.get(6)?,
        steps: vec![],
        waiting_for: row.get(12)?,
        failure: job_error(row, 13)?,
        locks: serde_json::from_str(&locks).unwrap_or_default(),
        fences: vec![],
        waited_for_lock: state == JobState::Waiting,
        context: Context::system(
            row.get(9)?,
            Scope { tenant_id, project_id },
            RequestIds { request_id: row.get(10)?, correlation_id: row.get(11)?, trace_id: None },
            "job",
        )
        .on_behalf_of(row.get::<String>(9)?),
    })
}
