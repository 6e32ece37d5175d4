//! A secret that was read: printed by nothing, gone from memory when dropped, and taken out of what others say.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use qd_core::error::{Error, Result};
use zeroize::Zeroizing;

/// A value at the moment of its use.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// For the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As a header carries it. `place` says where it was found.
    ///
    /// # Errors
    /// `secret_missing`: nothing that can be a token.
    pub fn one_word(self, place: &impl fmt::Display) -> Result<Self> {
        if !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(self);
        }
        Err(Error::unavailable("secret_missing", format!("{place} holds more than one word of ASCII")))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Takes secrets out of what somebody outside said, also where they were written in hex, in base64 or for a URL.
#[must_use]
pub fn redact(said: &str, secrets: &[Secret]) -> String {
    let mut said = said.to_owned();
    for secret in secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty()) {
        let for_url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let in_json = serde_json::Value::from(secret).to_string();
        let forms = [
            secret.to_owned(),
            secret.trim().to_owned(),
            in_json.trim_matches('"').to_owned(),
            for_url.replace('+', "%20"),
            for_url,
            STANDARD.encode(secret),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            hex::encode(secret),
        ];
        for form in forms.iter().filter(|form| !form.is_empty()) {
            said = said.replace(form.as_str(), "[redacted]");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_loses_the_secret_in_every_form() {
        let secret = Secret::new("p&ss wörd\"1");
        let forms = [
            "p&ss wörd\"1".to_owned(),
            "p&ss wörd\\\"1".to_owned(),
            "p%26ss+w%C3%B6rd%221".to_owned(),
            "p%26ss%20w%C3%B6rd%221".to_owned(),
            STANDARD.encode(secret.expose()),
            hex::encode(secret.expose()),
        ];
        for form in forms {
            assert_eq!(
                redact(&format!("wrong: {form}!"), std::slice::from_ref(&secret)),
                "wrong: [redacted]!",
                "{form}"
            );
        }
        assert_eq!(redact("nothing", &[secret.clone(), Secret::new("")]), "nothing");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
