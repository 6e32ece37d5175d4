//! A real `qd serve` on a data folder of the test's own, and what tests ask of it.
//!
//! The Python environment is shared by all tests (`QD_TEST_ENV`, set by `./x test`): making one takes a minute.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const QD: &str = env!("CARGO_BIN_EXE_qd");
/// Longer than any run of these tests takes on a busy machine with two cores.
pub const RUN_LIMIT: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(50);

pub struct Qd {
    pub home: TempDir,
    server: Option<Child>,
    /// What the server has in its environment beside the test's own.
    env: &'static [(&'static str, &'static str)],
    pub url: String,
    pub token: String,
    pub client: Client,
}

impl Qd {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(env: &'static [(&'static str, &'static str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let home = TempDir::new().expect("make a folder");
        let data = home.path().join("data");
        fs::create_dir(&data).expect("make the data folder");
        if let Some(shared) = std::env::var_os("QD_TEST_ENV") {
            fs::create_dir_all(&shared).expect("make the shared environment's folder");
            symlink(shared, data.join("env")).expect("link the shared environment");
        }
        let (url, token) = (String::new(), String::new());
        let mut qd = Self { home, server: None, env, url, token, client: Client::new() };
        qd.restart().await;
        qd
    }

    /// Starts the server, after a kill or at first.
    pub async fn restart(&mut self) {
        self.serve_with(&[]).await;
    }

