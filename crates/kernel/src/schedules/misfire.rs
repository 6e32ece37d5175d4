//! What becomes of the instants that are due: pure, so that every policy is tested without a clock.
//!
//! An instant is on time where it is the newest that is due and not older than the grace. All others were missed: nobody was
//! there, or the clock jumped.

use std::time::Duration;

use qd_core::time::Timestamp;

use super::{
    spec::{Misfire, MisfirePolicy},
    times::Times,
};

/// Instants that are looked at together; of more, the number is not told.
const MOST: usize = 1000;

/// The next thing to do. The cursor moves to `due`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Start { due: Timestamp, missed: i64 },
    Skip { due: Timestamp, missed: i64 },
}

/// None where nothing is due.
pub(super) fn decide(
    times: &Times,
    misfire: &Misfire,
    cursor: Timestamp,
    now: Timestamp,
) -> Option<Decision> {
    let due = times.between(cursor, now, MOST);
    let newest = *due.last()?;
    let before = i64::try_from(due.len() - 1).unwrap_or(i64::MAX);
    let grace = Duration::from_secs(misfire.grace_seconds.into());
    let on_time = now.since(newest) <= grace;
    Some(match misfire.policy {
        MisfirePolicy::Skip if !on_time => Decision::Skip { due: newest, missed: before },
        MisfirePolicy::Skip | MisfirePolicy::RunOnce => Decision::Start { due: newest, missed: before },
        MisfirePolicy::RunAll => {
            let past = due.len().saturating_sub(usize::try_from(misfire.limit).unwrap_or(MOST));
            let oldest = due.get(past).copied().unwrap_or(newest);
            Decision::Start { due: oldest, missed: i64::try_from(past).unwrap_or(i64::MAX) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-01-01T{text}Z").parse().unwrap()
    }

    fn run(policy: MisfirePolicy, now: &str) -> Option<Decision> {
        let times = Times::new("0 * * * *", "UTC").unwrap_or_else(|found| panic!("{found:?}"));
        let misfire = Misfire { policy, grace_seconds: 60, limit: 2 };
        decide(&times, &misfire, at("00:00:00"), at(now))
    }

    #[test]
    fn what_is_on_time_starts_under_every_policy() {
        for policy in [MisfirePolicy::Skip, MisfirePolicy::RunOnce, MisfirePolicy::RunAll] {
            assert_eq!(run(policy, "00:59:59"), None);
            assert_eq!(run(policy, "01:01:00"), Some(Decision::Start { due: at("01:00:00"), missed: 0 }));
        }
    }

    #[test]
    fn what_was_missed_is_for_the_policy() {
        let (start, skip) = (
            |due, missed| Some(Decision::Start { due: at(due), missed }),
            |due, missed| Some(Decision::Skip { due: at(due), missed }),
        );
        assert_eq!(run(MisfirePolicy::Skip, "05:01:01"), skip("05:00:00", 4));
        assert_eq!(run(MisfirePolicy::Skip, "05:01:00"), start("05:00:00", 4), "the newest is on time");
        assert_eq!(run(MisfirePolicy::RunOnce, "05:30:00"), start("05:00:00", 4));
        assert_eq!(run(MisfirePolicy::RunAll, "05:30:00"), start("04:00:00", 3), "two of five");
        assert_eq!(run(MisfirePolicy::RunAll, "02:30:00"), start("01:00:00", 0));
    }
}
