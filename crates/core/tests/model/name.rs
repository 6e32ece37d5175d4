use proptest::prelude::*;
use qd_core::Name;
use qd_core::name::NAME_PATTERN;
use regex::Regex;
use serde_json::json;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Mostly near the grammar, so that both answers are common.
    #[test]
    fn names_are_what_the_pattern_says(text in prop_oneof!["[a-z0-9-]{0,42}", "[a-z][a-z0-9-]{36,41}", "[a-zA-Z0-9_.é-]{0,5}", any::<String>()]) {
        let legal = Regex::new(NAME_PATTERN).unwrap().is_match(&text) && !text.ends_with('\n');
        let parsed = Name::parse(&text);
        prop_assert_eq!(parsed.is_ok(), legal);
        prop_assert_eq!(serde_json::from_value::<Name>(json!(text)).is_ok(), legal);
        if let Ok(name) = parsed {
            prop_assert_eq!(name.to_string(), text);
        }
    }
}

#[test]
fn a_bad_name_is_told_its_rule_and_place() {
    let cases = [
        "",
        "9lives",
        "-a",
        "Curate",
        "my_pipeline",
        "my pipeline",
        "curaté",
        "a\u{0}b",
        "curate-",
        &"a".repeat(41),
        "a/../b",
        "cafebabe-cafe-babe-cafe-babecafebabe",
    ];
    let said = cases.map(|case| format!("{case:?}: {}", Name::parse(case).unwrap_err()));
    insta::assert_snapshot!(said.join("\n"));
}
