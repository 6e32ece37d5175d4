//! Where things lie in the data folder.

use std::path::{Path, PathBuf};

use qd_core::id::RunId;

#[derive(Debug, Clone)]
pub(super) struct Folders {
    data: PathBuf,
}

impl Folders {
    pub fn new(data: &Path) -> Self {
        // Absolute: supervisors and runners start in folders of their own.
        let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        Self { data }
    }

    /// Holds the folder's own name.
    pub fn id(&self) -> PathBuf {
        self.data.join("id")
    }

    pub fn code(&self) -> PathBuf {
        self.data.join("code")
    }

    pub fn run(&self, run: RunId) -> PathBuf {
        self.data.join("runs").join(run.to_string())
    }

    pub fn output(&self, run: RunId) -> PathBuf {
        self.run(run).join("output")
    }

    pub fn attempt(&self, run: RunId, attempt: u32) -> PathBuf {
        self.run(run).join(format!("attempt-{attempt}"))
    }
}
