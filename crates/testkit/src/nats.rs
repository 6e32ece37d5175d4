//! A real NATS server with JetStream for a test: on a free port of 127.0.0.1, its store in a temporary folder. It can be
//! stopped, wiped and started again on the same port, and ends with the test however that ends.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::postgres::free_port;

const START_LIMIT: Duration = Duration::from_secs(30);

pub struct Nats {
    pub port: u16,
    store: TempDir,
    server: Option<Child>,
}

impl Nats {
    /// # Panics
    /// With what to install where there is no NATS server.
    pub async fn start() -> Self {
        let store = tempfile::tempdir().expect("make the NATS server's folder");
        let mut nats = Self { port: free_port(), store, server: None };
        nats.run().await;
        nats
    }

    /// A server that is not there yet: its port answers nobody until [`Nats::run`].
    pub fn absent() -> Self {
        Self {
            port: free_port(),
            store: tempfile::tempdir().expect("make the NATS server's folder"),
            server: None,
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, with what its folder holds, and waits until it answers.
    pub async fn run(&mut self) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .chain(["/usr/sbin".into()])
            .map(|folder| folder.join("nats-server"))
            .find(|program| program.exists())
            .expect("tests need a NATS server: apt-get install nats-server");
        // The shell ends the server when the pipe closes: also where the test is killed.
        let command = Command::new("sh")
            .args(["-c", r#""$@" & server=$!; read -r _; kill -KILL $server; wait $server"#, "nats"])
            .arg(program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.store.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(command.expect("start nats-server"));
        let port = self.port;
        let answered = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(began.elapsed() < START_LIMIT, "nats-server does not answer on port {port}");
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        answered.await.expect("wait for nats-server");
    }

    /// Kills it, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.stdin.take());
            let _ = server.wait();
        }
    }

    /// Takes away what its store holds; only while it does not run.
    pub fn wipe(&self) {
        assert!(self.server.is_none(), "stop the server before its store is wiped");
        let store = self.store.path().join("jetstream");
        std::fs::remove_dir_all(store).expect("wipe the NATS server's store");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
