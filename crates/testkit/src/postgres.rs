//! A real Postgres server for tests: private, on a free port of 127.0.0.1, durable as in production.
//!
//! Test runners start a process for each test, so the server is shared between processes: each holds a shared lock on
//! one file, and a watching shell stops the server and removes its folder soon after the last lock is gone, however
//! its holder ended. `kill -9` of a test leaves nothing behind.

mod binaries;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

use self::binaries::Binaries;
use crate::Faketime;

/// How long a shared server outlives its last user, for the next test of the run, in seconds.
const LINGER_S: u32 = 5;
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server, in use until this is dropped.
pub struct Postgres {
    pub port: u16,
    home: PathBuf,
    _user: File,
}

/// A database of a server, dropped with this.
pub struct Database {
    pub url: String,
    name: String,
    port: u16,
}

impl Postgres {
    /// A server of this test's own, stopped and removed once this is dropped.
    pub async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("qd-postgres-{}", unique()));
        Self::join(folder, 0, vec![]).await
    }

    /// The same with a clock of its own. None where that cannot be had.
    pub async fn with_clock() -> Option<(Self, Faketime)> {
        let folder = std::env::temp_dir().join(format!("qd-postgres-{}", unique()));
        fs::create_dir_all(&folder).expect("make the server's folder");
        let Some(clock) = Faketime::in_folder(&folder) else {
            fs::remove_dir_all(folder).expect("remove the server's folder");
            return None;
        };
        let env = clock.env().map(|(name, value)| format!("{name}={value}")).to_vec();
        Some((Self::join(folder, 0, env).await, clock))
    }

    /// The server that all tests of this user and checkout share; started by the first that asks.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        let inode = fs::metadata(checkout).map_or(0, |found| found.ino());
        let name = format!("qd-postgres-shared-{}-{inode}", nix::unistd::geteuid());
        SHARED.get_or_init(|| Self::join(std::env::temp_dir().join(name), LINGER_S, vec![])).await
    }

    /// An empty database that no other test sees.
    pub async fn fresh_database(&self) -> Database {
        let name = format!("t_{}", unique());
        run(
            self.port,
            &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"),
        )
        .await
        .expect("create a test database");
        Database { url: url(self.port, &name), name, port: self.port }
    }

    /// Takes it away as a crash does: whoever is connected is cut off, and nobody answers until [`Self::run`]. Only for a server
    /// of the test's own.
    pub fn crash(&self) {
        fs::write(self.home.join("down"), "").expect("keep the server down");
        let pid = self.pid();
        kill(pid, Signal::SIGQUIT).expect("end the server");
        let until = Instant::now() + START_LIMIT;
        while kill(pid, None).is_ok() {
            assert!(Instant::now() < until, "Postgres does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it where it stands: connections stay, nobody answers. Only for a server of the test's own.
    pub fn suspend(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    /// Lets it go on after [`Self::suspend`].
    pub fn resume(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    /// To the server and each of its processes.
    fn signal_all(&self, signal: Signal) {
        let server = self.pid();
        kill(server, signal).expect("signal the server");
        let of_server = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let behind_name = stat.rsplit(')').next().unwrap_or_default();
            behind_name.split_whitespace().nth(1) == Some(&server.to_string())
        };
        let names = fs::read_dir("/proc").expect("list processes").flatten().map(|entry| entry.file_name());
        let pids = names.filter_map(|name| name.to_str()?.parse().ok()).map(Pid::from_raw);
        for pid in pids.filter(of_server) {
            // One may have ended since.
            let _ = kill(pid, signal);
        }
    }

    fn pid(&self) -> Pid {
        let pid = fs::read_to_string(self.home.join("data/postmaster.pid")).expect("read the server's pid");
        Pid::from_raw(pid.lines().next().and_then(|pid| pid.parse().ok()).expect("a pid"))
    }

    /// Lets it come back after [`Self::crash`]; returns when it answers.
    pub async fn run(&self) {
        fs::remove_file(self.home.join("down")).expect("let the server run");
        let until = Instant::now() + START_LIMIT;
        while run(self.port, "SELECT 1").await.is_err() {
            assert!(Instant::now() < until, "Postgres does not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn join(folder: PathBuf, linger_s: u32, env: Vec<String>) -> Self {
        let home = folder.join("cluster");
        let start = move || {
            let user = hold(&folder);
            let starting = open(&folder.join("start.lock"));
            starting.lock().expect("wait for the server's start");
            let ready = folder.join("ready");
            if let Some(port) = fs::read_to_string(&ready).ok().and_then(|text| text.trim().parse().ok()) {
                return (user, port);
            }
            let port = launch(&folder, linger_s, &env);
            fs::write(&ready, port.to_string()).expect("note the server's port");
            (user, port)
        };
        let (user, port) = tokio::task::spawn_blocking(start).await.expect("start Postgres");
        Self { port, home, _user: user }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, port) = (self.name.clone(), self.port);
        let drop = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(run(port, &format!("DROP DATABASE {name} WITH (FORCE)"))))
        });
        // A server that is gone has dropped it already.
        let _ = drop.join();
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable")
}

async fn run(port: u16, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&url(port, "postgres"), NoTls).await?;
    let task = tokio::spawn(connection);
    let result = client.batch_execute(sql).await;
    drop(client);
    let _ = task.await;
    result
}

/// Takes a shared lock that keeps the folder and its server alive.
fn hold(folder: &Path) -> File {
    loop {
        fs::create_dir_all(folder).expect("make the server's folder");
        let path = folder.join("users.lock");
        let Ok(file) = options().open(&path) else {
            // The watcher took the folder away in between.
            assert!(!path.exists(), "open {}", path.display());
            continue;
        };
        file.lock_shared().expect("lock the server's folder");
        // While this waited, the watcher may have removed the folder: then the lock is on a file that is gone.
        let same = |found: fs::Metadata| found.ino() == file.metadata().map_or(0, |mine| mine.ino());
        if fs::metadata(&path).is_ok_and(same) {
            return file;
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).read(true);
    options
}

fn open(path: &Path) -> File {
    options().open(path).unwrap_or_else(|error| panic!("open {}: {error}", path.display()))
}

/// Makes the cluster and starts the server under the watcher, with this in its environment; its port once it answers.
#[expect(
    clippy::zombie_processes,
    reason = "the watcher outlives this process by design, and ends by itself"
)]
fn launch(folder: &Path, linger_s: u32, env: &[String]) -> u16 {
    let binaries = Binaries::find();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("open the server's folder");
    let home = folder.join("cluster");
    fs::create_dir_all(&home).expect("make the cluster's folder");
    binaries.give(&home);
    let data = home.join("data");
    if !data.exists() {
        let mut initdb = binaries.command("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"]).arg(&data);
        let output = initdb.current_dir(&home).output().expect("run initdb");
        assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let port = free_port();
    let server = binaries.command_line("postgres", env);
    let script = format!(
        "cd {home} || exit 1
         serve() {{
           until [ -e gone ]; do
             [ -e down ] || {server} -D {home}/data -p {port} -k {home} -c listen_addresses=127.0.0.1 -c max_connections=300 \
               -c shared_buffers=64MB -c max_wal_size=256MB >> {home}/log 2>&1
             sleep 0.05
           done
           touch ended
         }}
         serve 9>&- &
         while :; do
           flock -x 9
           [ {linger_s} = 0 ] && break
           flock -u 9
           sleep {linger_s}
           flock -n -x 9 && break
         done
         touch gone
         until [ -e ended ]; do kill -QUIT $(head -n 1 data/postmaster.pid); sleep 0.05; done
         cd / && mv {folder} {folder}.gone.$$ && rm -rf {folder}.gone.$$",
        home = quoted(&home),
        folder = quoted(folder),
    );
    let mut watcher = Command::new("sh");
    watcher.arg("-c").arg(format!("exec 9<>{}\n{script}", quoted(&folder.join("users.lock"))));
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut watcher = watcher.spawn().expect("start the server");
    let until = Instant::now() + START_LIMIT;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("make a runtime");
    while runtime.block_on(run(port, "SELECT 1")).is_err() {
        let log = || fs::read_to_string(home.join("log")).unwrap_or_default();
        assert!(watcher.try_wait().is_ok_and(|ended| ended.is_none()), "Postgres ended: {}", log());
        assert!(Instant::now() < until, "Postgres does not answer: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    port
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("find a free port");
    listener.local_addr().expect("read the port").port()
}

/// Unlike any other in this run of any test process.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    #[expect(clippy::disallowed_methods, reason = "a name for a test's own use")]
    let now = std::time::SystemTime::now();
    let nanos = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{nanos:x}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
