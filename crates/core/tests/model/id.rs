use proptest::prelude::*;
use qd_core::{Error, JobId, RunId, RunRef};
use serde_json::json;
use uuid::Uuid;

const TEXT: &str = "0198c5d8-1f2e-7abc-8def-0123456789ab";

proptest! {
    #[test]
    fn ids_round_trip(bits: u128) {
        let id = RunId::from(Uuid::from_u128(bits));
        prop_assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
        prop_assert_eq!(serde_json::from_value::<RunId>(json!(id)).unwrap(), id);
        prop_assert_eq!(id.uuid().as_u128(), bits);
    }

    #[test]
    fn ids_sort_as_their_text_does(a: u128, b: u128) {
        let (a, b) = (JobId::from(Uuid::from_u128(a)), JobId::from(Uuid::from_u128(b)));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn run_references_round_trip(name in "[a-z]([a-z0-9-]{0,38}[a-z0-9])?", number in 1..=i64::MAX) {
        let text = format!("{name}#{number}");
        let read: RunRef = text.parse().unwrap();
        prop_assert_eq!((read.resource_name.as_str(), read.number), (name.as_str(), number));
        prop_assert_eq!(read.to_string(), text);
        prop_assert_eq!(serde_json::from_value::<RunRef>(json!(read)).unwrap(), read);
    }

    #[test]
    fn what_reads_as_a_run_reference_is_written_the_same(text in "[a-c]{0,2}#{0,2}[+ 0-9]{0,3}") {
        if let Ok(read) = text.parse::<RunRef>() {
            prop_assert_eq!(read.to_string(), text);
        }
    }
}

#[test]
fn only_the_hyphenated_form_is_an_id() {
    assert_eq!(TEXT.parse::<RunId>().unwrap().to_string(), TEXT);
    let simple = TEXT.replace('-', "");
    let others = [
        simple.clone(),
        format!("{{{TEXT}}}"),
        format!("urn:uuid:{TEXT}"),
        String::new(),
        format!("{simple}\u{20ac}-"),
    ];
    for other in others {
        let error = Error::from(other.parse::<RunId>().unwrap_err());
        assert_eq!(error.code, "malformed_id", "{other}");
    }
    insta::assert_snapshot!("nonsense".repeat(30).parse::<RunId>().unwrap_err());
}

#[test]
fn what_is_no_run_reference_is_refused() {
    let cases = [
        "",
        "curate",
        "curate#",
        "#1",
        "curate#0",
        "curate#01",
        "curate#+1",
        "curate#-1",
        "Curate#1",
        "a#1#2",
        "a# 1",
        "a#9223372036854775808",
    ];
    for case in cases {
        assert!(case.parse::<RunRef>().is_err(), "{case}");
    }
    insta::assert_snapshot!("Curate#0".parse::<RunRef>().unwrap_err());
}
