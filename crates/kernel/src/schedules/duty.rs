//! Looking after the schedules: a duty of the processes with workers. It only spares work; what must not happen twice is
//! decided behind the cursor.

use std::time::Duration;

use qd_core::error::Result;
use tokio_util::sync::CancellationToken;

use crate::kernel::Kernel;

/// How often the next instant is looked for: a schedule that was published meanwhile may be due before.
const LOOK: Duration = Duration::from_secs(1);
/// A cursor further ahead of now was left there by a clock that was wrong. Less is what clocks of servers differ by.
pub(super) const AHEAD: Duration = Duration::from_secs(60);

impl Kernel {
    pub(crate) async fn schedules_run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let looked = self.schedules_look().await;
            match &looked {
                Err(error) if !failing => tracing::warn!(%error, "look after schedules: will try again"),
                _ => {}
            }
            failing = looked.is_err();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(looked.unwrap_or(LOOK)) => {}
            }
        }
    }

    /// Fires where this process has the duty; answers how long to sleep.
    async fn schedules_look(&self) -> Result<Duration> {
        let (due, newest) = self.schedules_bounds().await?;
        let now = self.reckoning.now();
        let wait = due.map_or(LOOK, |due| due.since(now).min(LOOK));
        let ahead = newest.is_some_and(|newest| newest.since(now) > AHEAD);
        if !wait.is_zero() && !ahead {
            return Ok(wait.max(Duration::from_millis(1)));
        }
        if self.duty_take("schedules").await? {
            self.schedules_fire().await?;
        }
        Ok(LOOK)
    }
}
