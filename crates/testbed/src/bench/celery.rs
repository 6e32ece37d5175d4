//! The peer: Celery with Redis behind FastAPI, which is what people take for fast jobs today. It keeps no step on disk.
//!
//! Its Python environment is made by `./x bench`; where that or Redis is missing, the rows say so and stand without a peer.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{
    Bench, Fallible,
    client::{Connection, request},
};

/// Names the folder of the environment.
const VARIABLE: &str = "QD_BENCH_CELERY";
const PROGRAM: &str = include_str!("celery/peer.py");
/// The longest wait until a first task has gone through.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ended when dropped.
pub struct Celery {
    pub address: SocketAddr,
    _processes: Vec<Group>,
    _folder: TempDir,
}

/// A process and those that it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Celery {
    /// Redis, the worker and the HTTP server; or why there is no peer here.
    pub async fn start(bench: &Bench) -> Fallible<Result<Self, String>> {
        let Some(python) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
            return Ok(Err(format!("no Celery to compare with ({VARIABLE} is not set; ./x bench sets it)")));
        };
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().await.is_err() {
            return Ok(Err("no Celery to compare with (apt-get install redis-server)".into()));
        }
        let folder = bench.folder()?;
        std::fs::write(folder.path().join("peer.py"), PROGRAM)?;
        let (redis, http) = (free_port()?, free_port()?);
        let start = |program: &Path, args: &[&str]| -> Fallible<Group> {
            let child = Command::new(program)
                .args(args)
                .current_dir(folder.path())
                .env("PEER_REDIS", format!("redis://127.0.0.1:{redis}/0"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .map_err(|error| format!("start {}: {error}", program.display()))?;
            Ok(Group(child))
        };
        let (redis, port) = (redis.to_string(), http.to_string());
        let processes = vec![
            start(Path::new("redis-server"), &["--bind", "127.0.0.1", "--port", &redis])?,
            start(&python.join("bin/celery"), &["-A", "peer", "worker", "--loglevel", "ERROR"])?,
            start(
                &python.join("bin/uvicorn"),
                &["peer:api", "--host", "127.0.0.1", "--port", &port, "--log-level", "error"],
            )?,
        ];
        let celery = Self {
            address: SocketAddr::from(([127, 0, 0, 1], http)),
            _processes: processes,
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout(PATIENCE, celery.run()).await {
                Ok(Ok(_)) => return Ok(Ok(celery)),
                Ok(Err(_)) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(200)).await,
                Ok(Err(error)) => return Err(format!("Celery does not answer: {error}").into()),
                Err(_) => return Err("Celery does not carry out its first task".into()),
            }
        }
    }

    /// One task, from the request until its end is known.
    async fn run(&self) -> Fallible<Duration> {
        let mut connection = Connection::open(self.address).await?;
        Self::trigger(&mut connection).await
    }

    /// The same over a connection that is kept.
    pub async fn trigger(connection: &mut Connection) -> Fallible<Duration> {
        let start = Instant::now();
        connection.send(&request("POST", "/runs", &[], None)).await?.json()?;
        Ok(start.elapsed())
    }

    /// So many tasks one after the other.
    pub async fn chain(&self, steps: usize) -> Fallible<Duration> {
        self.seconds(&format!("/chain/{steps}")).await
    }

    /// So many tasks asked for at once.
    pub async fn burst(&self, jobs: usize) -> Fallible<Duration> {
        self.seconds(&format!("/burst/{jobs}")).await
    }

    async fn seconds(&self, path: &str) -> Fallible<Duration> {
        let reply = Connection::open(self.address).await?.send(&request("POST", path, &[], None)).await?;
        let seconds = reply.json()?["seconds"].as_f64().ok_or("a reply without seconds")?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

fn free_port() -> Fallible<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
