//! Deciding what is due: one transaction an instant, behind the schedule's cursor.
//!
//! What the transaction rests on is compared in it: whoever finds that the cursor has moved writes nothing. A start that is
//! refused for good is written down as such; what may pass (the database is away) leaves the instant due.

use qd_core::{
    error::{Error, ErrorKind, Result},
    id::{JobId, PrincipalId, ProjectId, ResourceId, RunId, TenantId},
    state::ResourceState,
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{
    FiringOutcome, PLURAL, SCHEDULE, acting,
    misfire::{Decision, decide},
    spec::{Concurrency, ScheduleSpec},
    subject,
    times::Times,
};
use crate::{
    audit::{self, NewRecord},
    context::{Context, Scope},
    kernel::Kernel,
    mutation::Mutation,
    params,
    runs::start_request,
    store::{Row, StoreResult},
};

/// A schedule as it stands in the database, with what is published of it.
pub(super) struct Due {
    id: ResourceId,
    scope: Scope,
    name: String,
    cursor: Timestamp,
    /// Of the cursor's row; the published one is never another for long.
    revision: i64,
    /// None where it is archived, or nothing is published any more.
    spec: Option<Value>,
    /// Who published it.
    publisher: Option<PrincipalId>,
    /// His name, or where nobody is known the name of who wrote what is published.
    publisher_name: Option<String>,
    /// It rests ([`HELD`]).
    held: bool,
}

/// What an instant came to, before it is written.
struct Came<'a> {
    due: Timestamp,
    missed: i64,
    outcome: FiringOutcome,
    why: Option<(&'a str, &'a str)>,
}

/// Whether the schedule `s` rests: its tenant is suspended, or its project is being deleted.
const HELD: &str = "(EXISTS (SELECT 1 FROM tenant t WHERE t.id = s.tenant_id AND t.state = 'suspended')
  OR EXISTS (SELECT 1 FROM project p WHERE p.id = s.project_id AND p.deleting IS NOT NULL))";

/// Schedules as they stand, before a WHERE.
fn schedules() -> String {
    format!(
        "SELECT s.resource_id, s.tenant_id, s.project_id, r.name, s.cursor_at, s.revision, r.state, v.spec, p.id,
           COALESCE(p.name, v.created_by), {HELD}
         FROM schedule s JOIN resource r ON r.id = s.resource_id
         LEFT JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number
         LEFT JOIN principal p ON p.id = s.published_by"
    )
}

impl Kernel {
    /// Decides every instant that is due now; answers how many. Harmless where several processes do it at once.
    pub async fn schedules_fire(&self) -> Result<usize> {
        self.schedules_set_back().await?;
        let mut decided = 0;
        loop {
            let now = self.reckoning.now();
            let due = self
                .store
                .read(move |tx| -> Result<Vec<Due>> {
                    let sql = format!("{} WHERE s.due_at <= $1 ORDER BY s.due_at LIMIT 50", schedules());
                    Ok(tx.rows(&sql, params![now], due_row)?)
                })
                .await?;
            let mut moved = 0;
            for schedule in &due {
                match self.schedule_decide(schedule, now).await {
                    Ok(true) => moved += 1,
                    Ok(false) => {}
                    // The others are not held up by one; it stays due.
                    Err(error) => {
                        tracing::warn!(schedule = schedule.name, %error, "fire a schedule: will try again")
                    }
                }
            }
            decided += moved;
            if moved == 0 {
                return Ok(decided);
            }
        }
    }

    /// The earliest instant that is due, and the cursor that is furthest.
    pub(super) async fn schedules_bounds(&self) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
        // Each from the end of an index.
        let sql = "SELECT (SELECT MIN(due_at) FROM schedule WHERE due_at IS NOT NULL), (SELECT MAX(cursor_at) FROM schedule)";
        self.store
            .read(move |tx| -> Result<_> { Ok(tx.one(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?) })
            .await
    }

