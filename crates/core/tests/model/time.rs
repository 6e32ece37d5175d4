use std::time::Duration;

use proptest::prelude::*;
use qd_core::Timestamp;
use serde_json::json;

proptest! {
    #[test]
    fn times_round_trip(micros in Timestamp::MIN.micros()..=Timestamp::MAX.micros()) {
        let at = Timestamp::from_micros(micros);
        prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        prop_assert_eq!(serde_json::from_value::<Timestamp>(json!(at)).unwrap().micros(), micros);
    }

    /// Postgres and people sort the text, Rust the number.
    #[test]
    fn times_sort_as_their_text_does(a: i64, b: i64) {
        let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn sums_stay_in_range(micros: i64, nanos: u64) {
        let (at, step) = (Timestamp::from_micros(micros), Duration::from_nanos(nanos));
        if let Some(sum) = at.checked_add(step) {
            prop_assert!((at..=Timestamp::MAX).contains(&sum));
            prop_assert_eq!(sum.since(at).as_micros(), step.as_micros());
            prop_assert_eq!(sum.checked_sub(step), Some(at));
            prop_assert_eq!(at.since(sum), Duration::ZERO);
        }
    }
}

#[test]
fn the_text_has_six_digits_and_z() {
    let texts = [
        Timestamp::EPOCH,
        Timestamp::from_micros(-1),
        Timestamp::from_micros(i64::MIN),
        Timestamp::from_micros(i64::MAX),
    ];
    assert_eq!(
        texts.map(|at| at.to_string()),
        [
            "1970-01-01T00:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "0000-01-01T00:00:00.000000Z",
            "9999-12-31T23:59:59.999999Z",
        ]
    );
}

#[test]
fn any_offset_is_read_and_finer_parts_are_cut() {
    let at: Timestamp = "2026-11-20T10:30:00.1234567+01:00".parse().unwrap();
    assert_eq!(at.to_string(), "2026-11-20T09:30:00.123456Z");
    let before_1970: Timestamp = "1969-12-31T23:59:59.9999999Z".parse().unwrap();
    assert_eq!(before_1970.micros(), -1);
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "now",
        "2026-11-20",
        "2026-11-20T09:30:00",
        "2026-13-20T09:30:00Z",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01T00:00:00+01:00",
    ] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
    assert_eq!(Timestamp::MAX.checked_add(Duration::from_micros(1)), None);
    assert_eq!(Timestamp::MIN.checked_sub(Duration::from_micros(1)), None);
    assert_eq!(Timestamp::EPOCH.checked_add(Duration::MAX), None);
}
