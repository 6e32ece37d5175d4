//! What an end of the runner means for the run.

use qd_core::state::RunState;
use qd_core::time::Timestamp;
use qd_kernel::engine::RunEnd;
use serde_json::Value;

use super::memory::{Exit, Memory};

const FAILED: i32 = 1;
const BAD_SPEC: i32 = 3;
const NOT_STARTED: i32 = 127;
const STOPPED: i32 = 143;
const SIGKILL: i32 = 9;

/// The end that an attempt's exit is.
pub(super) fn of_exit(memory: &Memory, exit: Exit, serving: bool) -> RunEnd {
    let end = |state, code: Option<&str>, message| RunEnd {
        state,
        code: code.map(str::to_owned),
        message,
        exit_code: exit.code.map(i64::from),
        at: Timestamp::from_micros(exit.at),
    };
    let failed = |code: &str, message: String| end(RunState::Failed, Some(code), Some(message));
    let told = || memory.failure.as_ref().map(told);
    match (exit.code, exit.signal) {
        // A pipeline that came to its end while it was asked to stop has succeeded; one that serves has no other
        // end than being stopped or closed.
        (Some(0), _) if !(serving && exit.stopped) => end(RunState::Succeeded, None, None),
        (Some(0 | STOPPED), _) => end(RunState::Stopped, None, None),
        _ if exit.stopped => end(RunState::Stopped, None, None),
        (Some(FAILED), _) => match (told(), stage_of(memory)) {
            (Some(message), Some(_)) => failed("stage_failed", message),
            (Some(message), None) => failed("pipeline_failed", message),
            (None, _) => failed("pipeline_failed", "the runner failed; its log says why".to_owned()),
        },
        (Some(BAD_SPEC), _) => {
            failed("bad_spec", told().unwrap_or_else(|| "the run file is not valid".to_owned()))
        }
        (Some(NOT_STARTED), _) => {
            failed("runner_not_started", "the runner could not be started; the log says why".to_owned())
        }
        (Some(code), _) => failed("runner_failed", format!("the runner ended with exit code {code}")),
        (None, Some(SIGKILL)) => failed(
            "runner_killed",
            "the runner was killed (signal 9): by hand, or because memory ran out".to_owned(),
        ),
        (None, signal) => {
            failed("runner_killed", format!("signal {} ended the runner", signal.unwrap_or_default()))
        }
    }
}

/// The end of an attempt whose supervisor died.
pub(super) fn lost(now: Timestamp) -> RunEnd {
    RunEnd {
        state: RunState::Failed,
        code: Some("lost".to_owned()),
        message: Some("the run's supervisor is gone: it was killed, or the machine went down".to_owned()),
        exit_code: None,
        at: now,
    }
}

fn stage_of(memory: &Memory) -> Option<&str> {
    memory.failure.as_ref()?.get("stage")?.as_str()
}

/// A failure in one sentence.
fn told(failure: &Value) -> String {
    let text = |name: &str| failure.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let place = match (text("stage"), failure.get("batch").and_then(Value::as_i64)) {
        (Some(stage), Some(batch)) => format!("stage {stage}, batch {batch}: "),
        (Some(stage), None) => format!("stage {stage}: "),
        (None, _) => String::new(),
    };
    let what = match (text("exception"), text("message")) {
        (Some(exception), Some(message)) if message.starts_with(exception) => message.to_owned(),
        (Some(exception), Some(message)) => format!("{exception}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "failed".to_owned(),
    };
    qd_core::error::clip(&format!("{place}{what}"), 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_exit_has_its_meaning() {
        let stage =
            json!({ "stage": "enrich", "batch": 3, "exception": "ValueError", "message": "bad value" });
        let input = json!({ "stage": null, "exception": "FileNotFoundError", "message": "no such file" });
        type Case = (Option<Value>, Option<i32>, Option<i32>, bool, bool, &'static str);
        let cases: [Case; 14] = [
            (None, Some(0), None, false, false, "succeeded"),
            (None, Some(0), None, true, false, "succeeded"),
            (None, Some(0), None, true, true, "stopped"),
            (None, Some(0), None, false, true, "succeeded"),
            (None, Some(143), None, true, false, "stopped"),
            (None, None, Some(9), true, false, "stopped"),
            (Some(stage.clone()), Some(1), None, true, false, "stopped"),
            (
                Some(stage),
                Some(1),
                None,
                false,
                false,
                "failed stage_failed stage enrich, batch 3: ValueError: bad value",
            ),
            (
                Some(input),
                Some(1),
                None,
                false,
                false,
                "failed pipeline_failed FileNotFoundError: no such file",
            ),
            (None, Some(3), None, false, false, "failed bad_spec the run file is not valid"),
            (
                None,
                Some(127),
                None,
                false,
                false,
                "failed runner_not_started the runner could not be started; the log says why",
            ),
            (None, Some(42), None, false, false, "failed runner_failed the runner ended with exit code 42"),
            (
                None,
                None,
                Some(9),
                false,
                false,
                "failed runner_killed the runner was killed (signal 9): by hand, or because memory ran out",
            ),
            (None, None, Some(11), false, false, "failed runner_killed signal 11 ended the runner"),
        ];
        for (failure, code, signal, stopped, serving, wanted) in cases {
            let memory = Memory { failure, ..Memory::default() };
            let end = of_exit(&memory, Exit { code, signal, stopped, at: 7 }, serving);
            let parts = [Some(end.state.to_string()), end.code, end.message];
            assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>().join(" "), wanted);
        }
    }
}
