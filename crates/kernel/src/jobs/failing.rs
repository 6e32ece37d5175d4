//! Keeping why a job fails before its step is called off: a worker that dies between the two leaves a failure to go on from. Without
//! it the next worker would run the step again, and what was called off would take effect a second time.

use qd_core::error::Result;

use super::{JobError, claim::Claimed};
use crate::{engine::clean::text, kernel::Kernel, params};

impl Kernel {
    /// False where another worker holds the job now: then nothing is to be called off from here.
    pub(super) async fn failure_keep(&self, job: &Claimed, failure: &JobError) -> Result<bool> {
        let (id, token, mut failure) = (job.id, job.token, failure.clone());
        text(&mut failure.message);
        self.store
            .write(move |tx| -> Result<bool> {
                // Changes nothing, but holds the place against whoever would take it meanwhile.
                let held = tx.exec(
                    "UPDATE job_queue SET token = token WHERE job_id = $1 AND token = $2",
                    params![id, token],
                )?;
                if held == 1 {
                    tx.exec_later(
                        "UPDATE job SET error_code = $2, error_message = $3 WHERE id = $1",
                        params![id, failure.code, failure.message],
                    )?;
                }
                Ok(held == 1)
            })
            .await
    }
}