    /// The same with more words for `qd serve`.
    pub async fn serve_with(&mut self, words: &[&str]) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.home.path().join("server.log"))
            .expect("open the log");
        let mut server = self
            .command(&["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .args(words)
            .envs(self.env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start qd serve");
        let mut first = String::new();
        let stdout = server.stdout.take().expect("its stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("read its first line");
        self.server = Some(server);
        assert!(first.starts_with("http://"), "qd serve said {first:?}: {}", self.server_log());
        self.url = first.trim().to_owned();
        if self.token.is_empty() {
            let out = self.command(&["auth", "token"]).output().expect("run qd auth token");
            self.token = String::from_utf8(out.stdout).expect("a token").trim().to_owned();
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.kill().expect("kill the server");
        server.wait().expect("reap the server");
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn server_log(&self) -> String {
        fs::read_to_string(self.home.path().join("server.log")).unwrap_or_default()
    }

    /// `qd` with this test's context and folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(QD);
        command
            .args(args)
            .env("QD_CONFIG", self.home.path().join("contexts.json"))
            .current_dir(self.home.path());
        command
    }

    /// Runs `qd` to its end: exit code, stdout, stderr.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let out = self.command(args).output().expect("run qd");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
    }

    /// Writes a pipeline with its code into a folder and publishes it.
    pub fn publish(&self, name: &str, spec: &Value, files: &[(&str, &str)]) {
        let folder = self.home.path().join(name);
        write_pipeline(&folder, name, spec, files);
        let file = folder.join("pipeline.json");
        let (code, out, err) = self.run(&["apply", "-f", file.to_str().expect("UTF-8"), "--publish"]);
        assert_eq!(code, 0, "apply {name}: {out}{err}\n{}", self.server_log());
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Value {
        let reply = self.request(Method::GET, path).send().await.expect("send");
        let status = reply.status();
        let value: Value = reply.json().await.expect("JSON");
        assert!(status.is_success(), "{path}: {value}");
        value
    }

    /// Starts a run and answers its id.
    pub async fn start_run(&self, name: &str, params: Value) -> String {
        let path = format!("/api/v1/pipelines/{name}/runs");
        let key = format!("{name}-{:?}", Instant::now());
        let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        let reply = self
            .request(Method::POST, &path)
            .header("idempotency-key", key)
            .json(&json!({ "params": params }))
            .send()
            .await
            .expect("send");
        let status = reply.status();
        let body: Value = reply.json().await.expect("JSON");
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["run"]["id"].as_str().expect("a run").to_owned()
    }

    /// Waits until the run is what `is` says; fails with its state, log and the server's log.
    pub async fn run_until(&self, id: &str, limit: Duration, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + limit;
        loop {
            let run = self.get(&format!("/api/v1/runs/{id}")).await;
            if is(&run) {
                return run;
            }
            if Instant::now() > until {
                let log = self.log(id).await;
                let tail: Vec<_> =
                    log.iter().rev().take(30).rev().map(|line| line["text"].to_string()).collect();
                panic!("not within {limit:?}: {run:#}\n{}\n{}", tail.join("\n"), self.server_log());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub async fn run_ended(&self, id: &str) -> Value {
        self.run_until(id, RUN_LIMIT, |run| run["ended_at"].is_string()).await
    }

    /// The whole log.
    pub async fn log(&self, id: &str) -> Vec<Value> {
        let (mut lines, mut after) = (vec![], 0);
        loop {
            let page = self.get(&format!("/api/v1/runs/{id}/logs?limit=5000&after={after}")).await;
            lines.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_i64() {
                Some(next) => after = next,
                None => return lines,
            }
        }
    }

    /// Processes that belong to runs of this test: their arguments or open files lie in its data folder.
    pub fn processes(&self) -> Vec<String> {
        let data = self.data();
        let runs = data.join("runs").to_string_lossy().into_owned();
        let mut found = vec![];
        for entry in fs::read_dir("/proc").expect("read /proc").flatten() {
            let path = entry.path();
            if !path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
            {
                continue;
            }
            let words = fs::read(path.join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let open = fs::read_dir(path.join("fd"))
                .into_iter()
                .flatten()
                .flatten()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(&runs)));
            let is_server = words.contains(" serve ");
            if !is_server && (words.contains(&runs) || open) {
                found.push(format!("{} {words}", entry.file_name().to_string_lossy()));
            }
        }
        found
    }

    pub async fn no_process_left(&self, limit: Duration) {
        let until = Instant::now() + limit;
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "left over after {limit:?}: {left:#?}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Qd {
    /// A test that failed may leave runs behind: their supervisors are asked to end them.
    fn drop(&mut self) {
        for process in self.processes().iter().filter(|process| process.contains(" supervise ")) {
            if let Some(pid) = process.split(' ').next().and_then(|pid| pid.parse().ok()) {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGTERM,
                );
            }
        }
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

pub fn write_pipeline(folder: &Path, name: &str, spec: &Value, files: &[(&str, &str)]) {
    fs::create_dir_all(folder.join("code")).expect("make the code folder");
    for (file, text) in files {
        fs::write(folder.join("code").join(file), text).expect("write code");
    }
    let document = json!({ "apiVersion": "quarterdeck/v1", "kind": "Pipeline", "metadata": { "name": name }, "spec": spec });
    fs::write(folder.join("pipeline.json"), document.to_string()).expect("write the document");
}

/// Three stages that pass items on and say so, one line for each.
pub const STAGES: &str = r#"
import time
import cosmos_xenna.pipelines.v1 as px


class Pass(px.Stage):
    def __init__(self, word: str, pause_ms: int = 0, fail_at: int = -1) -> None:
        self.word, self.pause, self.fail_at = word, pause_ms / 1000, fail_at

    @property
    def required_resources(self):
        return px.Resources(cpus=0.25)

    def process_data(self, items):
        for item in items:
            if item == self.fail_at:
                raise ValueError(f"cannot take item {item}")
            print(f"{self.word} {item}")
            time.sleep(self.pause)
        return items


class First(Pass):
    @property
    def stage_batch_size(self):
        return 4


class Second(Pass):
    pass


class Third(Pass):
    @property
    def stage_batch_size(self):
        return 4
"#;

/// A streaming pipeline of the three stages over the items 0 to `items` - 1.
pub fn three_stages(items: usize, pause_ms: u64) -> Value {
    let stage = |id: &str, class: &str, pause: u64| {
        json!({
            "id": id, "uses": format!("stages:{class}"), "params": { "word": id, "pause_ms": pause },
            "resources": { "cpus": 0.25 }, "workers": 1,
        })
    };
    json!({
        "execution_mode": "streaming",
        "stages": [stage("first", "First", 0), stage("second", "Second", pause_ms), stage("third", "Third", 0)],
        "io": { "input": { "items": (0..items).collect::<Vec<_>>() }, "output": { "jsonl": { "path": "out.jsonl" } } },
        "runtime": { "code": "./code" },
    })
}
