use std::fmt::Debug;
use std::fmt::Write as _;
use std::str::FromStr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use qd_core::error::CODES;
use qd_core::state::{
    Health, JobState, Machine, PlanState, ResourceState, RevisionState, RunState, StepState, UnknownState,
};
use qd_core::{Error, ErrorKind};
use serde_json::json;

/// Where each ends, written down a second time.
const ENDS: &[(&str, &[&str])] = &[
    ("resource", &[]),
    ("revision", &["superseded", "rejected"]),
    ("plan", &["applied", "rejected", "stale", "expired"]),
    ("run", &["succeeded", "failed", "stopped"]),
    ("job", &["succeeded", "failed", "cancelled", "undone"]),
    ("step", &["skipped", "undone"]),
];

fn ends<M: Machine>() -> &'static [&'static str] {
    ENDS.iter().find(|(noun, _)| *noun == M::NOUN).unwrap().1
}

/// Any sequence of tries: what is refused changes nothing, and an end is never left.
fn walk<M: Machine>(tries: &[M]) {
    let mut state = M::ALL[0];
    for to in tries {
        let was = state;
        match state.step(*to) {
            Ok(next) => {
                assert_eq!(next, *to);
                assert!(!ends::<M>().contains(&was.as_str()), "left {was:?} for {to:?}");
                state = next;
            }
            Err(illegal) => assert_eq!((illegal.from, illegal.to), (was.as_str(), to.as_str())),
        }
    }
}

fn check<M: Machine>() {
    let mut reached = vec![M::ALL[0]];
    let mut next = 0;
    while let Some(state) = reached.get(next).copied() {
        let new: Vec<M> = state.allowed().filter(|to| !reached.contains(to)).collect();
        reached.extend(new);
        next += 1;
    }
    for from in M::ALL.iter().copied() {
        assert!(reached.contains(&from), "{from:?} cannot be reached");
        assert_eq!(from.is_terminal(), ends::<M>().contains(&from.as_str()), "{from:?}");
        for to in M::ALL.iter().copied() {
            let error = match from.step(to) {
                Ok(_) => continue,
                Err(illegal) => Error::from(illegal),
            };
            assert_eq!((error.kind, error.code), (ErrorKind::Conflict, M::ILLEGAL_MOVE));
            assert!(error.detail.contains(from.as_str()) && error.detail.contains(to.as_str()), "{error}");
            assert!(from.allowed().all(|allowed| error.detail.contains(allowed.as_str())), "{error}");
        }
        assert!(!from.may_become(from), "staying is no move");
    }
    let listed = M::TRANSITIONS.iter().enumerate().all(|(i, pair)| !M::TRANSITIONS[..i].contains(pair));
    assert!(listed, "a move stands in the table twice");
    assert!(CODES.iter().any(|(code, ..)| *code == M::ILLEGAL_MOVE));
    assert_eq!(M::ILLEGAL_MOVE, format!("illegal_{}_move", M::NOUN));
}

fn table<M: Machine>() -> String {
    let mut text = format!("{}, begins {}\n", M::NOUN, M::ALL[0].as_str());
    for state in M::ALL.iter().copied() {
        let to: Vec<&str> = state.allowed().map(M::as_str).collect();
        let to = if to.is_empty() { "final".to_owned() } else { to.join(", ") };
        writeln!(text, "  {:<11} -> {to}", state.as_str()).unwrap();
    }
    text
}

/// The word is the same in `as_str`, `Display`, `FromStr` and serde.
fn words<W>(all: &[W], as_str: fn(W) -> &'static str)
where
    W: Copy
        + Eq
        + Debug
        + ToString
        + FromStr<Err = UnknownState>
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    for word in all.iter().copied() {
        let text = as_str(word);
        assert_eq!(word.to_string(), text);
        assert_eq!(text.parse::<W>().unwrap(), word);
        assert_eq!(json!(word), json!(text));
        assert_eq!(serde_json::from_value::<W>(json!(text)).unwrap(), word);
        assert!(text.to_uppercase().parse::<W>().is_err());
    }
}

macro_rules! machines {
    ($($name:ident: $machine:ty),+ $(,)?) => {
        proptest! {
            $(#[test]
            fn $name(tries in vec(select(<$machine>::ALL), 0..40)) {
                walk::<$machine>(&tries);
            })+
        }

        #[test]
        fn every_state_can_be_reached_and_every_other_move_is_refused() {
            $(check::<$machine>();)+
        }

        #[test]
        fn the_tables() {
            insta::assert_snapshot!([$(table::<$machine>()),+].join("\n"));
        }

        #[test]
        fn each_state_has_one_word() {
            $(words(<$machine>::ALL, <$machine>::as_str);)+
            words(Health::ALL, Health::as_str);
        }
    };
}

machines! {
    resources_walk: ResourceState,
    revisions_walk: RevisionState,
    plans_walk: PlanState,
    runs_walk: RunState,
    jobs_walk: JobState,
    steps_walk: StepState,
}

#[test]
fn a_refused_move_says_what_is_allowed() {
    let said = [
        RunState::Succeeded.step(RunState::Running).unwrap_err().to_string(),
        RevisionState::Published.step(RevisionState::Draft).unwrap_err().to_string(),
        JobState::Queued.step(JobState::Succeeded).unwrap_err().to_string(),
        RunState::Running.retry().unwrap_err().to_string(),
        "runing".parse::<RunState>().unwrap_err().to_string(),
        "paused".parse::<RunState>().unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn only_what_failed_or_was_stopped_is_retried() {
    let retried: Vec<RunState> =
        RunState::ALL.iter().copied().filter(|state| state.retry().is_ok()).collect();
    assert_eq!(retried, [RunState::Failed, RunState::Stopped]);
    assert_eq!(RunState::Failed.retry().unwrap(), RunState::Queued);
}

#[test]
fn a_settled_step_only_moves_to_be_undone() {
    for state in StepState::ALL.iter().copied() {
        let only_undo = state.allowed().all(|to| to == StepState::Undoing);
        assert_eq!(state.is_settled(), only_undo, "{state}");
    }
}

#[test]
fn the_schema_lists_the_words() {
    let schema = json!(schemars::schema_for!(Health));
    assert_eq!(
        schema["enum"],
        json!(["healthy", "progressing", "degraded", "stopped", "missing", "unknown"])
    );
}
