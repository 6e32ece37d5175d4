//! Why a job is in its state: behind whom it is queued, what it waits for and who has it, how often a step was tried, what an
//! undo has left.

use qd_core::{
    error::{Error, Result},
    id::{JobId, TenantId},
    state::{JobState, StepState},
    time::Timestamp,
};
use serde_json::json;

use super::{Said, clause};
use crate::{
    context::Scope,
    jobs::{Job, JobStep},
    kernel::Kernel,
    params,
    reckoning::Times,
    roles::Role,
};

/// A job's place in the queue; gone once it has ended.
struct Place {
    due_at: Timestamp,
    /// Jobs of the tenant that come before it.
    before: i64,
    /// The tenant is suspended.
    held: bool,
}

/// What is known of it beyond its row.
struct Facts {
    place: Option<Place>,
    /// Keys that it waits for, each with the job that has it, and since when.
    waits: Vec<(String, Option<JobId>, Timestamp)>,
    /// When it began to wait for what it waits for now.
    waiting_since: Option<Timestamp>,
}

pub(super) async fn explain(kernel: &Kernel, scope: Scope, id: &str) -> Result<Said> {
    let not_found = |_| Error::not_found("job_not_found", format!("there is no job {id} here"));
    let job = kernel.job_get(scope, id.parse().map_err(not_found)?).await?;
    let facts = facts(kernel, scope, job.id).await?;
    let mut said = Said::of(format!("jobs/{}", job.id), kernel.source.now());
    said.fact("state", job.state.as_str(), job.ended_at.or(job.started_at).or(Some(job.created_at)));
    said.fact("asked for by", job.created_by.clone(), Some(job.created_at));
    let sentence = match job.state {
        JobState::Queued => queued(kernel, &job, &facts, &mut said),
        JobState::Running => running(&job, &facts, &mut said),
        JobState::Waiting => waiting(&job, &facts, &mut said),
        JobState::Undoing => undoing(&job, &facts, &mut said),
        JobState::Succeeded => succeeded(&job, &said),
        JobState::Failed | JobState::Cancelled | JobState::Undone => ended(&job, &mut said),
    };
    let asked = if job.cancel_requested && !job.state.is_terminal() && job.state != JobState::Undoing {
        " It was asked to cancel."
    } else {
        ""
    };
    let held = match &facts.place {
        Some(place) if place.held && job.state != JobState::Running => {
            " Its tenant is suspended: it goes on when the tenant is readmitted."
        }
        _ => "",
    };
    Ok(said.say(format!("{sentence}{asked}{held}")))
}

/// The state in one clause, for whoever waits for the job: `it waits for …`.
pub(super) async fn in_short(kernel: &Kernel, scope: Scope, id: JobId) -> Result<Said> {
    explain(kernel, scope, &id.to_string()).await
}

