//! The difference that goes into a record: without secrets, and with numbers that the canonical form can carry.
//!
//! Callers redact what they know to be secret; this is the net below. It goes by names and by one shape (a password inside a
//! URL), so it finds what is called a secret and not what merely is one. A reference to a place (`secret://…`, or an object that
//! names a variable or a file) is no secret and stays.

use serde_json::Value;

use crate::diff::Change;

/// What stands where something was taken out.
pub const REDACTED: &str = "[redacted]";

/// Names under which a text is a secret, in lower case and without `-` and `_`; also those that end so, as `DB_PASSWORD` does.
const NAMES: &[&str] = &[
    "accesskey",
    "accesstoken",
    "apikey",
    "authorization",
    "bearertoken",
    "clientsecret",
    "cookie",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "refreshtoken",
    "secret",
    "secretaccesskey",
    "secretkey",
    "sharedkey",
    "token",
];

/// The changes as they are kept.
pub fn redact(changes: &[Change]) -> Value {
    let redacted = changes.iter().map(|change| {
        let mut change = change.clone();
        let name = change.pointer.rsplit('/').next().unwrap_or_default().to_owned();
        for value in [&mut change.before, &mut change.after].into_iter().flatten() {
            walk(&name, value);
        }
        // A change is plain data: it always has a JSON form.
        serde_json::to_value(change).unwrap_or_default()
    });
    Value::Array(redacted.collect())
}

/// Integers that the canonical form would take for their neighbours become texts, as [`redact`] does it.
pub fn make_exact(value: &mut Value) {
    match value {
        Value::Number(number) if !crate::canonical::is_exact(number) => {
            *value = Value::String(number.to_string())
        }
        Value::Array(items) => items.iter_mut().for_each(make_exact),
        Value::Object(members) => members.values_mut().for_each(make_exact),
        _ => {}
    }
}

fn walk(name: &str, value: &mut Value) {
    match value {
        Value::String(text) if is_secret(name) && !is_place(text) => *text = REDACTED.into(),
        Value::String(text) => {
            if let Some(clean) = without_password(text) {
                *text = clean;
            }
        }
        Value::Number(_) => make_exact(value),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(name, item)),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| walk(name, value)),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
    NAMES.iter().any(|known| plain.ends_with(known))
}

fn is_place(text: &str) -> bool {
    text.is_empty() || text.starts_with("secret://")
}

/// `postgres://me:[redacted]@host/db` for a URL that carries a password.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?.0.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let host = rest.get(authority.rfind('@')?..)?;
    scheme.chars().all(plain).then(|| format!("{scheme}://{user}:{REDACTED}{host}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(pointer: &str, value: Value) -> Value {
        redact(&[Change::add(pointer, value)])[0]["after"].clone()
    }

    #[test]
    fn what_is_called_a_secret_goes_and_a_place_stays() {
        assert_eq!(after("/spec/password", json!("hunter2")), REDACTED);
        assert_eq!(after("/spec/token", json!("secret://team/token")), "secret://team/token");
        assert_eq!(after("/spec/token", json!({ "env": "TOKEN" })), json!({ "env": "TOKEN" }));
        assert_eq!(
            after("", json!({ "params": [{ "API_KEY": "k", "max_tokens": 5, "name": "n" }] })),
            json!({ "params": [{ "API_KEY": REDACTED, "max_tokens": 5, "name": "n" }] })
        );
        for name in ["DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "hf-token", "githubApiKey"] {
            assert_eq!(after(&format!("/spec/runtime/env/{name}"), json!("hunter2")), REDACTED, "{name}");
        }
        assert_eq!(after("/spec/runtime/env/TOKENIZERS_PARALLELISM", json!("false")), "false");
        let both = redact(&[Change::replace("/secret-key", json!("old"), json!("new"))]);
        assert_eq!((&both[0]["before"], &both[0]["after"]), (&json!(REDACTED), &json!(REDACTED)));
    }

    #[test]
    fn a_password_inside_a_url_goes() {
        let url = "postgres://me:p@ss@db.example:5432/x?a=b";
        assert_eq!(after("/url", json!(url)), "postgres://me:[redacted]@db.example:5432/x?a=b");
        for same in ["https://example.org/a:b@c", "s3://bucket/x", "no url", "https://me@host"] {
            assert_eq!(after("/url", json!(same)), same);
        }
    }

    #[test]
    fn a_number_that_would_lose_digits_becomes_text() {
        assert_eq!(after("/n", json!(u64::MAX)), u64::MAX.to_string());
        assert_eq!(after("/n", json!(7)), 7);
    }
}
