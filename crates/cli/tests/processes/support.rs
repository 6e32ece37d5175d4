//! A `qd serve` of several on one database, on an address that it keeps when it is started again.
//!
//! No Python: what is tested here runs no pipelines.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{sys::signal, unistd::Pid};
use qd_testkit::{Nats, TestDatabase, eventually};
use serde_json::Value;
use tempfile::TempDir;

const QD: &str = env!("CARGO_BIN_EXE_qd");

pub struct Process {
    home: TempDir,
    port: u16,
    words: Vec<String>,
    server: Option<Child>,
}

impl Process {
    /// Starts one with these roles; returns when it answers.
    pub fn start(db: &TestDatabase, nats: &Nats, roles: &str) -> Self {
        Self::with(&["--roles", roles, "--database-url", &db.url, "--nats-url", &nats.url()])
    }

    /// Starts one with these words besides its address, and its data folder, where they name none.
    pub fn with(more: &[&str]) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let data: &[&str] = if more.contains(&"--data") { &[] } else { &["--data", "data"] };
        let listen: &[&str] = if more.contains(&"--listen") { &[] } else { &["--listen", &listen] };
        let words =
            ["serve"].iter().chain(listen).chain(data).chain(more).map(|word| (*word).to_owned()).collect();
        let home = TempDir::new().expect("make a folder");
        let mut process = Self { home, port, words, server: None };
        process.restart();
        process
    }

    pub fn restart(&mut self) {
        let log = self.home.path().join("log");
        let log = OpenOptions::new().create(true).append(true).open(log).expect("open the log");
        let mut server = qd(self.home.path())
            .args(&self.words)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start qd serve");
        let mut first = String::new();
        let stdout = server.stdout.take().expect("its stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("read its first line");
        self.server = Some(server);
        assert!(first.starts_with("http"), "qd serve said {first:?}: {}", self.log());
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.server.as_ref().expect("it runs").id();
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
        signal::kill(pid, signal::Signal::SIGTERM).expect("send SIGTERM");
    }

    /// Waits for its end after [`Self::terminate`].
    pub async fn ended(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("it runs");
        let status = eventually("the server ends", async || server.try_wait().expect("look after it")).await;
        assert!(status.success(), "{status}: {}", self.log());
        status
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn token(&self) -> String {
        let out = qd(self.home.path()).args(["auth", "token"]).output().expect("run qd auth token");
        String::from_utf8(out.stdout).expect("a token").trim().to_owned()
    }

    /// Runs `qd` to its end, as whoever holds this token: exit code, stdout, stderr.
    pub fn run(&self, token: &str, words: &[&str]) -> (i32, String, String) {
        let mut command = qd(self.home.path());
        // Of contexts and homes this one knows none.
        command.args(words).env("QD_SERVER", self.url()).env("QD_TOKEN", token);
        let out = command.stdin(Stdio::null()).output().expect("run qd");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
    }

    /// Writes a file into the folder that `qd` runs in.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.home.path().join(name), text).expect("write a file");
    }

    /// Where `qd` runs, its data folder within.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Kills it, and keeps its folder.
    pub fn stop(mut self) -> Self {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("kill it");
            server.wait().expect("wait for it");
        }
        self
    }

    /// The folder that `qd` runs in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// What `qd serve` with these words says on standard error, and its exit code.
pub fn refused(words: &[&str]) -> (i32, String) {
    let home = TempDir::new().expect("make a folder");
    let mut server = qd(home.path()).args(words).stderr(Stdio::piped()).spawn().expect("start qd");
    let mut said = String::new();
    server.stderr.take().expect("piped").read_to_string(&mut said).expect("read its words");
    (server.wait().expect("wait for it").code().unwrap_or(-1), said)
}

fn qd(home: &Path) -> Command {
    let mut command = Command::new(QD);
    command.current_dir(home).env("QD_CONFIG", home.join("contexts.json")).env("QD_PYTHON", "/nonexistent");
    command
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("find a free port");
    listener.local_addr().expect("read the port").port()
}

/// A client of the API.
pub fn client() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// A stage template: what can be published without any Python.
pub fn document(name: &str) -> Value {
    serde_json::json!({
        "apiVersion": "quarterdeck/v1", "kind": "StageTemplate", "metadata": { "name": name },
        "spec": { "description": "A stage.", "uses": "stages:Only", "resources": { "cpus": 0.25 } },
    })
}
