//! What must be known of an attempt to understand the next record of its journal.
//!
//! The journal tells a phase or a failure once, and an observation may begin anywhere in it. So what is told once is
//! kept in `observed.json`, written before the observation that saw it is handed out: an observer that dies in
//! between sees the same records again, and writes the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

const FILE: &str = "observed.json";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// `starting`, `running`, `draining`, `finishing`.
    pub phase: Option<String>,
    /// Names of stages by id.
    pub stages: BTreeMap<String, String>,
    pub failure: Option<Value>,
    pub results: Option<Value>,
    pub exit: Option<Exit>,
}

/// How the runner ended, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stopped: bool,
    /// Microseconds since 1970.
    pub at: i64,
}

impl Memory {
    pub fn read(dir: &Path) -> Self {
        fs::read(dir.join(FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.persist(dir.join(FILE))?;
        Ok(())
    }
}
