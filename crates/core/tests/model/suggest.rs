use qd_core::suggest::{closest, hint};

const FIELDS: [&str; 4] = ["apiVersion", "metadata", "display_name", "spec"];

#[test]
fn slips_are_recognised() {
    for (word, meant) in [
        ("api_version", "apiVersion"),
        ("metdata", "metadata"),
        ("metadtaa", "metadata"),
        ("display-name", "display_name"),
        ("displayName", "display_name"),
        ("Spec", "spec"),
        ("spce", "spec"),
    ] {
        assert_eq!(closest(word, FIELDS), Some(meant), "{word}");
    }
}

#[test]
fn another_word_is_no_slip() {
    for word in ["status", "", "x", "metamorphosis", &"spec".repeat(100)] {
        assert_eq!(closest(word, FIELDS), None, "{word}");
    }
    assert_eq!(hint("status", FIELDS), "");
    assert_eq!(hint("spce", FIELDS), ", did you mean \"spec\"?");
}
