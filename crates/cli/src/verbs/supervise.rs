//! `qd supervise`: hidden; what the engine starts for each attempt of a run. See `qd_pipelines::supervisor`.

use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The attempt's folder
    dir: PathBuf,
}

/// Blocks until everything that the attempt started is gone.
pub fn run(args: &Args) -> ExitCode {
    qd_pipelines::supervisor::supervise(&args.dir)
}
