//! Server-sent events: a task writes frames into a bounded channel, the response streams them, a comment every 15 s keeps
//! the connection open. The task ends with its reader or with the server.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

const HEARTBEAT: Duration = Duration::from_secs(15);
/// Frames that may wait for a slow reader.
const BUFFER: usize = 256;

const COME_BACK: Duration = Duration::from_secs(1);
const COME_BACK_AT_ONCE: Duration = Duration::from_millis(50);

/// The writing end of a stream.
pub struct Frames(mpsc::Sender<Event>);

/// The reader went away.
pub struct Gone;

impl Frames {
    /// Sends `data` as JSON; `id` is what the reader resumes from.
    pub async fn send(&self, event: &str, id: Option<&str>, data: &impl Serialize) -> Result<(), Gone> {
        let mut frame = Event::default().event(event);
        if let Some(id) = id {
            frame = frame.id(id);
        }
        let Ok(frame) = frame.json_data(data) else { return Ok(()) };
        self.0.send(frame).await.map_err(|_| Gone)
    }

    /// Asks the reader to come back at once: the next connection leads elsewhere.
    pub async fn moved(&self) {
        // A reader that is gone needs no word.
        let _ = self.0.send(Event::default().comment("stopping").retry(COME_BACK_AT_ONCE)).await;
    }

    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Streams what `write` sends until it returns.
pub fn stream<F, W>(write: W) -> Response
where
    W: FnOnce(Frames) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(BUFFER);
    // A proxy may hold the head back until there is a body.
    let _ = sender.try_send(Event::default().comment("").retry(COME_BACK));
    tokio::spawn(write(Frames(sender)));
    let events = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

pub fn wanted(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/event-stream"))
}

/// `Last-Event-ID`, which wins over what the address says: a browser repeats the address as it was.
pub fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok()
}