    /// Takes back the cursors that a clock left ahead of now.
    async fn schedules_set_back(&self) -> Result<()> {
        let now = self.reckoning.now();
        let ahead = now.checked_add(super::duty::AHEAD).unwrap_or(Timestamp::MAX);
        let schedules = self
            .store
            .read(move |tx| -> Result<Vec<Due>> {
                let sql = format!("{} WHERE s.cursor_at > $1 LIMIT 500", schedules());
                Ok(tx.rows(&sql, params![ahead], due_row)?)
            })
            .await?;
        for schedule in schedules {
            tracing::warn!(schedule = schedule.name, cursor = %schedule.cursor, "the clock was ahead: its cursor is set back");
            let next = schedule.read().and_then(|(spec, times)| (!spec.paused).then(|| times.after(now))?);
            let (id, cursor) = (schedule.id, schedule.cursor);
            self.store
                .write(move |tx| -> Result<()> {
                    tx.exec(
                        "UPDATE schedule SET cursor_at = $3, due_at = $4 WHERE resource_id = $1 AND cursor_at = $2",
                        params![id, cursor, now, next],
                    )?;
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    /// True where this process moved the schedule's cursor.
    async fn schedule_decide(&self, schedule: &Due, now: Timestamp) -> Result<bool> {
        if schedule.held {
            return self.schedule_hold(schedule).await;
        }
        let Some((spec, times)) = schedule.read().filter(|(spec, _)| !spec.paused) else {
            return self.schedule_park(schedule).await;
        };
        let Some(decision) = decide(&times, &spec.misfire, schedule.cursor, now) else {
            // The expression has nothing where the row has: another build's time zones, say.
            return self.schedule_move(schedule, times.after(schedule.cursor)).await;
        };
        let context = acting(
            schedule.scope,
            schedule.id,
            &schedule.name,
            schedule.publisher_name.clone(),
            self.source.uuid().to_string(),
        );
        let (due, missed) = match decision {
            Decision::Skip { due, missed } => {
                let message = format!(
                    "it was due at {due} and looked at only at {now}; its policy is to skip what was missed"
                );
                let came = Came {
                    due,
                    missed,
                    outcome: FiringOutcome::Skipped,
                    why: Some(("misfire_skipped", &message)),
                };
                return self.schedule_note(schedule, &context, &times, &came).await;
            }
            Decision::Start { due, missed } => (due, missed),
        };
        if spec.concurrency == Concurrency::Forbid
            && let Some(active) = self.schedule_active(schedule).await?
        {
            let message = format!("{active}, which it started before, is still active");
            let came =
                Came { due, missed, outcome: FiringOutcome::Skipped, why: Some(("still_active", &message)) };
            return self.schedule_note(schedule, &context, &times, &came).await;
        }
        match self.schedule_start(schedule, &context, &spec, &times, due, missed).await {
            // What may pass is tried again; the rest would be refused the next time, too.
            Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal) => Err(error),
            Err(error) => {
                let message = match error.violations.first() {
                    Some(first) => format!("{}: {first}", error.detail),
                    None => error.detail.clone(),
                };
                let came =
                    Came { due, missed, outcome: FiringOutcome::Refused, why: Some((error.code, &message)) };
                self.schedule_note(schedule, &context, &times, &came).await
            }
            done => done,
        }
    }

    /// Makes the job of an instant, with the cursor's move.
    async fn schedule_start(
        &self,
        schedule: &Due,
        context: &Context,
        spec: &ScheduleSpec,
        times: &Times,
        due: Timestamp,
        missed: i64,
    ) -> Result<bool> {
        let kind = self.registry.find_kind(&spec.target.kind).cloned().ok_or_else(|| {
            let detail = format!("no kind {} is registered", spec.target.kind);
            Error::conflict("kind_not_runnable", detail)
        })?;
        let params = Value::Object(spec.params.clone());
        let mut request = start_request(&*kind, &spec.target.name, params, None)?;
        let (cron, zone) = (&spec.cron, &spec.time_zone);
        request.act =
            request.act.because(format!("{PLURAL}/{}: {cron:?} in {zone}, due at {due}", schedule.name));
        let asking = self.schedule_publisher(schedule, context).await?;
        self.permit(&asking, &request.act.action, request.act.on.clone()).await.map_err(|error| {
            if error.kind != ErrorKind::Forbidden {
                return error;
            }
            let who = schedule.publisher_name.as_deref().unwrap_or("somebody who is not known");
            Error::forbidden(
                error.code,
                format!("{who}, who published it, may not do that here now: {}", error.detail),
            )
        })?;
        let operation = self.operation(&request.operation)?;
        let next = times.after(due);
        self.preflighted(context, &*operation, &request.input, |preflight| {
            let (kernel, operation, input) = (self.clone(), operation.clone(), request.input.clone());
            let schedule = schedule.held();
            self.mutate_for(context, &asking, request.act.clone(), move |m| {
                let scope = m.context.scope;
                // Before the cursor: what it looks at is locked first, as by whoever publishes both.
                let planned = kernel.plan_in(m.tx, scope, &*operation, &input, &preflight, true)?;
                let came = Came { due, missed, outcome: FiringOutcome::Started, why: None };
                if !advance(m, &schedule, due, next)? {
                    m.unchanged();
                    return Ok(false);
                }
                let job_id: JobId = m.id();
                if !write(m, &schedule, &came, Some(job_id))? {
                    // It was started before, by a clock that was ahead.
                    m.unchanged();
                    return Ok(true);
                }
                kernel.failpoint(|| format!("schedule.fired:{}", operation.name()));
                kernel.intend(m, &*operation, &input, &preflight, &planned, job_id, None)?;
                let run_id: Option<RunId> =
                    m.tx.one("SELECT run_id FROM job WHERE id = $1", params![job_id], |row| row.get(0))?;
                m.tx.exec_later(
                    "UPDATE schedule_firing SET run_id = $3 WHERE resource_id = $1 AND due_at = $2",
                    params![schedule.id, due, run_id],
                )?;
                let mut subject = subject(schedule.id, &schedule.name);
                (subject.job_id, subject.run_id) = (Some(job_id), run_id);
                m.event("schedule.started", subject, &json!({ "due_at": due, "missed": missed }))?;
                Ok(true)
            })
        })
        .await
    }

    /// Writes down that nothing was started.
    async fn schedule_note(
        &self,
        schedule: &Due,
        context: &Context,
        times: &Times,
        came: &Came<'_>,
    ) -> Result<bool> {
        let (due, missed, outcome) = (came.due, came.missed, came.outcome);
        let why = came.why.map(|(code, message)| (code.to_owned(), message.to_owned()));
        let (schedule, next) = (schedule.held(), times.after(due));
        let denied = context.denials.take();
        self.carry_out(context, move |m| {
            if !advance(m, &schedule, due, next)? {
                return Ok(false);
            }
            for (action, why) in &denied {
                let about = audit::object(SCHEDULE, Some(schedule.id.uuid()), &schedule.name);
                let record = NewRecord::of(m.context, action, about).denied(why);
                let id = m.id();
                audit::append_record(m.tx, m.now, id, &record)?;
                m.wake.audit = true;
            }
            let why = why.as_ref().map(|(code, message)| (&**code, &**message));
            if write(m, &schedule, &Came { due, missed, outcome, why }, None)? {
                let (code, message) = why.unzip();
                let data = json!({ "due_at": due, "missed": missed, "code": code, "message": message });
                m.event(
                    &format!("schedule.{}", outcome.as_str()),
                    subject(schedule.id, &schedule.name),
                    &data,
                )?;
            }
            Ok(true)
        })
        .await
    }

    /// Who published it, as he is here now; where he is suspended or not known the schedule itself, which may do nothing.
    async fn schedule_publisher(&self, schedule: &Due, context: &Context) -> Result<Context> {
        let publisher =
            self.context_of(schedule.publisher, schedule.scope, context.ids.clone(), &context.source).await?;
        Ok(publisher.map_or_else(
            || context.clone(),
            |publisher| Context { denials: context.denials.clone(), ..publisher },
        ))
    }

    /// The reference of the run that the schedule started last, while it is active.
    async fn schedule_active(&self, schedule: &Due) -> Result<Option<String>> {
        let id = schedule.id;
        self.store
            .read(move |tx| -> Result<Option<String>> {
                Ok(tx.opt(
                    "SELECT r.name, u.number FROM schedule_firing f JOIN run u ON u.id = f.run_id JOIN resource r ON r.id = u.resource_id
                     WHERE f.resource_id = $1 AND f.outcome = 'started' AND u.state IN ('queued', 'running')
                     ORDER BY f.due_at DESC LIMIT 1",
                    params![id],
                    |row| Ok(format!("{}#{}", row.get::<String>(0)?, row.get::<i64>(1)?)),
                )?)
            })
            .await
    }

    /// Nothing is due until the tenant is readmitted, which makes all its schedules due to be decided ([`resume`]).
    async fn schedule_hold(&self, schedule: &Due) -> Result<bool> {
        let (tenant, schedule) = (schedule.scope.tenant_id, schedule.held());
        self.store
            .write(move |tx| -> Result<bool> {
                // With the row held that readmitting changes, so that neither overlooks the other.
                let sql = format!("SELECT id FROM tenant WHERE id = $1{}", tx.backend().for_update());
                tx.opt(&sql, params![tenant], |row| row.get::<TenantId>(0))?;
                let held = tx.exec(
                    &format!(
                        "UPDATE schedule AS s SET due_at = NULL
                         WHERE s.resource_id = $1 AND s.cursor_at = $2 AND s.revision = $3 AND {HELD}"
                    ),
                    params![schedule.id, schedule.cursor, schedule.revision],
                )?;
                Ok(held == 1)
            })
            .await
    }

    /// Nothing is due until it is published or restored again.
    async fn schedule_park(&self, schedule: &Due) -> Result<bool> {
        self.schedule_move(schedule, None).await
    }

    async fn schedule_move(&self, schedule: &Due, next: Option<Timestamp>) -> Result<bool> {
        let schedule = schedule.held();
        self.store
            .write(move |tx| -> Result<bool> {
                let moved = tx.exec(
                    "UPDATE schedule SET due_at = $4 WHERE resource_id = $1 AND cursor_at = $2 AND revision = $3",
                    params![schedule.id, schedule.cursor, schedule.revision, next],
                )?;
                Ok(moved == 1)
            })
            .await
    }
}

/// What a transaction compares and writes.
#[derive(Clone)]
struct Held {
    id: ResourceId,
    name: String,
    cursor: Timestamp,
    revision: i64,
}

impl Due {
    fn read(&self) -> Option<(ScheduleSpec, Times)> {
        let spec = ScheduleSpec::read(self.spec.as_ref()?).ok()?;
        let times = Times::new(&spec.cron, &spec.time_zone).ok()?;
        Some((spec, times))
    }

    fn held(&self) -> Held {
        Held { id: self.id, name: self.name.clone(), cursor: self.cursor, revision: self.revision }
    }
}

/// The tenant is readmitted: what its schedules missed is for each to decide, by its own policy, from its cursor on.
pub(crate) fn resume(m: &mut Mutation<'_, '_>, tenant: TenantId) -> Result<()> {
    m.tx.exec("UPDATE schedule SET due_at = $2 WHERE tenant_id = $1", params![tenant, m.due_now])?;
    Ok(())
}

/// False where somebody moved the cursor since it was read, or published another revision, or suspended the tenant.
fn advance(
    m: &mut Mutation<'_, '_>,
    schedule: &Held,
    due: Timestamp,
    next: Option<Timestamp>,
) -> Result<bool> {
    let moved = m.tx.exec(
        &format!(
            "UPDATE schedule AS s SET cursor_at = $4, due_at = $5
             WHERE s.resource_id = $1 AND s.cursor_at = $2 AND s.revision = $3 AND NOT {HELD}"
        ),
        params![schedule.id, schedule.cursor, schedule.revision, due, next],
    )?;
    Ok(moved == 1)
}

/// False where the instant was decided before.
fn write(m: &mut Mutation<'_, '_>, schedule: &Held, came: &Came<'_>, job_id: Option<JobId>) -> Result<bool> {
    let (code, message) = came.why.unzip();
    let written = m.tx.exec(
        "INSERT INTO schedule_firing (resource_id, due_at, decided_at, revision, outcome, missed, code, message, job_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (resource_id, due_at) DO NOTHING",
        params![
            schedule.id,
            came.due,
            m.now,
            schedule.revision,
            came.outcome.as_str(),
            came.missed,
            code,
            message,
            job_id
        ],
    )?;
    Ok(written == 1)
}

fn due_row(row: &Row<'_>) -> StoreResult<Due> {
    let (tenant_id, project_id): (TenantId, ProjectId) = (row.get(1)?, row.get(2)?);
    let state: ResourceState = row.get(6)?;
    let spec: Option<Value> = row.get(7)?;
    Ok(Due {
        id: row.get(0)?,
        scope: Scope { tenant_id, project_id },
        name: row.get(3)?,
        cursor: row.get(4)?,
        revision: row.get(5)?,
        spec: spec.filter(|_| state == ResourceState::Active),
        publisher: row.get(8)?,
        publisher_name: row.get(9)?,
        held: row.get(10)?,
    })
}
