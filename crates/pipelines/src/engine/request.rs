//! One item through a serving run: a line to the runner's socket, a line back.
//!
//! Each request has a connection of its own, so one that gives up takes nobody with it. The number of items without an
//! answer is bounded here: Xenna takes in about a hundred items a second, and a queue that only grows answers nobody.
//! An item stays in the run when its caller gives up, so it counts until the run has answered or ended.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use qd_core::error::{Error, Result, clip};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Items of one run that may be without an answer at once.
pub(super) const AT_ONCE: usize = 256;
/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

pub(super) async fn send(
    dir: &Path,
    permits: &Arc<Semaphore>,
    id: Uuid,
    item: &Value,
    timeout: Duration,
) -> Result<Value> {
    let Ok(permit) = permits.clone().try_acquire_owned() else {
        return Err(too_many(&format!("{AT_ONCE} items wait for their answer in this run already")));
    };
    let line = format!("{}\n", json!({ "id": id, "item": item }));
    let dir = dir.to_owned();
    let exchange = tokio::spawn(async move {
        let answer = exchange(dir, line).await;
        drop(permit);
        answer
    });
    match tokio::time::timeout(timeout, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(Error::internal("engine_task", "could not ask the run").with_source(error)),
        Err(_) => {
            let detail =
                format!("no answer within {} ms; the item may still be worked on", timeout.as_millis());
            Err(Error::unavailable("request_timeout", detail))
        }
    }
}

async fn exchange(dir: PathBuf, line: String) -> Result<Value> {
    let stream = connect(&dir).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            not_serving("the run does not take requests now")
        }
        _ => broken(error),
    })?;
    let (read, mut write) = stream.into_split();
    write.write_all(line.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    BufReader::new(read.take(MAX_ANSWER)).read_until(b'\n', &mut answer).await.map_err(broken)?;
    if !answer.ends_with(b"\n") {
        return Err(not_serving("the run ended before it answered"));
    }
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| broken(error.into()))?;
    match answer.error {
        None => Ok(answer.result),
        Some(refusal) => Err(refused(&refusal)),
    }
}

/// Through the folder's descriptor: a socket's path is limited to 107 bytes, and a data folder may be deep.
async fn connect(dir: &Path) -> io::Result<UnixStream> {
    let folder =
        File::options().read(true).custom_flags(nix::libc::O_PATH | nix::libc::O_DIRECTORY).open(dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/serve.sock", folder.as_raw_fd())).await
}

fn refused(refusal: &Refusal) -> Error {
    let detail = clip(&refusal.message, 2000);
    match refusal.code.as_str() {
        "closing" | "stopped" | "run_failed" | "lost" => not_serving(&detail),
        "busy" => too_many(&detail),
        "malformed" => Error::malformed("malformed_request", detail),
        // The item's own: a stage failed on it, dropped it, or made something of it that is no answer.
        _ => Error::invalid("item_failed", format!("{}: {detail}", refusal.code)),
    }
}

fn too_many(detail: &str) -> Error {
    Error::rate_limited("too_many_requests", detail).with_retry_after(1)
}

fn not_serving(detail: &str) -> Error {
    Error::conflict("not_serving", detail)
}

fn broken(error: io::Error) -> Error {
    Error::unavailable("request_failed", "the connection to the run broke").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use qd_core::error::ErrorKind;
    use tokio::net::UnixListener as AsyncListener;

    use super::*;

    /// Answers each line as `answer` says; `None` keeps it waiting.
    fn serve(dir: &Path, answer: fn(&Value) -> Option<String>) {
        let listener = UnixListener::bind(dir.join("serve.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = AsyncListener::from_std(listener).unwrap();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (read, mut write) = stream.into_split();
                let mut line = String::new();
                BufReader::new(read).read_line(&mut line).await.unwrap();
                match answer(&serde_json::from_str(&line).unwrap()) {
                    Some(text) => write.write_all(text.as_bytes()).await.unwrap(),
                    None => kept.push(write),
                }
            }
        });
    }

    async fn ask(dir: &Path, permits: &Arc<Semaphore>, item: Value) -> Result<Value> {
        send(dir, permits, Uuid::nil(), &item, Duration::from_millis(300)).await
    }

    #[tokio::test]
    async fn answers_refusals_and_silence() {
        let dir = tempfile::tempdir().unwrap();
        let permits = Arc::new(Semaphore::new(2));
        assert_eq!(ask(dir.path(), &permits, json!(1)).await.unwrap_err().code, "not_serving");
        serve(dir.path(), |request| match request["item"].as_str()? {
            "double" => Some(format!("{}\n", json!({ "id": request["id"], "result": [1, 2] }))),
            "null" => Some(format!("{}\n", json!({ "id": request["id"], "result": null }))),
            "cut" => Some("{\"id\"".into()),
            code => Some(format!("{}\n", json!({ "id": null, "error": { "code": code, "message": "why" } }))),
        });
        assert_eq!(ask(dir.path(), &permits, json!("double")).await.unwrap(), json!([1, 2]));
        assert_eq!(ask(dir.path(), &permits, json!("null")).await.unwrap(), Value::Null);
        let kinds = [
            ("closing", "not_serving", ErrorKind::Conflict),
            ("cut", "not_serving", ErrorKind::Conflict),
            ("busy", "too_many_requests", ErrorKind::RateLimited),
            ("stage_error", "item_failed", ErrorKind::Invalid),
            ("malformed", "malformed_request", ErrorKind::Malformed),
        ];
        for (item, code, kind) in kinds {
            let error = ask(dir.path(), &permits, json!(item)).await.unwrap_err();
            assert_eq!((error.code, error.kind), (code, kind), "{item}");
        }
        let waiting = ask(dir.path(), &permits, json!(0));
        assert_eq!(waiting.await.unwrap_err().code, "request_timeout");

        assert_eq!(permits.available_permits(), 1, "the item that nobody waits for is still in the run");
        let other = permits.try_acquire().unwrap();
        assert_eq!(
            ask(dir.path(), &permits, json!("double")).await.unwrap_err().kind,
            ErrorKind::RateLimited
        );
        drop(other);
        assert!(ask(dir.path(), &permits, json!("double")).await.is_ok());
    }
}
