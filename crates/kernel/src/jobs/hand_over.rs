//! Handing a job over: a worker that stops gives up its lease between two steps, so that another takes the job at once and
//! not after the lease. What is under way is finished first; a step in the middle is never handed over.

use qd_core::error::Result;

use super::claim::Claimed;
use crate::{kernel::Kernel, mutation::Wake, params};

impl Kernel {
    /// Makes the job due now, for anybody. Behind the fence: a lease that is lost already is nobody's to give.
    pub(super) async fn lease_give_up(&self, job: &Claimed) -> Result<()> {
        let (id, token, now) = (job.id, job.token, self.reckoning.now());
        let index = i64::try_from(job.step).unwrap_or(i64::MAX);
        let given = self
            .store
            .write(move |tx| -> Result<bool> {
                let given = tx.exec(
                    "UPDATE job_queue SET due_at = $3, set_at = $3, token = token + 1 WHERE job_id = $1 AND token = $2",
                    params![id, token, now],
                )?;
                if given == 1 {
                    // The attempt was counted when the step was taken, and has not begun.
                    tx.exec_later(
                        "UPDATE job_step SET attempts = attempts - 1 WHERE job_id = $1 AND idx = $2 AND attempts > 0",
                        params![id, index],
                    )?;
                }
                Ok(given == 1)
            })
            .await?;
        if given {
            self.bus.wake(Wake { jobs: true, ..Wake::default() });
        }
        Ok(())
    }
}
