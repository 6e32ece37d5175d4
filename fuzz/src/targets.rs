//! What is done with arbitrary bytes: each reader of what comes from outside reads them, and what it took must hold.
//!
//! A test of the main workspace includes this file and runs the committed corpora through it, so that what was found once
//! stays found on a machine without a fuzzer.

use qd_core::{
    audit::{SigningKey, verify},
    canonical::{Digest, hash_json},
    cursor,
    document::{Document, text},
    headers, id, name,
    secret_ref::StoredRef,
};

/// Reads bytes, and panics where what it read does not hold.
pub type Target = fn(&[u8]);

/// By the name of their corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("audit_import", audit_import),
    ("cursor", cursor),
    ("document", document),
    ("scope", scope),
    ("secret_ref", secret_ref),
    ("token", token),
];

/// JSON and YAML: what is read as a document is the same document when it is written and read again.
pub fn document(bytes: &[u8]) {
    let values = [text::json(bytes).map(|value| vec![value]), text::yaml(bytes)];
    for value in values.into_iter().flatten().flatten() {
        let Ok(document) = Document::from_value(value) else { continue };
        let written = serde_json::to_vec(&document).expect("a document can be written");
        let again = text::json(&written).map(Document::from_value);
        let again = again.expect("what was written is JSON").expect("and a document");
        assert_eq!(again, document);
        let spec = |document: &Document| hash_json(&document.spec).ok();
        assert!(spec(&again).is_some() && spec(&again) == spec(&document), "it has one hash");
    }
}

pub fn cursor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = cursor::decode(text) {
        assert_eq!(cursor::encode(&key), text.to_ascii_lowercase());
    }
}

/// What names a tenant, a project, a thing, a run.
pub fn scope(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(found) = headers::scope(text) {
        assert!(found == text && !found.contains(['/', '.', ' ', '\0', '\n']));
    }
    if let Ok(found) = name::Name::parse(text) {
        assert_eq!(found.as_str(), text);
        assert!(headers::scope(text).is_some(), "a name can stand in a header");
    }
    if let Ok(found) = text.parse::<id::RunRef>() {
        assert_eq!(found.to_string().parse::<id::RunRef>().ok(), Some(found));
    }
}

/// What is shown to be recognised by, and the ids that travel along.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(token) = headers::bearer(text, 512) {
        assert!(!token.is_empty() && token.len() <= 512 && text.trim_end().ends_with(token));
    }
    if let Some(value) = headers::cookie(text, "qd_session", 512) {
        assert!(!value.contains(';') && text.contains(&format!("qd_session={value}")));
    }
    if let Some(id) = headers::trace_id(text) {
        assert_eq!(id.len(), 32);
    }
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.as_str(), text);
    }
}

/// Bytes that somebody says are an export of the audit. The corpus holds one that the key of the tests signed.
pub fn audit_import(bytes: &[u8]) {
    let key = SigningKey::from_seed(&[1; 32]).public();
    assert!(verify(bytes, vec![], vec![]).is_err(), "what nobody trusted signed is proved to nobody");
    if verify(bytes, vec![key.clone()], vec![]).is_ok() {
        let cut = &bytes[..bytes.len() / 2];
        assert!(verify(cut, vec![key], vec![]).is_err(), "half of what is proved is not proved");
    }
}

pub fn secret_ref(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(found) = text.parse::<StoredRef>() {
        assert!(
            found.path.as_str().split('/').all(|part| !part.starts_with('.')),
            "a path leads nowhere else"
        );
        assert_eq!(found.to_string().parse::<StoredRef>().ok(), Some(found));
    }
}
