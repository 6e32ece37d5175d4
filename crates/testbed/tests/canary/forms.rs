//! The forms in which a secret could be written, and the search for them.

use std::{fs, path::Path};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use qd_core::canonical::sha256_hex;

pub struct Searched(Vec<String>);

impl Searched {
    /// Texts in every form, also as hashes; keys, which are given in hex, as bytes too.
    pub fn of(texts: &[&str], keys: &[&str]) -> Self {
        let mut forms: Vec<String> = vec![];
        for text in texts {
            let json = serde_json::json!(text).to_string();
            let debug = format!("{text:?}");
            forms.extend([
                (*text).to_owned(),
                json.trim_matches('"').to_owned(),
                debug.trim_matches('"').to_owned(),
                percent(text, false),
                percent(text, true),
                hex(text.as_bytes()),
                hex(text.as_bytes()).to_uppercase(),
                sha256_hex(text),
                text.chars().rev().collect(),
                // A piece of it is too much already.
                text.chars().take(12).collect(),
            ]);
            // Whatever stood before it, its middle is written in one of three ways.
            for before in 0..3 {
                let padded = [&b"xxx"[..before], text.as_bytes()].concat();
                let encoded = STANDARD_NO_PAD.encode(&padded);
                let url = URL_SAFE_NO_PAD.encode(&padded);
                forms.extend([encoded, url].map(|text| text[4..text.len() - 4].to_owned()));
            }
            let list: Vec<String> = text.bytes().take(8).map(|byte| byte.to_string()).collect();
            forms.push(list.join(", "));
        }
        for key in keys {
            forms.extend([(*key).to_owned(), key.to_uppercase()]);
        }
        forms.sort();
        forms.dedup();
        Self(forms)
    }

    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// # Panics
    /// With what stands around it.
    pub fn not_in(&self, place: &str, hay: &[u8]) {
        for form in &self.0 {
            if let Some(at) = find(hay, form.as_bytes()) {
                let around = &hay[at.saturating_sub(300)..(at + form.len() + 100).min(hay.len())];
                panic!("{form:?} stands in {place}:\n{}", String::from_utf8_lossy(around));
            }
        }
    }

    /// All files below.
    pub fn not_in_files(&self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.not_in_files(&path),
                Ok(kind) if kind.is_file() => {
                    self.not_in(&path.display().to_string(), &fs::read(&path).unwrap_or_default());
                }
                _ => {}
            }
        }
    }
}

/// Fast enough for some tens of megabytes: it looks closer only where the first byte fits.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = hay[from..].iter().position(|byte| *byte == first) {
        if hay[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As in a URL, or as in a form's body.
fn percent(text: &str, form: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let of = |byte: u8| match byte {
        b' ' if form => "+".to_owned(),
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(of).collect()
}
