//! Where the server's own log goes: standard error for `serve`, a file for `up`, whose terminal shows other things.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    /// One object a line
    Json,
}

/// Logs to standard error. `QD_LOG` sets the level (`debug`, `qd_kernel=debug,info`).
pub fn to_stderr(format: LogFormat, colour: bool) -> Result<(), Failure> {
    begin(format, colour, BoxMakeWriter::new(std::io::stderr))
}

/// Logs into memory until [`LaterFile::open`].
pub fn to_file_later() -> Result<LaterFile, Failure> {
    let file = LaterFile(Arc::new(Mutex::new(Sink::Memory(Vec::new()))));
    let writer = file.clone();
    begin(LogFormat::Text, false, BoxMakeWriter::new(move || writer.clone()))?;
    Ok(file)
}

/// A log whose file is opened once it is known that its folder is ours.
#[derive(Clone)]
pub struct LaterFile(Arc<Mutex<Sink>>);

enum Sink {
    Memory(Vec<u8>),
    File(File),
}

impl LaterFile {
    /// Goes on in `qd.log` in the folder; the last start's log is kept as `qd.log.1`.
    pub fn open(&self, folder: &Path) -> Result<(), Failure> {
        let fault = |error| Failure::local(format!("write the log in {}: {error}", folder.display()));
        let path = folder.join("qd.log");
        if path.exists() {
            fs::rename(&path, folder.join("qd.log.1")).map_err(fault)?;
        }
        let mut file = File::create(path).map_err(fault)?;
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Sink::Memory(before) = &*sink {
            file.write_all(before).map_err(fault)?;
        }
        *sink = Sink::File(file);
        Ok(())
    }
}

impl Write for LaterFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Memory(kept) => kept.write(bytes),
            Sink::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn begin(format: LogFormat, colour: bool, writer: BoxMakeWriter) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_env("QD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colour);
    let begun = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    begun.map_err(|error| Failure::local(format!("begin the log: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_only_turned_over_once_the_folder_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        fs::write(folder.path().join("qd.log"), "of the server that runs\n").unwrap();
        let mut log = LaterFile(Arc::new(Mutex::new(Sink::Memory(Vec::new()))));
        log.write_all(b"begins\n").unwrap();
        assert_eq!(read("qd.log"), "of the server that runs\n");
        log.open(folder.path()).unwrap();
        log.write_all(b"goes on\n").unwrap();
        assert_eq!(
            (read("qd.log.1"), read("qd.log")),
            ("of the server that runs\n".into(), "begins\ngoes on\n".into())
        );
    }
}
