//! What the end of a job means for its run.

use qd_core::error::clip;
use qd_core::state::RunState;
use qd_core::time::Timestamp;
use qd_kernel::engine::RunEnd;

use super::api::Job;
use crate::engine::ending::of_exit;
use crate::engine::memory::Memory;

/// Characters of Ray's own words.
const SHOWN: usize = 1000;
/// A shell's answers where it cannot start a program.
const NOT_STARTED: [i32; 2] = [126, 127];

/// The end of a run whose job has ended. Ray says how; the runner's own last words say why.
pub(super) fn of_job(job: &Job, memory: &Memory, now: Timestamp) -> RunEnd {
    let at = job.end_time.map_or(now, |ms| Timestamp::from_micros(ms.saturating_mul(1000)));
    let end = |state, code: Option<&str>, message| RunEnd {
        state,
        code: code.map(str::to_owned),
        message,
        exit_code: job.driver_exit_code.map(i64::from),
        at,
    };
    let words = || clip(job.message.as_deref().unwrap_or("Ray does not say why"), SHOWN);
    match (job.status.as_str(), memory.exit, job.driver_exit_code) {
        ("SUCCEEDED", _, _) => end(RunState::Succeeded, None, None),
        ("STOPPED", _, _) => end(RunState::Stopped, None, None),
        (_, Some(exit), _) => RunEnd { at, ..of_exit(memory, exit, false) },
        (_, None, Some(code)) if NOT_STARTED.contains(&code) => {
            end(RunState::Failed, Some("runner_not_started"), Some(words()))
        }
        (_, None, Some(code)) if code < 0 => {
            let message = format!("signal {} ended the job's driver", -code);
            end(RunState::Failed, Some("runner_killed"), Some(message))
        }
        (_, None, Some(_)) => end(RunState::Failed, Some("runner_failed"), Some(words())),
        (_, None, None) => {
            let killed = job.error_type.as_deref().is_some_and(|kind| kind.contains("DIED"));
            let code = if killed { "runner_killed" } else { "job_not_started" };
            end(RunState::Failed, Some(code), Some(words()))
        }
    }
}

/// The end of a run whose cluster has not known its job for too long.
pub(super) fn lost(now: Timestamp, why: &str) -> RunEnd {
    RunEnd {
        state: RunState::Failed,
        code: Some("lost".to_owned()),
        message: Some(why.to_owned()),
        exit_code: None,
        at: now,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::memory::Exit;

    #[test]
    fn every_job_that_has_ended_has_its_meaning() {
        let exit = |code, signal| Some(Exit { code, signal, stopped: false, at: 7 });
        let cases: [(Value, Option<Exit>, &str); 9] = [
            (json!({ "status": "SUCCEEDED", "driver_exit_code": 0 }), exit(Some(0), None), "succeeded"),
            (json!({ "status": "STOPPED" }), None, "stopped"),
            (json!({ "status": "STOPPED" }), exit(Some(143), None), "stopped"),
            (
                json!({ "status": "FAILED", "driver_exit_code": 3 }),
                exit(Some(3), None),
                "failed bad_spec the run file is not valid",
            ),
            (
                json!({ "status": "FAILED", "driver_exit_code": 137 }),
                exit(None, Some(9)),
                "failed runner_killed the runner was killed (signal 9): by hand, or because memory ran out",
            ),
            (
                json!({ "status": "FAILED", "driver_exit_code": 127, "message": "python: not found" }),
                None,
                "failed runner_not_started python: not found",
            ),
            (
                json!({ "status": "FAILED", "driver_exit_code": -9 }),
                None,
                "failed runner_killed signal 9 ended the job's driver",
            ),
            (
                json!({ "status": "FAILED", "error_type": "RUNTIME_ENV_SETUP_FAILURE", "message": "no pip" }),
                None,
                "failed job_not_started no pip",
            ),
            (
                json!({ "status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_DIED", "message": "node died" }),
                None,
                "failed runner_killed node died",
            ),
        ];
        for (job, exit, wanted) in cases {
            let job: Job = serde_json::from_value(job).unwrap();
            let end = of_job(&job, &Memory { exit, ..Memory::default() }, Timestamp::EPOCH);
            let parts = [Some(end.state.to_string()), end.code, end.message];
            assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>().join(" "), wanted);
        }
    }
}
