use proptest::collection::vec;
use proptest::prelude::*;
use qd_core::{Pointer, Violation};
use serde_json::{Value, json};

proptest! {
    #[test]
    fn pointers_round_trip(tokens in vec(any::<String>(), 0..4)) {
        let pointer = tokens.iter().fold(Pointer::root(), |at, token| at.key(token));
        prop_assert_eq!(Pointer::tokens(pointer.as_str()), Some(tokens));
    }

    /// serde_json reads what is built here.
    #[test]
    fn pointers_lead_there(key: String, index in 0usize..3) {
        let value = json!({ key.clone(): [0, 1, 2] });
        let pointer = Pointer::root().key(&key).index(index);
        prop_assert_eq!(value.pointer(pointer.as_str()), Some(&json!(index)));
    }
}

#[test]
fn what_is_no_pointer() {
    for text in ["a", "/~", "/~2", "/a~"] {
        assert_eq!(Pointer::tokens(text), None, "{text}");
    }
}

#[test]
fn the_wire_form_omits_what_is_not_known() {
    let violation = Violation::new("/a", "too_long", "a is too long");
    assert_eq!(json!(violation), json!({ "pointer": "/a", "code": "too_long", "detail": "a is too long" }));
    let placed = violation.under("/spec").at_line(2, 1).in_document(1);
    let wire: Value = json!(placed);
    assert_eq!(wire["pointer"], "/spec/a");
    assert_eq!(serde_json::from_value::<Violation>(wire).unwrap(), placed);
    assert_eq!(placed.to_string(), "document 2: line 2, column 1: /spec/a: a is too long");
}
