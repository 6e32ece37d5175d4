//! Where jobs are kept, and how many processes carry them out.

use std::process::Stdio;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use qd_testkit::{
    nats::Nats,
    postgres::{Database, Postgres},
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{
    Bench, Fallible,
    kernel::{self, BenchKernel},
    process::Process,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Sqlite,
    Postgres,
    /// Three processes, joined by NATS.
    PostgresByThree,
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::PostgresByThree => "postgres-3",
        }
    }

    /// Those that this machine has the programs for, and what to say of the others.
    pub fn available() -> (Vec<Self>, Option<&'static str>) {
        let mut places = vec![Self::Sqlite];
        if !installed("initdb") {
            return (places, Some("no Postgres: apt-get install postgresql"));
        }
        places.push(Self::Postgres);
        if !installed("nats-server") {
            return (places, Some("not by three processes: apt-get install nats-server"));
        }
        places.push(Self::PostgresByThree);
        (places, None)
    }

    fn processes(self) -> usize {
        if self == Self::PostgresByThree { 3 } else { 1 }
    }
}

/// An empty database, and the bus where several processes share it.
pub struct Site {
    pub place: Place,
    pub url: String,
    pub folder: TempDir,
    nats: Option<Nats>,
    _database: Option<Database>,
    _postgres: Option<Postgres>,
}

impl Site {
    pub async fn open(bench: &Bench, place: Place) -> Fallible<Self> {
        let folder = bench.folder()?;
        if place == Place::Sqlite {
            let url = kernel::sqlite(folder.path());
            return Ok(Self { place, url, folder, nats: None, _database: None, _postgres: None });
        }
        let postgres = Postgres::start().await;
        let database = postgres.fresh_database().await;
        let nats = if place == Place::PostgresByThree { Some(Nats::start().await) } else { None };
        let url = database.url.clone();
        Ok(Self { place, url, folder, nats, _database: Some(database), _postgres: Some(postgres) })
    }

    pub fn nats_url(&self) -> Option<String> {
        self.nats.as_ref().map(Nats::url)
    }

    /// A kernel in this process, and workers in the others.
    pub async fn kernel(&self, bench: &Bench) -> Fallible<(BenchKernel, Vec<Worker>)> {
        let kernel = BenchKernel::start(&self.url, self.nats_url()).await?;
        Ok((kernel, self.workers(bench).await?))
    }

    /// The processes that carry jobs out beside this one.
    pub async fn workers(&self, bench: &Bench) -> Fallible<Vec<Worker>> {
        let mut workers = vec![];
        for _ in 1..self.place.processes() {
            workers.push(Worker::start(bench, self).await?);
        }
        Ok(workers)
    }

    /// Servers with the toys, and a token for them.
    pub async fn serve(&self, bench: &Bench) -> Fallible<(Vec<Process>, String)> {
        let mut servers = vec![];
        let token = self.folder.path().join("token");
        for number in 0..self.place.processes() {
            let data = self.folder.path().join(format!("data-{number}"));
            let (data, token) = (text(&data)?, text(&token)?);
            let mut args =
                vec!["serve", "--bench", "--listen", "127.0.0.1:0", "--data", data, "--token-file", token];
            if self.place != Place::Sqlite {
                args.extend(["--database-url", &self.url]);
            }
            let nats = self.nats_url();
            if let Some(url) = &nats {
                args.extend(["--nats-url", url]);
            }
            servers.push(Process::start(&bench.program, &args, self.folder.path()).await?);
        }
        Ok((servers, std::fs::read_to_string(token)?))
    }
}

/// A process that only carries out jobs; ends with its standard input.
pub struct Worker {
    child: Child,
}

impl Worker {
    async fn start(bench: &Bench, site: &Site) -> Fallible<Self> {
        let mut command = Command::new(&bench.program);
        command.args(["work", "--database-url", &site.url]);
        if let Some(url) = site.nats_url() {
            command.args(["--nats-url", &url]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut ready = String::new();
        let stdout = child.stdout.as_mut().ok_or("no standard output")?;
        if BufReader::new(stdout).read_line(&mut ready).await? == 0 {
            return Err("a worker ended before it was ready".into());
        }
        Ok(Self { child })
    }

    /// Stops it where it stands, until [`Self::go_on`].
    pub fn hold(&self) -> Fallible<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub fn go_on(&self) -> Fallible<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Fallible<()> {
        let pid = self.child.id().ok_or("the worker has ended")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    pub async fn stop(mut self) -> Fallible<()> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}

/// What a worker process is asked to do.
#[derive(Debug, clap::Args)]
pub struct WorkArgs {
    #[arg(long)]
    database_url: String,
    #[arg(long)]
    nats_url: Option<String>,
}

/// Carries out jobs until standard input ends.
pub async fn work(args: WorkArgs) -> Fallible<()> {
    let kernel = BenchKernel::start(&args.database_url, args.nats_url).await?;
    let mut out = tokio::io::stdout();
    out.write_all(b"ready\n").await?;
    out.flush().await?;
    tokio::io::stdin().read_to_end(&mut vec![]).await?;
    kernel.stop().await;
    Ok(())
}

fn text(path: &std::path::Path) -> Fallible<&str> {
    path.to_str().ok_or_else(|| "a path that is not UTF-8".into())
}

/// Where the testkit looks as well.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|entry| entry.path().join("bin")).chain(["/usr/sbin".into()]);
    std::env::split_paths(&path).chain(debian).any(|folder| folder.join(program).exists())
}
