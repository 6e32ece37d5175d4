//! A stand-in for an S3-compatible store: `moto_server` from PyPI, on a free port of 127.0.0.1, in memory. It speaks the
//! protocol and keeps nothing; what a real store does under load or when it is cut in half it does not show.
//!
//! `QD_TEST_S3` names the program; `./x test` installs it where it can. Without it a test that wants it says so and ends.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::postgres::free_port;

const START_LIMIT: Duration = Duration::from_secs(30);
const BUCKET: &str = "logs";

pub struct S3 {
    port: u16,
    program: std::ffi::OsString,
    server: Option<Child>,
}

impl S3 {
    /// Nothing, and a line that says so, where there is no such program.
    pub fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("QD_TEST_S3") else {
            let said = "skipped: QD_TEST_S3 names no moto_server (pip install 'moto[server]')\n";
            // A test whose standard error is closed is skipped all the same.
            let _ = std::io::stderr().write_all(said.as_bytes());
            return None;
        };
        let mut s3 = Self { port: free_port(), program, server: None };
        s3.run();
        Some(s3)
    }

    /// For `--log-store`, below a prefix of the bucket.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}/qd?endpoint=http://127.0.0.1:{}&region=us-east-1", self.port)
    }

    /// Starts it, empty, with its bucket.
    pub fn run(&mut self) {
        let port = self.port.to_string();
        // The shell ends the server when the pipe closes: also where the test is killed.
        let command = Command::new("sh")
            .args(["-c", r#""$@" & server=$!; read -r _; kill -KILL $server; wait $server"#, "s3"])
            .arg(&self.program)
            .args(["-H", "127.0.0.1", "-p", &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(command.expect("start moto_server"));
        let began = Instant::now();
        while !self.make_bucket().is_ok_and(|reply| reply.starts_with("HTTP/1.1 200")) {
            assert!(began.elapsed() < START_LIMIT, "moto_server does not answer on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it; all that it held is gone.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.stdin.take());
            let _ = server.wait();
        }
    }

    fn make_bucket(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // Anybody's signature will do for a stand-in.
        let authorization = "AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        write!(
            stream,
            "PUT /{BUCKET} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: {authorization}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.port
        )?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.kill();
    }
}
