//! When a request is tried again, and for how long.
//!
//! Three cases: nobody listens (at once told, unless the server has answered before: then it is restarting), the
//! connection was lost in the middle (only what is safe to repeat comes here), and 503 with `Retry-After`
//! (the server itself says that it will be ready soon).

use std::time::{Duration, Instant};

use crate::client::problem::Problem;
use crate::output::{age, clean};

/// Longest single wait, whatever `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Policy {
    /// How long to try when nobody listens and nobody ever answered.
    pub refused: Duration,
    /// How long to try after the connection was lost, or refused by a server that answered before.
    pub lost: Duration,
    /// How long to follow 503 with `Retry-After`.
    pub unavailable: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            refused: Duration::from_millis(900),
            lost: Duration::from_secs(60),
            unavailable: Duration::from_secs(10 * 60),
        }
    }
}

impl Policy {
    pub fn once() -> Self {
        Self { refused: Duration::ZERO, lost: Duration::ZERO, unavailable: Duration::ZERO }
    }
}

/// The state of one request over its tries.
#[derive(Debug)]
pub struct Attempt {
    policy: Policy,
    answered_before: bool,
    began: Instant,
    tries: u32,
}

impl Attempt {
    pub fn new(policy: Policy, answered_before: bool) -> Self {
        Self { policy, answered_before, began: Instant::now(), tries: 0 }
    }

    /// How long to wait after a lost or refused connection; `None` to give up.
    pub fn after_lost(&mut self, refused: bool) -> Option<Duration> {
        let limit = if refused && !self.answered_before { self.policy.refused } else { self.policy.lost };
        let wait = Duration::from_millis(200 << self.tries.min(4));
        self.within(limit, wait)
    }

    /// How long to wait after a 503; `None` to give up, also when the server named no time.
    pub fn after_unavailable(&mut self, retry_after: Option<&str>) -> Option<Duration> {
        let seconds: u64 = retry_after?.trim().parse().ok()?;
        self.answered_before = true;
        let wait = Duration::from_secs(seconds.max(1)).min(LONGEST_WAIT);
        self.within(self.policy.unavailable, wait)
    }

    /// The first hiccups are not worth a line.
    pub fn worth_telling(&self) -> bool {
        self.tries == 4
    }

    fn within(&mut self, limit: Duration, wait: Duration) -> Option<Duration> {
        self.tries += 1;
        (self.began.elapsed() + wait <= limit).then_some(wait)
    }
}

/// Why the command waits: the server's own words.
pub fn waiting_line(problem: &Problem, wait: Duration) -> String {
    let why = problem.detail.as_deref().filter(|detail| !detail.is_empty()).unwrap_or(&problem.title);
    format!("waiting: {} (asks again in {})", clean(why), age::duration(wait.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_listening_is_told_soon_and_a_restart_is_waited_for() {
        let count = |answered| {
            let mut attempt = Attempt::new(Policy::default(), answered);
            attempt.began = Instant::now();
            // Without sleeping, only the planned waits count against the limit.
            let mut total = Duration::ZERO;
            while let Some(wait) = attempt.after_lost(true) {
                total += wait;
                attempt.began -= wait;
            }
            total
        };
        assert!(count(false) < Duration::from_secs(1));
        assert!(count(true) > Duration::from_secs(20));
    }

    #[test]
    fn only_a_503_that_names_a_time_is_followed() {
        let mut attempt = Attempt::new(Policy::default(), false);
        assert_eq!(attempt.after_unavailable(None), None);
        assert_eq!(attempt.after_unavailable(Some("soon")), None);
        assert_eq!(attempt.after_unavailable(Some("2")), Some(Duration::from_secs(2)));
        assert_eq!(attempt.after_unavailable(Some("9999")), Some(LONGEST_WAIT));
        assert_eq!(Attempt::new(Policy::once(), true).after_unavailable(Some("1")), None);
    }

    #[test]
    fn the_wait_says_why() {
        let problem = Problem {
            title: "not ready".into(),
            detail: Some("the Xenna environment is being prepared: step 2 of 4".into()),
            ..Problem::default()
        };
        assert_eq!(
            waiting_line(&problem, Duration::from_secs(3)),
            "waiting: the Xenna environment is being prepared: step 2 of 4 (asks again in 3.0s)"
        );
    }
}
