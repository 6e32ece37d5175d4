//! Why a run is in its state: what its start waits for, what its engine last said and how long ago, how it ended.

use qd_core::{error::Result, state::RunState, time::Timestamp};
use serde_json::Value;

use super::{Said, age, clause, job};
use crate::{context::Scope, engine::EngineState, kernel::Kernel, runs::Run};

pub(super) async fn explain(kernel: &Kernel, scope: Scope, id: &str) -> Result<Said> {
    let run = kernel.run_get(scope, id).await?;
    let mut said = Said::of(format!("runs/{}", run.run_ref), kernel.source.now());
    let moved = run.ended_at.or(run.started_at).or(Some(run.created_at));
    said.fact("state", run.state.as_str(), moved);
    said.fact("engine", run.engine.clone(), None);
    let sentence = match run.state {
        RunState::Queued => queued(kernel, scope, &run, &mut said).await?,
        RunState::Running => running(kernel, &run, &mut said).await,
        RunState::Succeeded => format!("It succeeded{}.", at(run.ended_at, &said)),
        RunState::Stopped => stopped(&run, &mut said),
        RunState::Failed => failed(&run, &mut said),
    };
    Ok(said.say(sentence))
}

fn at(moment: Option<Timestamp>, said: &Said) -> String {
    moment.map_or_else(String::new, |at| format!(" at {}", said.when(at)))
}

async fn queued(kernel: &Kernel, scope: Scope, run: &Run, said: &mut Said) -> Result<String> {
    let adopted = run.attempts.last().and_then(|attempt| attempt.external_id.clone());
    if let Some(name) = adopted {
        said.fact("the engine's name of it", name, None);
        let doubt = doubt(kernel, run, said).await.unwrap_or_default();
        return Ok(format!("The engine {} has it and has not begun yet{doubt}.", run.engine));
    }
    let start = job::in_short(kernel, scope, run.job_id).await?;
    said.fact("its start", format!("jobs/{}", run.job_id), Some(run.created_at));
    said.evidence.extend(
        start.evidence.into_iter().filter(|fact| !matches!(fact.what.as_str(), "state" | "asked for by")),
    );
    Ok(format!("It has not been handed to its engine yet. Its start: {}", start.sentence))
}

async fn running(kernel: &Kernel, run: &Run, said: &mut Said) -> String {
    let doubt = doubt(kernel, run, said).await;
    if let Some(stop) = run.stop_requested_at {
        said.fact("asked to stop", true, Some(stop));
        let doubt = doubt.unwrap_or_default();
        return format!(
            "It was asked to stop at {} and its engine {} has not ended it yet{doubt}.",
            said.when(stop),
            run.engine
        );
    }
    let since = said.since(run.started_at);
    let phase = run.progress.as_ref().and_then(|progress| {
        let progress: Value = serde_json::from_str(progress.0.get()).ok()?;
        progress["phase"].as_str().filter(|phase| *phase != "running").map(str::to_owned)
    });
    let phase = phase.map_or_else(String::new, |phase| {
        said.fact("phase", phase.clone(), None);
        format!(", {phase},")
    });
    let attempt = if run.attempt > 1 { format!(", attempt {}", run.attempt) } else { String::new() };
    match doubt {
        Some(doubt) => format!("It was last seen running on {}{attempt}{doubt}.", run.engine),
        None => format!("It runs{phase} on {}{since}{attempt}.", run.engine),
    }
}

/// Why what is known of the run may no longer be so, with its age.
async fn doubt(kernel: &Kernel, run: &Run, said: &mut Said) -> Option<String> {
    let detail: Option<Value> =
        run.engine_detail.as_ref().and_then(|detail| serde_json::from_str(detail.0.get()).ok());
    if let Some(observation) = detail.as_ref().and_then(|detail| detail.get("observation"))
        && observation["state"] == "unknown"
    {
        let since: Option<Timestamp> = observation["since"].as_str().and_then(|since| since.parse().ok());
        let why = observation["reason"].as_str().unwrap_or("its engine does not answer");
        said.fact("observation", "unknown", since);
        said.fact("reason", why, since);
        let old =
            since.map_or_else(String::new, |at| format!(" since {} ({})", said.when(at), age(at, said.now)));
        return Some(format!("; how it is has been unknown{old}: {}", clause(why)));
    }
    let Some(engine) = kernel.registry.find_engine(&run.engine) else {
        said.fact("engine here", "missing", None);
        return Some(format!("; this process has no engine {} and cannot look", run.engine));
    };
    let external_id = run.attempts.last().and_then(|attempt| attempt.external_id.as_deref());
    let reading = engine.health_of(external_id.unwrap_or_default()).await?;
    said.fact("engine's state", serde_json::json!(reading.state), Some(reading.observed_at));
    if matches!(reading.state, EngineState::Healthy | EngineState::Preparing) {
        return None;
    }
    said.fact("engine says", reading.detail.clone(), Some(reading.observed_at));
    let word = if reading.state == EngineState::Unknown { "unknown" } else { "degraded" };
    Some(format!(
        "; its engine was last read {} ago and is {word}: {}",
        age(reading.observed_at, said.now),
        clause(&reading.detail)
    ))
}

fn stopped(run: &Run, said: &mut Said) -> String {
    if let Some(stop) = run.stop_requested_at {
        said.fact("asked to stop", true, Some(stop));
        return format!("It was asked to stop at {} and ended{}.", said.when(stop), at(run.ended_at, said));
    }
    match &run.message {
        Some(message) => format!("It was stopped{}: {}.", at(run.ended_at, said), clause(message)),
        None => format!("It was stopped{}.", at(run.ended_at, said)),
    }
}

fn failed(run: &Run, said: &mut Said) -> String {
    let code = run.code.as_deref().unwrap_or("failed");
    said.fact("code", code, run.ended_at);
    let failure: Option<Value> =
        run.failure.as_ref().and_then(|failure| serde_json::from_str(failure.0.get()).ok());
    if let Some(stage) = failure.as_ref().and_then(|failure| failure["stage"].as_str()) {
        said.fact("stage", stage, run.ended_at);
    }
    let exit = run.attempts.last().and_then(|attempt| attempt.exit_code);
    if let Some(exit) = exit {
        said.fact("exit code", exit, run.ended_at);
    }
    let why = run.message.as_deref().unwrap_or("no reason was kept");
    let attempt = if run.attempt > 1 { format!(" in attempt {}", run.attempt) } else { String::new() };
    format!("It failed{}{attempt}: {} ({code}).", at(run.ended_at, said), clause(why))
}
