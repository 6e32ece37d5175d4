//! Faults of the place: the database gone, hanging, or lost at a COMMIT; the disk full or read-only. Each is said (503 with
//! Retry-After, or a reason at the start), nothing is doubled, and all goes on without hands.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use qd_testkit::{Cut, Proxy, TestDatabase, eventually, postgres::Postgres};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Process, client, document, refused};

/// How long the database stays away: a minute in a storm.
fn away() -> Duration {
    Duration::from_secs(if std::env::var_os("QD_STORM").is_some() { 60 } else { 3 })
}

struct Caller {
    client: Client,
    url: String,
    token: String,
}

impl Caller {
    fn of(process: &Process) -> Self {
        Self { client: client().build().unwrap(), url: process.url(), token: process.token() }
    }

    /// Publishes a document under its own key: its job's id, or why it is not there.
    async fn publish(&self, name: &str) -> Result<String, Value> {
        let request =
            self.client.post(format!("{}/api/v1/apply?publish=true", self.url)).bearer_auth(&self.token);
        let request = request.header("idempotency-key", name).json(&json!({ "documents": [document(name)] }));
        let reply = request.send().await.expect("the server answers");
        let (status, headers) = (reply.status(), reply.headers().clone());
        let body: Value = reply.json().await.expect("JSON");
        if status.is_success() {
            return Ok(body["job"]["id"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned());
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(headers.contains_key("retry-after"), "{headers:?}");
        Err(body)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let reply = request.send().await.expect("the server answers");
        (reply.status(), reply.json().await.expect("JSON"))
    }

    /// Until it is published, with the same key; how often that took.
    async fn insist(&self, name: &str) -> String {
        eventually(&format!("{name} is published"), async || self.publish(name).await.ok()).await
    }

    /// Each of these was published by one job and stands in one revision.
    async fn once(&self, published: &[(String, String)]) {
        for (name, job) in published {
            eventually("its job ends", async || {
                let (_, job) = self.get(&format!("/api/v1/jobs/{job}")).await;
                (job["state"] == "succeeded").then_some(())
            })
            .await;
            let (_, revisions) = self.get(&format!("/api/v1/stagetemplates/{name}/revisions")).await;
            assert_eq!(revisions["items"].as_array().map(Vec::len), Some(1), "{revisions}");
        }
        let (_, jobs) = self.get("/api/v1/jobs?limit=500").await;
        assert_eq!(jobs["items"].as_array().map(Vec::len), Some(published.len()), "one job each");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_answers_503_and_work_goes_on_by_itself() {
    let db = TestDatabase::postgres().await;
    let proxy = Proxy::start(&db.url).await;
    let process = Process::with(&["--database-url", &proxy.url]);
    let caller = Caller::of(&process);
    let mut published = vec![("before".to_owned(), caller.publish("before").await.unwrap())];
    proxy.gone();
    let until = Instant::now() + away();
    let (mut refusals, mut longest) = (0, Duration::ZERO);
    while Instant::now() < until || refusals == 0 {
        let asked = Instant::now();
        refused_by_the_store(&caller.publish("meanwhile").await.unwrap_err());
        longest = longest.max(asked.elapsed());
        refusals += 1;
        assert_eq!(caller.get("/health").await.0, StatusCode::OK, "the process itself is alive");
    }
    assert_eq!(caller.get("/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    println!("gone for {:?}: {refusals} refusals, the longest took {longest:?}", away());
    let back = Instant::now();
    proxy.back();
    published.push(("meanwhile".to_owned(), caller.insist("meanwhile").await));
    caller.once(&published).await;
    assert_eq!(caller.get("/ready").await.0, StatusCode::OK);
    println!("all is done {:?} after it came back", back.elapsed());
}

/// Stopped in the midst of it: connections stay, nobody answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_answers_503_within_seconds_and_work_goes_on_by_itself() {
    let server = Postgres::start().await;
    let db = server.fresh_database().await;
    let process = Process::with(&["--database-url", &db.url]);
    let caller = Caller::of(&process);
    let mut published = vec![("before".to_owned(), caller.publish("before").await.unwrap())];
    server.suspend();
    let until = Instant::now() + away();
    let mut longest = Duration::ZERO;
    while Instant::now() < until || longest.is_zero() {
        let asked = Instant::now();
        let (first, second, ready) =
            tokio::join!(caller.publish("first"), caller.publish("second"), caller.get("/ready"));
        longest = longest.max(asked.elapsed());
        refused_by_the_store(&first.unwrap_err());
        refused_by_the_store(&second.unwrap_err());
        assert_eq!(ready.0, StatusCode::SERVICE_UNAVAILABLE, "{}", ready.1);
        assert_eq!(caller.get("/health").await.0, StatusCode::OK, "the process itself is alive");
    }
    println!("hung for {:?}: the longest answer took {longest:?}", away());
    // A second until somebody asks, three of silence, and some for a busy machine.
    assert!(longest < Duration::from_secs(8), "{longest:?}");
    let back = Instant::now();
    server.resume();
    for name in ["first", "second"] {
        published.push((name.to_owned(), caller.insist(name).await));
    }
    caller.once(&published).await;
    assert_eq!(caller.get("/ready").await.0, StatusCode::OK);
    println!("all is done {:?} after it went on", back.elapsed());
}

fn refused_by_the_store(why: &Value) {
    assert!(why["code"].as_str().is_some_and(|code| code.starts_with("store_")), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_during_commit_doubles_nothing() {
    let db = TestDatabase::postgres().await;
    let proxy = Proxy::start(&db.url).await;
    let process = Process::with(&["--database-url", &proxy.url]);
    let caller = Caller::of(&process);
    let mut published = vec![];
    for n in 0..8 {
        let name = format!("cut-{n}");
        proxy.cut_next_commit(if n % 2 == 0 { Cut::BeforeServer } else { Cut::AfterServer });
        // Whoever commits next loses the connection: this request, or the worker with the job before it.
        let job = caller.insist(&name).await;
        published.push((name, job));
    }
    eventually("the last one is cut", async || proxy.has_cut().then_some(())).await;
    caller.once(&published).await;
}

/// A file system of its own with this much room; gone when dropped. Nothing where this user may not mount.
struct Disk(TempDir);

impl Disk {
    fn of(options: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: this user may not mount a tmpfs");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_what_is_asked_again_goes_on_once_there_is_room() {
    let Some(disk) = Disk::of("size=32m") else { return };
    let data = disk.path().join("data");
    let process = Process::with(&["--data", data.to_str().unwrap()]);
    let caller = Caller::of(&process);
    let mut published = vec![("before".to_owned(), caller.publish("before").await.unwrap())];
    caller.once(&published).await;
    let ballast = disk.path().join("ballast");
    let filled = fs::write(&ballast, vec![0; 64 * 1024 * 1024]);
    assert!(filled.is_err(), "the disk is full");
    let why = eventually("nothing fits any more", async || {
        caller
            .publish(&format!("filling-{}", published.len()))
            .await
            .map(|job| {
                published.push((format!("filling-{}", published.len()), job));
            })
            .err()
    })
    .await;
    assert_eq!(why["code"], "store_full", "{why}");
    // What is there can be read.
    assert_eq!(caller.get("/api/v1/stagetemplates/before").await.0, StatusCode::OK);
    fs::remove_file(ballast).unwrap();
    published.push(("after".to_owned(), caller.insist("after").await));
    caller.once(&published).await;
}

#[test]
fn a_read_only_disk_is_said_at_the_start() {
    let Some(disk) = Disk::of("size=8m") else { return };
    let (data, path) = (disk.path().join("data"), disk.path().to_str().unwrap());
    fs::create_dir(&data).unwrap();
    assert!(Command::new("mount").args(["-o", "remount,ro", path]).status().unwrap().success());
    let (code, said) = refused(&["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 2, "{said}");
    assert!(said.to_lowercase().contains("read-only") || said.to_lowercase().contains("readonly"), "{said}");
}
