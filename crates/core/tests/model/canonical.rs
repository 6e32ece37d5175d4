use proptest::prelude::*;
use qd_core::canonical::{Digest, canonical_json, hash_json, sha256_hex};
use qd_core::diff::same;
use serde_json::{Number, Value, json};

use crate::json;

proptest! {
    #[test]
    fn canonical_form_is_a_fixed_point(value in json::value()) {
        let once = canonical_json(&value).unwrap();
        let read: Value = serde_json::from_str(&once).unwrap();
        prop_assert_eq!(canonical_json(&read).unwrap(), once);
    }

    /// What is written to a database or a wire by serde_json and read again keeps its hash.
    #[test]
    fn a_stored_value_keeps_its_hash(value in json::value()) {
        let stored: Value = serde_json::from_str(&value.to_string()).unwrap();
        prop_assert_eq!(hash_json(&stored).unwrap(), hash_json(&value).unwrap());
    }

    #[test]
    fn key_order_does_not_count(value in json::value()) {
        prop_assert_eq!(hash_json(&json::reversed(&value)).unwrap(), hash_json(&value).unwrap());
    }

    #[test]
    fn same_values_and_only_those_have_the_same_form((a, b) in json::pair()) {
        prop_assert_eq!(same(&a, &b), canonical_json(&a).unwrap() == canonical_json(&b).unwrap());
    }
}

/// RFC 8785, appendix B.
#[test]
fn numbers_of_the_rfc() {
    let samples: &[(u64, &str)] = &[
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7fefffffffffffff, "1.7976931348623157e+308"),
        (0xffefffffffffffff, "-1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0xc340000000000000, "-9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44b52d02c7e14af5, "9.999999999999997e+22"),
        (0x44b52d02c7e14af6, "1e+23"),
        (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
        (0x444b1ae4d6e2ef4e, "999999999999999700000"),
        (0x444b1ae4d6e2ef4f, "999999999999999900000"),
        (0x444b1ae4d6e2ef50, "1e+21"),
        (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
        (0x3eb0c6f7a0b5ed8d, "0.000001"),
        (0x41b3de4355555553, "333333333.3333332"),
        (0x41b3de4355555554, "333333333.33333325"),
        (0x41b3de4355555555, "333333333.3333333"),
        (0x41b3de4355555556, "333333333.3333334"),
        (0x41b3de4355555557, "333333333.33333343"),
        (0xbecbf647612f3696, "-0.0000033333333333333333"),
        (0x43143ff3c1cb0959, "1424953923781206.2"),
    ];
    for (bits, text) in samples {
        let number = Number::from_f64(f64::from_bits(*bits)).unwrap();
        assert_eq!(canonical_json(&Value::Number(number)).unwrap(), *text, "{bits:016x}");
    }
}

/// RFC 8785, sections 3.2.2 and 3.2.3.
#[test]
fn samples_of_the_rfc() {
    let sample = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    assert_eq!(
        canonical_json(&serde_json::from_str(sample).unwrap()).unwrap(),
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );

    let keys = r#"{
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let canonical: Value =
        serde_json::from_str(&canonical_json(&serde_json::from_str(keys).unwrap()).unwrap()).unwrap();
    let order: Vec<&str> = canonical.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(order, ["\r", "1", "\u{80}", "ö", "€", "😀", "\u{fb33}"]);
}

#[test]
fn numbers_that_would_be_rounded_are_refused_with_their_places() {
    let value = json!({
        "seed": 9007199254740993u64,
        "kept": [9007199254740992u64, 1_000_000_000_000_000_000u64, -1397473037601780700i64],
        "changed": [-9007199254740993i64, u64::MAX, 1u64 << 60],
    });
    let error = canonical_json(&value).unwrap_err();
    assert_eq!(error.code, "inexact_number");
    let pointers: Vec<&str> = error.violations.iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(pointers, ["/seed", "/changed/0", "/changed/1", "/changed/2"]);
}

#[test]
fn digests() {
    // FIPS 180-2, appendix B.1.
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256_hex("abc"), hex);
    let digest = Digest::of("abc");
    assert_eq!(digest.to_string(), format!("sha256:{hex}"));
    assert_eq!((digest.hex(), digest.short()), (hex, "ba7816bf8f01"));
    assert_eq!(serde_json::from_value::<Digest>(json!(digest)).unwrap(), digest);
    for bad in
        [hex, "sha256:", &format!("sha256:{}", hex.to_uppercase()), &format!("sha256:{hex}0"), "sha512:00"]
    {
        assert!(Digest::parse(bad).is_err(), "{bad}");
        assert!(serde_json::from_value::<Digest>(json!(bad)).is_err(), "{bad}");
    }
}
