//! The server process by itself: how long until it answers, what it keeps in memory, how large its file is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Bench, Fallible, kernel,
    process::Process,
    report::{Aim, Row},
    spread::median,
};

const COLD: usize = 3;
const WARM: usize = 7;
/// Until a started server has nothing left to do.
const IDLE: Duration = Duration::from_secs(2);

pub async fn measure(bench: &Bench) -> Fallible<Vec<Row>> {
    let (server, name) = server(&bench.program);
    let folder = bench.folder()?;
    let mut cold = vec![];
    for number in 0..COLD {
        let process = Process::serve(&server, &folder.path().join(number.to_string())).await?;
        cold.push(process.first_answer.as_secs_f64());
        process.stop().await?;
    }
    let data = folder.path().join("0");
    let (mut warm, mut floor) = (vec![], vec![]);
    for _ in 0..WARM {
        let process = Process::serve(&server, &data).await?;
        warm.push(process.first_answer.as_secs_f64());
        process.stop().await?;
        let process = Process::hello(&bench.program, None).await?;
        floor.push(process.first_answer.as_secs_f64());
        process.stop().await?;
    }
    let floor = median(floor);
    let (ours, bare) = (Process::serve(&server, &data).await?, Process::hello(&bench.program, None).await?);
    tokio::time::sleep(IDLE).await;
    let (ours_mb, bare_mb) = (ours.memory_mb()?, bare.memory_mb()?);
    ours.stop().await?;
    bare.stop().await?;
    let size = std::fs::metadata(&server)?.len() as f64 / 1e6;
    Ok(vec![
        Row::new("start.cold", median(cold), "s")
            .floor(floor)
            .note(&format!("{name}; makes folder and database")),
        Row::new("start.warm", median(warm), "s").floor(floor).aim(Aim::ValueAtMost(0.2)),
        Row::new("memory.idle", ours_mb, "MB").floor(bare_mb).aim(Aim::ValueAtMost(40.0)).note("PSS"),
        Row::new("binary.size", size, "MB").note(&name),
    ])
}

/// The shipped program where it was built beside this one.
fn server(program: &Path) -> (PathBuf, String) {
    let shipped = program.with_file_name("qd");
    if shipped.exists() {
        return (shipped, "qd".into());
    }
    (program.to_owned(), "qd-testbed, for there is no qd beside it".into())
}

/// A data folder with a published toy, and a server on it.
pub struct Served {
    pub process: Process,
    pub token: String,
    pub data: PathBuf,
    pub context: qd_kernel::context::Context,
    _folder: tempfile::TempDir,
}

impl Served {
    /// The testbed's own server, which knows the toys.
    pub async fn start(bench: &Bench) -> Fallible<Self> {
        let folder = bench.folder()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let (token, context) = kernel::prepare(&data).await?;
        let process = Process::serve(&bench.program, &data).await?;
        Ok(Self { process, token, data, context, _folder: folder })
    }
}
