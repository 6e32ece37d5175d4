//! A stand-in for the head of a Ray cluster, written from its Jobs API (Ray 2.60): what a real one does rarely, on demand. Its
//! connections break, it forgets, it takes no WebSockets, it loses answers. The real one is in the tests of `qd`.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocket};

pub const TOKEN: &str = "a-token-of-the-stand-in";

/// Between two looks for more of a log.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Default)]
pub struct State {
    pub jobs: BTreeMap<String, Job>,
    pub packages: BTreeMap<String, Vec<u8>>,
    /// Submissions that came in, whatever became of them.
    pub submissions: usize,
    /// The next WebSockets break off after this many bytes of the log each.
    pub cuts: Vec<usize>,
    pub no_sockets: bool,
    /// Whole logs cannot be had: the node that has them is gone.
    pub no_logs: bool,
    /// The next submission is refused with this, and 500.
    pub refuse: Option<String>,
    /// Connections are closed without a word.
    pub silent: bool,
    /// The next submission is carried out, and its answer is lost.
    pub lose_answer: bool,
    /// Everything is answered with a redirect to here.
    pub redirect: Option<String>,
    /// Requests that were heard, with the Authorization that they brought.
    pub heard: Vec<(String, String)>,
}

#[derive(Clone, Default)]
pub struct Job {
    pub status: String,
    pub metadata: Value,
    pub entrypoint: String,
    pub runtime_env: Value,
    pub log: String,
    pub exit_code: Option<i32>,
    pub stops: usize,
}

#[derive(Clone)]
pub struct Head {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Head {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let head = Self { url, state: Arc::default() };
        let serving = head.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let head = serving.clone();
                // A connection that the other side breaks off is no fault of the test.
                std::thread::spawn(move || head.serve(stream));
            }
        });
        head
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Puts a job there as if it had been submitted, or changes the one that is there.
    pub fn job(&self, id: &str, change: impl FnOnce(&mut Job)) {
        change(self.state().jobs.entry(id.to_owned()).or_default());
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let request = Request::read(&mut reader)?;
            let authorization = request.headers.get("authorization").cloned().unwrap_or_default();
            let (silent, redirect) = {
                let mut state = self.state();
                state.heard.push((request.path.clone(), authorization.clone()));
                (state.silent, state.redirect.clone())
            };
            if silent {
                return None;
            }
            if let Some(to) = redirect {
                let location = format!("Location: {to}{}\r\n", request.path);
                respond(&stream, 307, &location, b"")?;
                continue;
            }
            if authorization != format!("Bearer {TOKEN}") {
                respond(&stream, 401, "", b"Unauthorized: Missing authentication token")?;
                continue;
            }
            if let Some(id) =
                request.path.strip_suffix("/logs/tail").and_then(|path| path.strip_prefix("/api/jobs/"))
            {
                return self.tail(stream, id, &request);
            }
            let (status, body) = self.answer(&request)?;
            respond(&stream, status, "", body.as_bytes())?;
        }
    }

    fn answer(&self, request: &Request) -> Option<(u16, String)> {
        let mut state = self.state();
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        let missing = (404, "Job does not exist".to_owned());
        Some(match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["api", "version"]) => {
                (200, json!({ "version": "4", "ray_version": "2.60.0" }).to_string())
            }
            ("GET", ["api", "packages", "gcs", name]) if state.packages.contains_key(*name) => {
                (200, String::new())
            }
            ("GET", ["api", "packages", ..]) => missing,
            ("PUT", ["api", "packages", "gcs", name]) => {
                state.packages.insert((*name).to_owned(), request.body.clone());
                (200, String::new())
            }
            ("POST", ["api", "jobs"]) => {
                let wanted: Value = serde_json::from_slice(&request.body).unwrap();
                let id = wanted["submission_id"].as_str().unwrap().to_owned();
                state.submissions += 1;
                if let Some(text) = state.refuse.take() {
                    return Some((500, text));
                }
                if state.jobs.contains_key(&id) {
                    let text = format!(
                        "Traceback …\nRuntimeError: Request failed with status code 400: Traceback …\nValueError: Job with submission_id {id} already exists. Please use a different submission_id.\n."
                    );
                    return Some((500, text));
                }
                let job = Job {
                    status: "RUNNING".into(),
                    metadata: wanted["metadata"].clone(),
                    entrypoint: wanted["entrypoint"].as_str().unwrap().to_owned(),
                    runtime_env: wanted["runtime_env"].clone(),
                    ..Job::default()
                };
                state.jobs.insert(id.clone(), job);
                if std::mem::take(&mut state.lose_answer) {
                    return None;
                }
                (200, json!({ "job_id": id, "submission_id": id }).to_string())
            }
            ("GET", ["api", "jobs", id]) => match state.jobs.get(*id) {
                Some(job) => {
                    let told = json!({ "status": job.status, "metadata": job.metadata, "driver_exit_code": job.exit_code });
                    (200, told.to_string())
                }
                None => missing,
            },
            ("GET", ["api", "jobs", _, "logs"]) if state.no_logs => {
                (500, "the node does not answer".to_owned())
            }
            ("GET", ["api", "jobs", id, "logs"]) => match state.jobs.get(*id) {
                Some(job) => (200, json!({ "logs": job.log }).to_string()),
                None => missing,
            },
            ("POST", ["api", "jobs", id, "stop"]) => match state.jobs.get_mut(*id) {
                Some(job) => {
                    job.stops += 1;
                    (200, json!({ "stopped": true }).to_string())
                }
                None => missing,
            },
            other => panic!("the stand-in knows no {other:?}"),
        })
    }

    /// The log from its beginning, then as it grows, until the job has ended or the connection is to be cut.
    fn tail(&self, stream: TcpStream, id: &str, request: &Request) -> Option<()> {
        let (refused, missing, cut) = {
            let mut state = self.state();
            (state.no_sockets, !state.jobs.contains_key(id), state.cuts.pop())
        };
        if missing {
            return respond(&stream, 404, "", b"Job does not exist");
        }
        if refused {
            return respond(&stream, 501, "", b"no WebSockets here");
        }
        let key = derive_accept_key(request.headers.get("sec-websocket-key")?.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
        );
        (&stream).write_all(head.as_bytes()).ok()?;
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        let mut sent = 0;
        loop {
            let job = self.state().jobs.get(id).cloned()?;
            while sent < job.log.len() {
                let mut end = (sent + 100).min(job.log.len());
                if let Some(cut) = cut {
                    end = end.min(cut);
                }
                while !job.log.is_char_boundary(end) {
                    end += 1;
                }
                socket.send(job.log[sent..end].into()).ok()?;
                sent = end;
                if cut.is_some_and(|cut| sent >= cut) {
                    return None;
                }
            }
            if job.status != "RUNNING" {
                socket.close(None).ok()?;
                while socket.read().is_ok() {}
                return None;
            }
            std::thread::sleep(LOOK);
        }
    }
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(reader: &mut impl std::io::BufRead) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { method, path, headers, body })
    }
}

fn respond(mut stream: &TcpStream, status: u16, headers: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {status} .\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}
