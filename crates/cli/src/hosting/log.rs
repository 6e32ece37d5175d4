//! Where the server's own log goes: standard error for `serve`, a file for `up`, whose terminal shows other things.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Mutex;

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

/// Logs to `qd.log` in the folder; the last start's log is kept as `qd.log.1`.
pub fn to_file(folder: &Path) -> Result<(), Failure> {
    let fault = |error| Failure::local(format!("write the log in {}: {error}", folder.display()));
    let path = folder.join("qd.log");
    if path.exists() {
        fs::rename(&path, folder.join("qd.log.1")).map_err(fault)?;
    }
    let file = File::create(path).map_err(fault)?;
    begin(LogFormat::Text, false, BoxMakeWriter::new(Mutex::new(file)))
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
