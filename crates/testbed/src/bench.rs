//! `./x bench`: the numbers that the design promises, each beside its floor, measured in the same run.
//!
//! A floor is what the machine gives to a program that does nothing else: a bare axum server with the same query on the
//! same file, the same rows written by the bare driver with one commit each. A peer is what people use today for the same. Rounds of ours and of the floor alternate, so
//! that other work on the machine hits both and the ratio stands where the absolute figures do not.
//! Aims are printed and judged, but nothing fails: a busy machine is no defect.

mod access;
mod celery;
mod client;
mod fairness;
mod fill;
mod floor;
mod hello;
mod jobs;
mod kernel;
mod list;
mod load;
mod place;
mod process;
mod report;
mod run;
mod scale;
mod spread;
mod start;
mod waiting;
mod writers;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use self::hello::{HelloArgs, run as hello};
pub use self::kernel::register;
pub use self::place::{WorkArgs, work};
use self::report::Report;
pub use self::waiting::{WaitArgs, wait};

/// What a measurement ends with when it cannot go on; only ever printed.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measure Quarterdeck, each figure beside its floor
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Also write the rows as a JSON list
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One measurement alone
    #[arg(long, value_name = "NAME")]
    only: Option<Name>,
    /// How long the 16 writers write
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Where databases are made; beside this program where absent, because a temporary folder may be memory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// Start, memory and size of the server
    Start,
    /// An access check with policies and teams, and a sign-in
    Access,
    /// Runs listed over HTTP
    List,
    /// A no-op job and a no-op run over HTTP
    Run,
    /// Durable jobs and steps
    Jobs,
    /// Ten thousand jobs that wait for the world
    Waiting,
    /// One tenant's job beside another's ten thousand
    Fairness,
    /// A hundred against a hundred thousand
    Scale,
    /// Sixteen writers over HTTP
    Writers,
}

/// What measurements share.
struct Bench {
    /// This program, which also serves.
    program: PathBuf,
    /// New folders are made here.
    dir: PathBuf,
    seconds: u64,
}

impl Bench {
    fn folder(&self) -> Fallible<TempDir> {
        Ok(tempfile::Builder::new().prefix("qd-bench-").tempdir_in(&self.dir)?)
    }
}

/// Measures, prints the table, writes the JSON.
pub async fn run(args: BenchArgs) -> Fallible<()> {
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new(".")).to_owned();
    let bench = Bench { program, dir: args.dir.unwrap_or(beside), seconds: args.seconds };
    let wanted = |name| args.only.is_none_or(|only| only == name);
    let mut report = Report::new();
    writeln!(std::io::stdout(), "{}", report::machine())?;
    if wanted(Name::Start) {
        report.add(start::measure(&bench).await?)?;
    }
    if wanted(Name::Access) {
        report.add(access::measure(&bench).await?)?;
    }
    if wanted(Name::List) {
        report.add(list::measure(&bench).await?)?;
    }
    if wanted(Name::Run) {
        report.add(run::measure(&bench).await?)?;
    }
    if wanted(Name::Jobs) {
        report.add(jobs::measure(&bench).await?)?;
    }
    if wanted(Name::Waiting) {
        report.add(waiting::measure(&bench).await?)?;
    }
    if wanted(Name::Fairness) {
        report.add(fairness::measure(&bench).await?)?;
    }
    if wanted(Name::Scale) {
        report.add(scale::measure(&bench).await?)?;
    }
    if wanted(Name::Writers) {
        report.add(writers::measure(&bench).await?)?;
    }
    if let Some(path) = args.json {
        std::fs::write(&path, report.json()?)
            .map_err(|error| format!("write {}: {error}", path.display()))?;
    }
    writeln!(std::io::stdout(), "{}", report::machine())?;
    Ok(())
}
