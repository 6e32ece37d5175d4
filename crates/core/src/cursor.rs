//! The opaque cursor of a page: hex, which is safe in a URL and needs no further dependency.

use crate::error::{Error, Result};

/// Characters.
const LONGEST: usize = 512;

pub fn encode(key: &str) -> String {
    hex::encode(key)
}

/// # Errors
/// `bad_cursor` for what [`encode`] did not give out.
pub fn decode(cursor: &str) -> Result<String> {
    if cursor.len() > LONGEST {
        return Err(bad_cursor());
    }
    hex::decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad_cursor)
}

pub fn bad_cursor() -> Error {
    Error::malformed("bad_cursor", "the cursor is not one that this list gave out; start again without it")
}
