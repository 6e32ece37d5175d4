//! `<tenant>.<base domain>` names the tenant in the host, for people who open the UI of one tenant.
//!
//! What counts is the authority that the request was sent to; who forwards requests keeps it. A host outside the base domain (an
//! address, another name of the server) names nobody.

use std::str::FromStr;

use axum::http::{header, request::Parts};
use qd_core::error::Error;

use super::problem::Problem;

/// Longest name of a host (RFC 1035).
const LONGEST: usize = 253;

/// What stands behind a tenant's name in the host: `example.org`. In lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseDomain(String);

impl FromStr for BaseDomain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_number =
            text.split('.').next_back().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if text.len() > LONGEST || is_number || !text.split('.').all(is_label) {
            return Err(format!("{text:?} is no domain such as example.org: no scheme, no port, no address"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl BaseDomain {
    /// The tenant that the host of the request names.
    ///
    /// # Errors
    /// `bad_scope` where more than one label stands before the base domain.
    pub fn tenant(&self, parts: &Parts) -> Result<Option<String>, Problem> {
        let header = || parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let Some(authority) = parts.uri.authority().map(|authority| authority.as_str()).or_else(header)
        else {
            return Ok(None);
        };
        Ok(self.label(authority)?)
    }

    fn label(&self, authority: &str) -> Result<Option<String>, Error> {
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => host,
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let Some(labels) = host.strip_suffix(&self.0).and_then(|front| front.strip_suffix('.')) else {
            return Ok(None);
        };
        if labels.is_empty() || labels.len() > 63 || labels.contains('.') {
            let detail = format!("the host must be <tenant>.{}, with one name before it", self.0);
            return Err(Error::malformed("bad_scope", detail));
        }
        Ok(Some(labels.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_label_before_the_base_domain_is_a_tenant() {
        let base: BaseDomain = "Example.org".parse().unwrap();
        for (host, tenant) in [
            ("acme.example.org", Some("acme")),
            ("ACME.example.ORG:8443", Some("acme")),
            ("acme.example.org.", Some("acme")),
            ("example.org", None),
            ("example.org:80", None),
            ("notexample.org", None),
            ("acme.example.org.evil.test", None),
            ("127.0.0.1:7070", None),
            ("[::1]:7070", None),
        ] {
            assert_eq!(base.label(host).unwrap().as_deref(), tenant, "{host}");
        }
        for host in ["a.b.example.org", ".example.org", "acme..example.org"] {
            assert_eq!(base.label(host).unwrap_err().code, "bad_scope", "{host}");
        }
    }

    #[test]
    fn only_a_domain_is_a_base_domain() {
        for wrong in ["", "http://example.org", "example.org:80", ".example.org", "10.0.0.1", "a b", "-a.org"]
        {
            assert!(wrong.parse::<BaseDomain>().is_err(), "{wrong}");
        }
        assert!("qd.internal".parse::<BaseDomain>().is_ok());
    }
}
