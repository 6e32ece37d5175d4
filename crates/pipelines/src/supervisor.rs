//! The supervisor: the small process that stands between Quarterdeck and a runner, one per attempt.
//!
//! It outlives the server, so that a crash or an upgrade of the server costs a run nothing: it owns the
//! runner's pipes, appends everything that comes out of them to `journal.ndjson`, and is a *child subreaper*,
//! so that each daemon which Ray detaches comes back to it and is ended with the attempt. Whoever starts the
//! server again reads on in the journal from the byte where it stopped; there is no connection to lose.
//!
//! The files of an attempt's folder:
//!
//! | file | written by | what |
//! |---|---|---|
//! | `launch.json` | [`launch`] | what to run: [`Launch`] |
//! | `supervisor.lock` | the supervisor | flock held while it lives: one supervisor per attempt |
//! | `supervisor.json` | the supervisor | [`Identity`]: pid, start time and boot id, before the runner starts |
//! | `journal.ndjson` | the supervisor | [`journal::Record`]s; the last one is `gone` |
//! | `supervisor.log` | the supervisor | its own stderr, empty unless something is badly wrong |
//!
//! It is synchronous and single-threaded on purpose: one `poll` over three pipes and a signal descriptor needs
//! a few hundred KiB, and nothing in it can be scheduled away from reaping. It never restarts a runner (a retry
//! is a new attempt with a folder of its own), judges no outcome (the engine does), and syncs no file: it
//! survives the death of processes, not of the machine, where the runner would be gone as well.

pub(crate) mod driver_lines;
mod identity;
pub mod journal;
mod launching;
mod lines;
mod processes;
mod scratch;
mod watch;

pub use identity::{Identity, JOURNAL_FILE, SupervisorState, probe, request_stop};
pub use launching::{Launch, Program, Supervised, default_grace_ms, default_max_log_bytes, launch};
pub use processes::kill_leftovers;
pub use scratch::{remove_scratch, scratch_dir};
pub use watch::supervise;

/// Environment variable that marks every process of a run.
pub const RUN_ID_VARIABLE: &str = "QD_RUN_ID";
/// Environment variable that tells the attempts of one run apart.
pub const ATTEMPT_VARIABLE: &str = "QD_ATTEMPT";
