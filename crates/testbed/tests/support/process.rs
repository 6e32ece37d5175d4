//! `qd-testbed` as processes of their own: the outside world, and servers that are killed and started again.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{BufRead as _, BufReader},
    os::unix::{fs::DirBuilderExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{sys::signal, unistd::Pid};
use qd_testkit::eventually;
use serde_json::Value;
use tempfile::TempDir;

/// What a program prints first.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("read its first line");
    line.trim().to_owned()
}

fn testbed() -> Command {
    // Where the test runs elsewhere than it was built, its runner says where the program is.
    let built = env!("CARGO_BIN_EXE_qd-testbed");
    let program = std::env::var_os("CARGO_BIN_EXE_qd-testbed").unwrap_or_else(|| built.into());
    let mut command = Command::new(program);
    // No run of these tests needs Python, and none shall be prepared.
    command.env("QD_PYTHON", "none").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Names of all operations that a server has.
pub fn operations() -> Vec<String> {
    let out = testbed().arg("operations").output().expect("run qd-testbed operations");
    serde_json::from_slice(&out.stdout).expect("a list of names")
}

/// The outside world.
pub struct World {
    child: Child,
    pub url: String,
}

impl World {
    pub fn start() -> Self {
        let mut child = testbed().arg("world").spawn().expect("start the world");
        let url = first_line(&mut child);
        Self { child, url }
    }

    pub async fn report(&self) -> Value {
        let answer = reqwest::get(format!("{}/report", self.url)).await.expect("ask the world");
        answer.json().await.expect("read what the world says")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a port and a folder that it keeps when it is started again.
pub struct Server {
    home: TempDir,
    port: u16,
    words: Vec<String>,
    env: Vec<(String, String)>,
    child: Option<Child>,
    pub token: String,
}

impl Server {
    /// Not started yet. `words` come after those that every one has.
    pub fn new(words: &[&str]) -> Self {
        let home = TempDir::new().expect("make a folder");
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { home, port: free_port(), words, env: vec![], child: None, token: String::new() }
    }

    /// With this in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Signs the audit as one does that was started before: on the same database, the second has no key of its own.
    pub fn signs_as(&self, first: &Self) {
        let (from, to) = (first.home.path().join("data"), self.home.path().join("data"));
        DirBuilder::new().mode(0o700).create(&to).expect("make its folder");
        fs::copy(from.join("audit.key"), to.join("audit.key")).expect("hand the key on");
    }

    /// Starts it and waits until it listens; false where it ended before.
    pub fn start(&mut self) -> bool {
        assert!(self.child.is_none(), "it runs already");
        let (home, log) =
            (self.home.path(), OpenOptions::new().create(true).append(true).open(self.log_file()));
        let mut child = testbed()
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data")
            .arg(home.join("data"))
            .arg("--token-file")
            .arg(home.join("token"))
            .arg("--places")
            .arg(self.places_file())
            .args(&self.words)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stderr(log.expect("open the log"))
            .spawn()
            .expect("start a server");
        if !first_line(&mut child).starts_with("http://") {
            let _ = child.wait();
            return false;
        }
        self.token = fs::read_to_string(home.join("token")).expect("read the token").trim().to_owned();
        self.child = Some(child);
        true
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The folder of its data, its log and its token.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn places_file(&self) -> PathBuf {
        self.home.path().join("places")
    }

    /// What the server does at which place from now on, instead of what it was told before.
    pub fn arm(&self, lines: &str) {
        let part = self.places_file().with_extension("part");
        fs::write(&part, lines).expect("write the places");
        fs::rename(part, self.places_file()).expect("put the places there");
    }

    /// Waits until somebody is held at a place.
    pub async fn held(&self, place: &str) {
        let held = self.places_file().with_extension("held");
        eventually(&format!("somebody comes to {place}"), async || {
            fs::read_to_string(&held).is_ok_and(|at| at == place).then_some(())
        })
        .await;
        fs::remove_file(held).expect("forget who was held");
    }

    fn pid(&self) -> Pid {
        let pid = self.child.as_ref().expect("it runs").id();
        Pid::from_raw(i32::try_from(pid).expect("a pid"))
    }

    pub fn signal(&self, signal: signal::Signal) {
        signal::kill(self.pid(), signal).expect("send a signal");
    }

    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it was killed at the place that it was told of.
    pub async fn died(&mut self, place: &str) {
        let mut child = self.child.take().expect("it runs");
        let status = eventually(&format!("the server dies at {place}"), async || {
            child.try_wait().expect("look after the server")
        })
        .await;
        assert_eq!(
            status.signal(),
            Some(signal::Signal::SIGKILL as i32),
            "{place}: {status}: {}",
            self.log()
        );
    }

    /// Waits until it was stopped (SIGSTOP) at the place that it was told of.
    pub async fn stopped(&self, place: &str) {
        let stat = Path::new("/proc").join(self.pid().to_string()).join("stat");
        eventually(&format!("the server stops at {place}"), async || {
            let stat = fs::read_to_string(&stat).ok()?;
            let state = stat.rsplit_once(") ")?.1.chars().next()?;
            (state == 'T').then_some(())
        })
        .await;
    }

    /// SIGTERM; waits for the end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(signal::Signal::SIGTERM);
        let mut child = self.child.take().expect("it runs");
        eventually("the server ends", async || child.try_wait().expect("look after the server")).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("find a free port");
    listener.local_addr().expect("read the port").port()
}
