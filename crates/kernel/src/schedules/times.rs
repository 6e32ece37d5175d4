//! The instants of a cron expression in a time zone.
//!
//! Where clocks are changed, the rules are those of Vixie cron. An expression that names its hours and minutes fires once for
//! each day that it means: a time that the change leaves out comes at the change, one that comes twice fires at the first. An
//! expression with `*` in its hours or minutes follows the clock on the wall: what is left out is left out, what comes twice
//! fires twice.

use std::sync::LazyLock;

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Zoned,
    tz::{TimeZone, TimeZoneDatabase},
};
use qd_core::{error::clip, time::Timestamp, violation::Violation};

/// The zones that are built in, whatever the machine has.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

pub(super) struct Times {
    cron: Cron,
    zone: TimeZone,
}

impl Times {
    pub(super) fn new(cron: &str, zone: &str) -> Result<Self, Vec<Violation>> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(cron).map_err(|error| {
            let detail = format!(
                "{:?} is no cron expression of minute, hour, day of month, month and day of week: {error}",
                clip(cron, 60)
            );
            Violation::new("/cron", "bad_cron", detail)
        });
        let zone = ZONES.get(zone).map_err(|_| {
            let detail = format!(
                "there is no time zone {:?}; write a name of the IANA database, such as Europe/Berlin or UTC",
                clip(zone, 60)
            );
            Violation::new("/time_zone", "unknown_time_zone", detail)
        });
        match (cron, zone) {
            (Ok(cron), Ok(zone)) => Ok(Self { cron, zone }),
            (cron, zone) => Err(cron.err().into_iter().chain(zone.err()).collect()),
        }
    }

    /// The first instant after `at`; none where there is none in this calendar.
    pub(super) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        from_zoned(&self.cron.find_next_occurrence(&self.zoned(at)?, false).ok()?)
    }

    /// The newest instants after `from` and up to `until`, at most `most` of them, the oldest first.
    pub(super) fn between(&self, from: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut found = vec![];
        let mut next = self.zoned(until);
        let mut inclusive = true;
        while let Some(at) = next.filter(|_| found.len() < most) {
            let before = self.cron.find_previous_occurrence(&at, inclusive).ok();
            inclusive = false;
            match before.as_ref().and_then(from_zoned).filter(|before| *before > from) {
                Some(instant) => found.push(instant),
                None => break,
            }
            next = before;
        }
        found.reverse();
        found
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        // Whole seconds: what cron says has no finer ones.
        let at = jiff::Timestamp::from_second(at.micros().div_euclid(1_000_000)).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

fn from_zoned(at: &Zoned) -> Option<Timestamp> {
    let micros = at.timestamp().as_microsecond();
    let instant = Timestamp::from_micros(micros);
    (instant.micros() == micros).then_some(instant)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(cron: &str, zone: &str) -> Times {
        Times::new(cron, zone).unwrap_or_else(|found| panic!("{found:?}"))
    }

    /// In UTC, without the seconds.
    fn next(cron: &str, zone: &str, from: &str, n: usize) -> Vec<String> {
        let times = times(cron, zone);
        let mut now = at(from);
        let step = |_| {
            now = times.after(now).unwrap();
            now.to_string()[..16].to_owned()
        };
        (0..n).map(step).collect()
    }

    #[test]
    fn a_time_that_is_left_out_comes_at_the_change() {
        // Berlin, 2026-03-29: 02:00 CET becomes 03:00 CEST, at 01:00 UTC.
        let fixed = next("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(fixed, ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]);
        let wall = next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 3);
        assert_eq!(
            wall,
            ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-29T02:00"],
            "nothing is left out in UTC"
        );
        let hour = next("*/20 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
        assert_eq!(hour, ["2026-03-30T00:00", "2026-03-30T00:20"], "by the wall there is no such hour");
    }

    #[test]
    fn a_time_that_comes_twice_fires_at_the_first_and_by_the_wall_at_both() {
        // Berlin, 2026-10-25: 03:00 CEST becomes 02:00 CET, at 01:00 UTC.
        let fixed = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(fixed, ["2026-10-25T00:30", "2026-10-26T01:30"]);
        let wall = next("30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 3);
        assert_eq!(wall, ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"]);
    }

    #[test]
    fn backwards_finds_what_forwards_does() {
        let crons = ["30 2 * * *", "*/7 * * * *", "0 */2 * * *", "15 2,3 * * *", "0 0 L * *", "* 2 * * *"];
        let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"];
        let starts =
            ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z", "2026-03-07T22:00:00Z", "2026-04-04T10:00:00Z"];
        let all = crons
            .iter()
            .flat_map(|cron| zones.map(|zone| starts.map(|start| (*cron, zone, start))))
            .flatten();
        for (cron, zone, start) in all {
            let times = times(cron, zone);
            let (from, until) = (at(start), at(start).checked_add(Duration::from_hours(40)).unwrap());
            let mut forward = vec![];
            let mut now = from;
            while let Some(next) = times.after(now).filter(|next| *next <= until) {
                assert!(next > now, "{cron} {zone}: {next} is not after {now}");
                forward.push(next);
                now = next;
            }
            assert_eq!(times.between(from, until, usize::MAX), forward, "{cron} in {zone} from {start}");
        }
    }

    #[test]
    fn the_newest_of_many_are_found_without_the_rest() {
        let found =
            times("* * * * *", "UTC").between(at("1990-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"), 2);
        assert_eq!(found, [at("2025-12-31T23:59:00Z"), at("2026-01-01T00:00:00Z")]);
    }
}
