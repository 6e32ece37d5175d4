//! What a request's head says of its sender and its scope, read without trusting any of it.
//!
//! Only the shape is looked at: whether there is such a tenant, or whose a token is, others know.

/// Longest name or id that a header gives a tenant or project, in bytes.
const SCOPE: usize = 64;

/// A name or an id of a tenant or project.
pub fn scope(value: &str) -> Option<&str> {
    let fits = !value.is_empty()
        && value.len() <= SCOPE
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then_some(value)
}

/// The token of `Authorization: Bearer …`, of at most `longest` bytes.
pub fn bearer(value: &str, longest: usize) -> Option<&str> {
    let token = value.strip_prefix("Bearer ")?.trim();
    (!token.is_empty() && token.len() <= longest).then_some(token)
}

/// The value of the cookie `name` in one `Cookie` header, of at most `longest` bytes.
pub fn cookie<'v>(value: &'v str, name: &str, longest: usize) -> Option<&'v str> {
    value.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name && !value.is_empty() && value.len() <= longest).then_some(value)
    })
}

/// The trace id of a W3C `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
pub fn trace_id(value: &str) -> Option<String> {
    let mut parts = value.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let fit = version.len() == 2
        && id.len() == 32
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && id.bytes().any(|byte| byte != b'0');
    fit.then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_name_or_an_id() {
        for fine in ["acme", "a-1", "018f3b1e-7f65-7cc4-8000-3f1d2c5a6b7c", "Acme"] {
            assert_eq!(scope(fine), Some(fine));
        }
        for wrong in ["", "a b", "a/b", "../a", "a\0", "ä", &"x".repeat(65)] {
            assert_eq!(scope(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn tokens_are_taken_in_one_form_alone() {
        assert_eq!(bearer("Bearer qd_1", 10), Some("qd_1"));
        for wrong in ["", "Bearer", "Bearer ", "bearer qd_1", "Basic qd_1", "qd_1", "Bearer qd_1234567890"] {
            assert_eq!(bearer(wrong, 10), None, "{wrong:?}");
        }
        assert_eq!(cookie("a=1; qd_session=x; b=2", "qd_session", 10), Some("x"));
        for wrong in
            ["", "qd_session", "qd_session=", "xqd_session=1", "qd_session=12345678901", "a=qd_session=1"]
        {
            assert_eq!(cookie(wrong, "qd_session", 10), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_traceparent_gives_its_trace_id() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        assert_eq!(trace_id(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))), None);
        assert_eq!(trace_id("nonsense"), None);
    }
}
