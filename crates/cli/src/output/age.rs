//! Times for people: ages (`3m`), durations (`1m05s`), and RFC 3339 in and out.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub fn parse(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// How long ago `then` was, in the largest unit that still says something. Empty when there is no time.
pub fn age(then: Option<&str>, now: OffsetDateTime) -> String {
    then.and_then(parse).map(|then| short((now - then).whole_seconds())).unwrap_or_default()
}

/// The time between two moments, up to now when there is no end. Empty when there is no beginning.
pub fn between(start: Option<&str>, end: Option<&str>, now: OffsetDateTime) -> String {
    let Some(start) = start.and_then(parse) else { return String::new() };
    let end = end.and_then(parse).unwrap_or(now);
    duration((end - start).as_seconds_f64())
}

/// `850ms`, `4.2s`, `1m05s`, `2h03m`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 0.9995 {
        return format!("{:.0}ms", seconds * 1000.0);
    }
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

fn short(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..120 => format!("{s}s"),
        s @ 120..7200 => format!("{}m", s / 60),
        s @ 7200..172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

/// `1234567` → `1.2 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn ages_round_down_and_never_go_negative() {
        let now = datetime!(2026-11-20 12:00:00 UTC);
        let of = |then: &str| age(Some(then), now);
        assert_eq!(of("2026-11-20T11:59:01.500000Z"), "58s");
        assert_eq!(of("2026-11-20T11:30:00Z"), "30m");
        assert_eq!(of("2026-11-19T12:00:00Z"), "24h");
        assert_eq!(of("2026-11-01T12:00:00Z"), "19d");
        assert_eq!(of("2026-11-20T12:00:09Z"), "0s");
        assert_eq!(age(None, now), "");
        assert_eq!(of("yesterday"), "");
    }

    #[test]
    fn durations_change_units_at_the_right_place() {
        assert_eq!(duration(0.85), "850ms");
        assert_eq!(duration(4.24), "4.2s");
        assert_eq!(duration(59.97), "1m00s");
        assert_eq!(duration(65.0), "1m05s");
        assert_eq!(duration(7380.0), "2h03m");
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
    }
}
