//! Setting the clock of a program, and only that one: libfaketime, loaded before it, reads from a file how far the system's clock
//! is ahead. Time that only grows goes on as it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// How far a clock is ahead, in seconds, as a program reads it.
pub struct Faketime {
    library: PathBuf,
    file: PathBuf,
}

impl Faketime {
    /// A clock that is right until it is set, in a folder that the program can read. None where libfaketime is missing.
    pub fn in_folder(folder: &Path) -> Option<Self> {
        // Where Debian has it, on whatever machine.
        let folders = fs::read_dir("/usr/lib").ok()?.flatten();
        let mut libraries = folders.map(|found| found.path().join("faketime/libfaketime.so.1"));
        let library = libraries.find(|library| library.exists())?;
        let clock = Self { library, file: folder.join("clock") };
        clock.set(0);
        Some(clock)
    }

    /// The program sees it at once.
    pub fn set(&self, ahead_s: i64) {
        let part = self.file.with_extension("part");
        fs::write(&part, format!("{ahead_s:+}\n")).expect("write the clock");
        fs::rename(part, &self.file).expect("set the clock");
    }

    /// What the program wants in its environment.
    pub fn env(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ]
    }
}
