//! A real Ray head for a test: the dashboard with its Jobs API on a free port, everything on 127.0.0.1, token required, its
//! files in a temporary folder. It can be killed and started again on the same port, where it knows nothing of before.
//!
//! Ray's processes change their titles and leave their parent's group, so they are found by the files that they hold open in
//! this head's folder, and killed by their ids.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::postgres::free_port;

const GONE_LIMIT: Duration = Duration::from_secs(10);

pub struct RayHead {
    pub dashboard: u16,
    /// The environment's `bin`, which has `ray`.
    bin: PathBuf,
    /// What comes before it in the head's PATH, where its jobs look for `python`.
    first: Option<PathBuf>,
    folder: TempDir,
    head: Option<Child>,
}

impl RayHead {
    /// `environments` is the folder in which Quarterdeck keeps its Python environments.
    ///
    /// # Panics
    /// Where none of them has Ray.
    pub fn start(environments: &Path) -> Self {
        Self::with_python(environments, None)
    }

    /// The same; jobs find their `python` in `first`.
    pub fn with_python(environments: &Path, first: Option<PathBuf>) -> Self {
        let found = fs::read_dir(environments).expect("list the environments").flatten();
        let mut ready = found.map(|entry| entry.path()).filter(|dir| dir.join("ready.json").is_file());
        let bin = ready.find_map(|dir| Some(dir.join("bin")).filter(|bin| bin.join("ray").is_file()));
        let bin = bin.expect("an environment with Ray: publish a pipeline first");
        // Short, for Ray puts Unix sockets below it.
        let folder =
            tempfile::Builder::new().prefix("qr-").tempdir_in("/tmp").expect("make the head's folder");
        let token = format!("{:032x}{:032x}", std::process::id(), free_port());
        fs::write(folder.path().join("token"), token).expect("write the head's token");
        let mut head = Self { dashboard: free_port(), bin, first, folder, head: None };
        head.run();
        head
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.dashboard)
    }

    /// The file with the token.
    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub fn token(&self) -> String {
        fs::read_to_string(self.token_file()).expect("read the head's token")
    }

    /// Starts it with nothing in its memory. Whoever needs it waits until it answers.
    pub fn run(&mut self) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let before = self.first.iter().chain([&self.bin]).cloned();
        let path: OsString =
            std::env::join_paths(before.chain(std::env::split_paths(&path))).expect("a PATH");
        let log = File::create(self.folder.path().join("head.log")).expect("make the head's log");
        let args = [
            ("--port", "0".to_owned()),
            ("--dashboard-host", "127.0.0.1".to_owned()),
            ("--dashboard-port", self.dashboard.to_string()),
            ("--dashboard-agent-listen-port", "0".to_owned()),
            // More than the machine has: the pipelines of tests take little.
            ("--num-cpus", "8".to_owned()),
            ("--object-store-memory", "200000000".to_owned()),
            ("--temp-dir", self.folder.path().join("r").to_string_lossy().into_owned()),
        ];
        let env = BTreeMap::from([
            ("RAY_AUTH_MODE", "token".into()),
            ("RAY_AUTH_TOKEN_PATH", self.token_file().into_os_string()),
            ("RAY_USAGE_STATS_ENABLED", "0".into()),
            // Ray then takes 127.0.0.1 for the node's address, and nothing listens beyond it.
            ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0".into()),
            ("PATH", path),
        ]);
        let mut command = Command::new(self.bin.join("python"));
        command.arg(self.bin.join("ray")).args(["start", "--head", "--block", "--disable-usage-stats"]);
        command.args(args.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        command.envs(env).env_remove("RAY_ADDRESS").stdin(Stdio::null());
        command.stdout(log.try_clone().expect("share the log")).stderr(log);
        self.head = Some(command.spawn().expect("start ray"));
    }

    /// Kills it with every job, as the loss of its machine does.
    pub fn kill(&mut self) {
        let until = Instant::now() + GONE_LIMIT;
        loop {
            let found = self.processes();
            for pid in &found {
                // One that is gone already is what is wanted.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if let Some(mut head) = self.head.take() {
                let _ = head.kill();
                let _ = head.wait();
            }
            if found.is_empty() || Instant::now() > until {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_dir_all(self.folder.path().join("r"));
    }

    /// Living processes that hold a file of this head's folder. Its token is read by others too.
    fn processes(&self) -> Vec<i32> {
        let token = self.token_file();
        let ours = |pid: i32| {
            let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut held = files.filter_map(|file| fs::read_link(file.path()).ok());
            held.any(|path| path.starts_with(self.folder.path()) && path != token)
        };
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let all = fs::read_dir("/proc").expect("read /proc").flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid != own && ours(*pid))
            .collect()
    }
}

impl Drop for RayHead {
    fn drop(&mut self) {
        self.kill();
    }
}
