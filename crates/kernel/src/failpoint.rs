//! Named places at which a test lets the process die. A process that is not under test has none.
//!
//! `job.asked:<operation>` in the transaction that makes the job, `job.claimed:<operation>`, and for each step `before`, `acted` (it took effect and that is not written yet) and `committed`, as
//! `step.acted:<operation>/<step>`; the same with `undo.` while a job is undone, and `call_off.before` and
//! `call_off.acted` where a step is called off. `secret.resealed` follows each batch of values that a rotation sealed anew, `export.written` each file of an export. `schedule.fired:<operation>` lies between a schedule's cursor and its job. `sign_in.proved` lies between the proof of who somebody is and the session. `commit.before` and `commit.after` surround every commit of the store.

use std::{fmt, sync::Arc};

use crate::kernel::Kernel;

/// Called with the name of each place that is come to.
#[derive(Clone)]
pub struct Failpoints(Arc<dyn Fn(&str) + Send + Sync>);

impl Failpoints {
    pub fn new(reached: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(reached))
    }

    pub(crate) fn reached(&self, name: &str) {
        (self.0)(name);
    }
}

impl fmt::Debug for Failpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failpoints")
    }
}

impl Kernel {
    pub(crate) fn failpoint(&self, name: impl FnOnce() -> String) {
        if let Some(failpoints) = &self.options.failpoints {
            failpoints.reached(&name());
        }
    }
}
