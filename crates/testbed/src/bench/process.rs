//! A server as a process of its own: started, its first answer timed, its memory read, stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{
    Fallible,
    client::{Connection, request},
};

/// The longest wait for a first answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Killed when dropped.
pub struct Process {
    pub address: SocketAddr,
    /// From the start of the process to the first answer of `GET /health`.
    pub first_answer: Duration,
    child: Child,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `program … ` and waits until it answers.
    pub async fn start(program: &Path, args: &[&str], home: &Path) -> Fallible<Self> {
        let name = format!("{} {}", program.display(), args.join(" "));
        let start = Instant::now();
        let answering = tokio::time::timeout(PATIENCE, async {
            let mut child = Command::new(program)
                .args(args)
                // A server for a person writes down how to reach it; this one is nobody's.
                .env("QD_CONFIG", home.join("contexts"))
                .env("QD_LOG", "error")
                // Where none is found, none is prepared: pip would take the processor from what is measured.
                .env("QD_PYTHON", "none")
                // What the server can do is measured, not what it lets one sender do.
                .env("QD_RATE_LIMIT", "read=off,write=off,stream=off")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let mut lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
            let line = lines.next_line().await?.ok_or("it ended without naming its address")?;
            let address: SocketAddr = line.trim_start_matches("http://").trim_end_matches('/').parse()?;
            let reply = Connection::open(address).await?.send(&request("GET", "/health", &[], None)).await?;
            if reply.status != 200 {
                return Err(format!("/health answers {}", reply.status).into());
            }
            Fallible::Ok(Self { address, first_answer: start.elapsed(), child, _stdout: lines })
        });
        match answering.await {
            Ok(Ok(process)) => Ok(process),
            Ok(Err(error)) => Err(format!("start {name}: {error}").into()),
            Err(_) => Err(format!("start {name}: no answer within {} s", PATIENCE.as_secs()).into()),
        }
    }

    /// `serve` of a Quarterdeck program on a data folder.
    pub async fn serve(program: &Path, data: &Path) -> Fallible<Self> {
        let folder = data.to_str().ok_or("a path that is not UTF-8")?;
        let home = data.parent().unwrap_or(data);
        Self::start(program, &["serve", "--listen", "127.0.0.1:0", "--data", folder], home).await
    }

    /// The floor's server, which reads the same data folder.
    pub async fn hello(program: &Path, data: Option<&Path>) -> Fallible<Self> {
        let Some(data) = data else { return Self::start(program, &["hello"], Path::new("/")).await };
        let folder = data.to_str().ok_or("a path that is not UTF-8")?;
        Self::start(program, &["hello", "--data", folder], data).await
    }

    /// Proportional set size, MB: shared pages are counted by share.
    pub fn memory_mb(&self) -> Fallible<f64> {
        memory_mb(self.child.id().ok_or("the server has ended")?)
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> Fallible<()> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        }
        tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }
}

/// Proportional set size of a process, MB.
pub fn memory_mb(pid: u32) -> Fallible<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss in smaps_rollup")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