async fn facts(kernel: &Kernel, scope: Scope, id: JobId) -> Result<Facts> {
    let Times { shown, due: now } = kernel.times();
    // By the clock that people see.
    let shown_at = move |due: Timestamp| Timestamp::from_micros(due.micros() - now.micros() + shown.micros());
    kernel
        .store
        .read(move |tx| -> Result<Facts> {
            let place: Option<(i64, TenantId, Timestamp)> = tx.opt(
                "SELECT prio, tenant_id, due_at FROM job_queue WHERE job_id = $1",
                params![id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let place = match place {
                Some((prio, tenant_id, due_at)) => {
                    let held = tx.one(
                        "SELECT count(*) FROM tenant WHERE id = $1 AND state = 'suspended'",
                        params![tenant_id],
                        |row| Ok(row.get::<i64>(0)? > 0),
                    )?;
                    let before = tx.one(
                        "SELECT count(*) FROM job_queue q JOIN job j ON j.id = q.job_id
                         WHERE q.tenant_id = $1 AND q.due_at <= $2 AND j.state = 'queued' AND q.job_id <> $3
                           AND (q.prio < $4 OR (q.prio = $4 AND (q.due_at < $5 OR (q.due_at = $5 AND q.job_id < $3))))",
                        params![tenant_id, now, id, prio, due_at],
                        |row| row.get(0),
                    )?;
                    Some(Place { due_at: shown_at(due_at), before, held })
                }
                None => None,
            };
            let waits = tx.rows(
                "SELECT w.key, l.job_id, w.since FROM job_lock_wait w LEFT JOIN job_lock l ON l.key = w.key
                 WHERE w.job_id = $1 ORDER BY w.key",
                params![id],
                |row| {
                    // Stored with its scope before it; the rest is the key that people know.
                    let key: String = row.get(0)?;
                    let key = key.split_once('/').map_or(key.clone(), |(_, key)| key.to_owned());
                    Ok((key, row.get(1)?, row.get(2)?))
                },
            )?;
            let waiting_since = tx.opt(
                "SELECT at FROM event WHERE project_id = $1 AND job_id = $2 AND type = 'job.waiting' ORDER BY pos DESC LIMIT 1",
                params![scope.project_id, id],
                |row| row.get(0),
            )?;
            Ok(Facts { place, waits, waiting_since })
        })
        .await
}

/// The step in this state, with its number from 1.
fn step_in<'a>(job: &'a Job, states: &[StepState]) -> Option<(usize, &'a JobStep)> {
    job.steps
        .iter()
        .enumerate()
        .find(|(_, step)| states.contains(&step.state))
        .map(|(index, step)| (index + 1, step))
}

fn titles(job: &Job, state: StepState) -> Vec<&str> {
    job.steps.iter().filter(|step| step.state == state).map(|step| step.title.as_str()).collect()
}

fn queued(kernel: &Kernel, job: &Job, facts: &Facts, said: &mut Said) -> String {
    let before = facts.place.as_ref().map_or(0, |place| place.before);
    let due_at = facts.place.as_ref().map(|place| place.due_at);
    said.fact("jobs before it", before, None);
    said.fact("due", due_at.map(|at| at.to_string()), due_at);
    let works = kernel.options.roles.has(Role::Worker);
    said.fact("this process has the role worker", works, None);
    let behind = match before {
        0 => "it is the next one".to_owned(),
        1 => "one other job is before it".to_owned(),
        n => format!("{n} other jobs are before it"),
    };
    let place = match works {
        true => "",
        false => "; this process has no worker, and whether another one works cannot be seen from here",
    };
    format!("It has waited for a worker since {}: {behind}{place}.", said.when(job.created_at))
}

fn running(job: &Job, facts: &Facts, said: &mut Said) -> String {
    let total = job.steps.len();
    let Some((number, step)) = step_in(job, &[StepState::Running]) else {
        return format!("It is running{}.", said.since(job.started_at));
    };
    said.fact("step", format!("{number} of {total}: {}", step.title), step.started_at);
    said.fact("attempts", step.attempts, None);
    let lease = facts.place.as_ref().map(|place| place.due_at);
    said.fact("its worker's lease ends", lease.map(|at| at.to_string()), lease);
    let tries = if step.attempts > 1 { format!(", try {}", step.attempts) } else { String::new() };
    let lost = match lease {
        Some(at) if at < said.now => format!(
            "; its worker has not been heard of and lost it at {}, so that the next one takes it over",
            said.when(at)
        ),
        _ => String::new(),
    };
    let since = said.since(step.started_at);
    format!("It is at step {number} of {total}, {:?}{since}{tries}{lost}.", step.title)
}

fn waiting(job: &Job, facts: &Facts, said: &mut Said) -> String {
    let total = job.steps.len();
    let next = facts.place.as_ref().map(|place| place.due_at);
    if let Some((key, holder, since)) = facts.waits.first() {
        for (key, holder, since) in &facts.waits {
            said.fact(&format!("lock {key}"), json!({ "holder": holder }), Some(*since));
        }
        let why = job.waiting_for.as_deref().unwrap_or(key.as_str());
        let since = said.when(*since);
        return match holder {
            Some(_) => format!("It has waited since {since} for the lock {}.", clause(why)),
            None => format!(
                "It has waited since {since} for the lock {key}, which is free now: it goes on at its next look."
            ),
        };
    }
    let (number, step) = match step_in(job, &[StepState::Waiting, StepState::Running]) {
        Some(found) => found,
        None => {
            return format!("It waits for {}.", clause(job.waiting_for.as_deref().unwrap_or("the world")));
        }
    };
    said.fact("step", format!("{number} of {total}: {}", step.title), step.started_at);
    said.fact("next look", next.map(|at| at.to_string()), next);
    let look = next.map_or_else(String::new, |at| format!("; next look at {}", said.when(at)));
    let Some(error) = &step.error else {
        let what = job.waiting_for.as_deref().unwrap_or("the world");
        said.fact("waits for", what, facts.waiting_since);
        let since = said.since(facts.waiting_since);
        return format!(
            "At step {number} of {total}, {:?}, it has waited{since} for {}{look}.",
            step.title,
            clause(what)
        );
    };
    said.fact("attempts", step.attempts, None);
    said.fact("last error", error.clone(), facts.waiting_since);
    let again = next.map_or_else(|| "soon".to_owned(), |at| format!("at {}", said.when(at)));
    match &job.error {
        Some(cause) => {
            said.fact("fails because", format!("{} ({})", cause.message, cause.code), None);
            format!(
                "Step {number} of {total}, {:?}, failed ({}) and what it began is called off; that went wrong too ({}) and is tried again {again}.",
                step.title,
                clause(&cause.message),
                clause(error)
            )
        }
        None => format!(
            "Step {number} of {total}, {:?}, is tried again {again} after try {} failed: {}.",
            step.title,
            step.attempts,
            clause(error)
        ),
    }
}

fn cause(job: &Job, said: &mut Said) -> String {
    match &job.error {
        Some(error) => {
            said.fact("cause", format!("{} ({})", error.message, error.code), job.ended_at);
            clause(&error.message).to_owned()
        }
        None => "no reason was kept".into(),
    }
}

fn undoing(job: &Job, facts: &Facts, said: &mut Said) -> String {
    let why = cause(job, said);
    let left = titles(job, StepState::Succeeded);
    said.fact("still done", json!(left), None);
    let Some((number, step)) = step_in(job, &[StepState::Undoing]) else {
        return format!("It is being undone because {why}.");
    };
    said.fact("step", format!("{number} of {}: {}", job.steps.len(), step.title), None);
    said.fact("attempts", step.attempts, None);
    let trouble = match (&step.error, &facts.place) {
        (Some(error), Some(place)) => {
            said.fact("last error", error.clone(), None);
            let at = said.when(place.due_at);
            format!("; try {} failed ({}), the next one is at {at}", step.attempts, clause(error))
        }
        _ => String::new(),
    };
    format!("It is being undone because {why}: step {number}, {:?}, is taken back{trouble}.", step.title)
}

fn succeeded(job: &Job, said: &Said) -> String {
    let ended = job.ended_at.map_or_else(String::new, |at| format!(" at {}", said.when(at)));
    match job.steps.len() {
        1 => format!("It succeeded{ended}: its step took effect."),
        n => format!("It succeeded{ended}: all {n} steps took effect."),
    }
}

fn ended(job: &Job, said: &mut Said) -> String {
    let why = cause(job, said);
    let at = job.ended_at.map_or_else(String::new, |at| format!(" at {}", said.when(at)));
    let (left, undone) = (titles(job, StepState::Succeeded), titles(job, StepState::Undone));
    said.fact("still done", json!(left), None);
    if !undone.is_empty() {
        said.fact("taken back", json!(undone), None);
    }
    let place = match step_in(job, &[StepState::Failed]) {
        Some((number, step)) => {
            said.fact("step", format!("{number} of {}: {}", job.steps.len(), step.title), step.ended_at);
            format!(" in step {number} of {}, {:?}", job.steps.len(), step.title)
        }
        None => String::new(),
    };
    let stays = match left.len() {
        0 => "nothing of it is left in place".to_owned(),
        1 => format!("step {:?} stays done", left.first().copied().unwrap_or_default()),
        n => format!("{n} steps stay done: {}", left.join(", ")),
    };
    match job.state {
        JobState::Undone => format!("It was undone{at} because {why}; {stays}."),
        JobState::Cancelled => format!("It was cancelled{at}: {why}; {stays}."),
        // The message of an undo that failed says itself what is left.
        _ if job.error.as_ref().is_some_and(|error| error.code == "undo_failed") => {
            format!("It failed{at} and could not be undone: {why}.")
        }
        _ => format!("It failed{at}{place}: {why}; {stays}."),
    }
}
