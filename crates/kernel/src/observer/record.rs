//! Writing an observation: logs, numbers, moves of state and facts, with the cursor, in one transaction.

use qd_core::{
    error::{Error, Result},
    id::{JobId, RunId},
    state::RunState,
};
use serde_json::{Value, json};

use super::{Watched, charts};
use crate::{
    bus::Progress,
    context::{Context, RequestIds},
    engine::{Observation, RunEnd},
    jobs::job_wake,
    kernel::Kernel,
    logs,
    mutation::{Mutation, Subject},
    params,
    runs::{StoredRun, run_lock},
    slots,
};

/// Who observations are said by.
const OBSERVER: &str = "observer";

impl Kernel {
    /// Returns false, and writes nothing, when the cursor is no longer where this observation was read from, or the engine's
    /// detail no longer what it was made in the light of: another observer has told of it.
    pub(super) async fn run_record(
        &self,
        run: &Watched,
        from: i64,
        detail: Option<&Value>,
        seen: Observation,
    ) -> Result<bool> {
        let (scope, run_id, attempt) = (run.scope, run.run_id, run.attempt);
        let ids = RequestIds {
            request_id: String::new(),
            correlation_id: run.correlation_id.clone(),
            trace_id: None,
        };
        let context = Context::system(OBSERVER.into(), scope, ids, OBSERVER);
        let max_log_bytes = self.options.max_log_bytes;
        let live = Progress {
            scope,
            run_id,
            progress: seen.progress.clone(),
            serving: seen.serving.clone(),
            relayed: false,
        };
        let logged = !seen.logs.is_empty();
        let detail = detail.cloned();
        let written = self
            .carry_out(&context, move |m| {
                let read = Read { attempt, from, detail: detail.as_ref() };
                write(m, run_id, &read, &seen, max_log_bytes)
            })
            .await?;
        if written {
            if logged {
                self.bus.logs_grew();
            }
            if live.progress.is_some() || live.serving.is_some() {
                self.bus.progress(live);
            }
        }
        Ok(written)
    }
}

/// What an observation rests on.
struct Read<'a> {
    attempt: i64,
    /// The cursor from which it was read.
    from: i64,
    /// What was stored of the engine.
    detail: Option<&'a Value>,
}

fn write(
    m: &mut Mutation<'_, '_>,
    run_id: RunId,
    read: &Read<'_>,
    seen: &Observation,
    max_log_bytes: i64,
) -> Result<bool> {
    let Read { attempt, from, detail } = *read;
    let run = run_lock(m.tx, m.context.scope, run_id)?;
    let stands = (run.attempt, run.cursor) == (attempt, from) && run.engine_detail.as_ref() == detail;
    if !stands || run.state.is_terminal() {
        return Ok(false);
    }
    m.tx.exec_later(
        "UPDATE run_attempt SET cursor = $3 WHERE run_id = $1 AND attempt = $2",
        params![run_id, attempt, seen.cursor],
    )?;
    logs::append(m.tx, m.context.scope, run_id, attempt, &seen.logs, max_log_bytes, m.now)?;
    charts::append(m.tx, run_id, attempt, &seen.points)?;
    numbers(m, run_id, seen)?;
    let mut state = run.state;
    if state == RunState::Queued && (seen.started_at.is_some() || seen.end.is_some()) {
        let ended_at = seen.end.as_ref().map(|end| end.at);
        // An end without a start tells no more than that it was not later.
        let started_at = seen.started_at.or(ended_at).unwrap_or(m.now);
        let started_at = ended_at.map_or(started_at, |ended_at| started_at.min(ended_at));
        state = state.step(RunState::Running)?;
        m.tx.exec_later(
            "UPDATE run SET state = 'running', started_at = $2, version = version + 1 WHERE id = $1",
            params![run_id, started_at],
        )?;
        m.tx.exec_later(
            "UPDATE run_attempt SET state = 'running', started_at = $3 WHERE run_id = $1 AND attempt = $2",
            params![run_id, attempt, started_at],
        )?;
        m.event_at(
            started_at,
            "run.running",
            subject(&run),
            &json!({ "number": run.number, "attempt": attempt, "engine": seen.engine_detail }),
        )?;
    }
    for fact in &seen.facts {
        m.event_at(fact.at, &fact.event_type, subject(&run), &fact.data)?;
    }
    if let Some(end) = &seen.end {
        finish(m, &run, state, end, seen)?;
    }
    Ok(true)
}

/// The newest of each kind of number; what was not seen stays.
fn numbers(m: &mut Mutation<'_, '_>, run_id: RunId, seen: &Observation) -> Result<()> {
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let all = [&seen.engine_detail, &seen.progress, &seen.failure, &seen.serving, &seen.results];
    if all.iter().all(|value| value.is_none()) {
        return Ok(());
    }
    m.tx.exec_later(
        "UPDATE run SET engine_detail = COALESCE($2, engine_detail), progress = COALESCE($3, progress),
           failure = COALESCE($4, failure), serving = COALESCE($5, serving), results = COALESCE($6, results), version = version + 1
         WHERE id = $1",
        params![
            run_id,
            text(&seen.engine_detail),
            text(&seen.progress),
            text(&seen.failure),
            text(&seen.serving),
            text(&seen.results)
        ],
    )?;
    Ok(())
}

fn finish(
    m: &mut Mutation<'_, '_>,
    run: &StoredRun,
    state: RunState,
    end: &RunEnd,
    seen: &Observation,
) -> Result<()> {
    if !end.state.is_terminal() {
        return Err(Error::internal(
            "run_end_not_final",
            format!("the engine said that the run ended as {}", end.state),
        ));
    }
    state.step(end.state)?;
    m.tx.exec_later(
        "UPDATE run SET state = $2, code = $3, message = $4, ended_at = $5, version = version + 1 WHERE id = $1",
        params![run.id, end.state.as_str(), end.code, end.message, end.at],
    )?;
    m.tx.exec_later(
        "UPDATE run_attempt SET state = $3, code = $4, message = $5, exit_code = $6, ended_at = $7 WHERE run_id = $1 AND attempt = $2",
        params![run.id, run.attempt, end.state.as_str(), end.code, end.message, end.exit_code, end.at],
    )?;
    if slots::release(m.tx, m.context.scope, run, m.due_now)? {
        m.wake_jobs();
    }
    // Nobody follows it any more, also where its observer does not live to say so.
    m.tx.exec_later("DELETE FROM run_observer WHERE run_id = $1", params![run.id])?;
    let data = json!({
        "number": run.number, "attempt": run.attempt, "code": end.code, "message": end.message, "results": seen.results,
        "failure": seen.failure,
    });
    m.event_at(end.at, &format!("run.{}", end.state), subject(run), &data)?;
    // Whoever waits for the end of this run (its stop) looks now.
    let waiting: Vec<JobId> =
        m.tx.rows("SELECT id FROM job WHERE run_id = $1 AND state = 'waiting'", params![run.id], |row| {
            row.get(0)
        })?;
    for job_id in waiting {
        job_wake(m, job_id)?;
    }
    Ok(())
}

fn subject(run: &StoredRun) -> Subject<'_> {
    Subject {
        kind: Some(&run.kind),
        resource_id: Some(run.resource_id),
        resource_name: Some(&run.resource_name),
        run_id: Some(run.id),
        job_id: None,
    }
}
