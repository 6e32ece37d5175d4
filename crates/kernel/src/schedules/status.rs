//! What a schedule tells of itself: when it fires next, what became of the last firings, and one sentence of both.

use qd_core::{error::Result, id::RunId, state::ResourceState, time::Timestamp};
use serde_json::Value;

use super::{Firing, FiringOutcome, FiringRun, ScheduleStatus, spec::ScheduleSpec, times::Times};
use crate::{
    context::Scope,
    kernel::Kernel,
    params,
    resources::Resource,
    store::{Row, StoreResult},
};

const NEXT: usize = 5;

const FIRINGS: &str = "SELECT f.due_at, f.decided_at, f.revision, f.outcome, f.missed, f.code, f.message, f.job_id, u.id, t.name,
    u.number, u.state
  FROM schedule_firing f LEFT JOIN run u ON u.id = f.run_id LEFT JOIN resource t ON t.id = u.resource_id
  WHERE f.resource_id = $1 ORDER BY f.due_at DESC LIMIT 10";

pub(super) async fn read(kernel: &Kernel, scope: Scope, resource: &Resource) -> Result<ScheduleStatus> {
    let (id, now) = (resource.id, kernel.reckoning.now());
    let (due, spec, firings) = kernel
        .store
        .read(move |tx| -> Result<_> {
            let found: Option<(Option<Timestamp>, Option<Value>)> = tx.opt(
                "SELECT s.due_at, v.spec FROM schedule s JOIN resource r ON r.id = s.resource_id
                 LEFT JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number
                 WHERE s.resource_id = $1 AND s.project_id = $2",
                params![id, scope.project_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let firings = tx.rows(FIRINGS, params![id], firing)?;
            let (due, spec) = found.unwrap_or_default();
            Ok((due, spec, firings))
        })
        .await?;
    let spec = spec.and_then(|spec| ScheduleSpec::read(&spec).ok());
    let paused = spec.as_ref().is_some_and(|spec| spec.paused);
    let active = resource.state == ResourceState::Active && !paused;
    let times =
        spec.as_ref().filter(|_| active).and_then(|spec| Times::new(&spec.cron, &spec.time_zone).ok());
    let mut next: Vec<Timestamp> = due.filter(|_| active).into_iter().collect();
    while let Some(after) = next.last().zip(times.as_ref()).and_then(|(last, times)| times.after(*last))
        && next.len() < NEXT
    {
        next.push(after);
    }
    let sentence = sentence(resource, paused, &next, firings.first(), now);
    Ok(ScheduleStatus { sentence, paused, next, firings })
}

fn sentence(
    resource: &Resource,
    paused: bool,
    next: &[Timestamp],
    last: Option<&Firing>,
    now: Timestamp,
) -> String {
    let short = |at: Timestamp| crate::explain::when(at, now);
    let ahead = match next.first() {
        _ if resource.state == ResourceState::Archived => "It is archived and does not fire".to_owned(),
        _ if resource.published.is_none() => "It is not published and does not fire".to_owned(),
        _ if paused => "It is paused and does not fire".to_owned(),
        Some(at) if *at <= now => format!("It has been due since {}", short(*at)),
        Some(at) => format!("It fires next at {}", short(*at)),
        None => "It does not fire again".to_owned(),
    };
    let Some(last) = last else { return format!("{ahead}; it has not fired yet") };
    let due = short(last.due_at);
    let became = match (last.outcome, &last.run, &last.message) {
        (FiringOutcome::Started, Some(run), _) => format!("started {} ({})", run.run_ref, run.state),
        (FiringOutcome::Started, None, _) => "started a job".to_owned(),
        (outcome, _, message) => {
            let why = message.as_deref().unwrap_or("no reason was kept");
            format!("was {} {} ago: {}", outcome.as_str(), crate::explain::age(last.decided_at, now), why)
        }
    };
    format!("{ahead}; the last firing, due at {due}, {became}")
}

fn firing(row: &Row<'_>) -> StoreResult<Firing> {
    let run = match row.get::<Option<RunId>>(8)? {
        Some(id) => Some(FiringRun {
            id,
            run_ref: format!("{}#{}", row.get::<String>(9)?, row.get::<i64>(10)?),
            state: row.get(11)?,
        }),
        None => None,
    };
    Ok(Firing {
        due_at: row.get(0)?,
        decided_at: row.get(1)?,
        revision: row.get(2)?,
        outcome: row.get(3)?,
        missed: row.get(4)?,
        code: row.get(5)?,
        message: row.get(6)?,
        job_id: row.get(7)?,
        run,
    })
}
