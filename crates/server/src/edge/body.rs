//! A body as it arrives: whoever sends it too slowly, or more of it than the route takes, is not waited for.
//!
//! A body that is read is held in memory, and its sender chooses how long. So there is a longest pause between two pieces
//! and a time for the whole: the first ends those who stopped, the second those who drip.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Not yet, or whole.
    Well,
    Slow,
    Large,
}

/// What is known of a body while others read it.
#[derive(Default)]
pub struct Watch {
    ending: AtomicU8,
    ended: Notify,
}

impl Watch {
    pub fn ending(&self) -> Ending {
        match self.ending.load(Ordering::Acquire) {
            1 => Ending::Slow,
            2 => Ending::Large,
            _ => Ending::Well,
        }
    }

    /// Until the whole body was read, or no more of it will be.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    fn end(&self, ending: Ending) {
        if ending != Ending::Well {
            self.ending.store(ending as u8, Ordering::Release);
        }
        self.ended.notify_one();
    }
}

/// What a route allows a body.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    pub pause: Duration,
    pub whole: Duration,
    /// Bytes; the route's own limit where there is none.
    pub most: Option<u64>,
}

struct Watched {
    inner: Body,
    allowance: Allowance,
    read: u64,
    until: Instant,
    /// Set while a piece is waited for.
    pause: Option<Pin<Box<Sleep>>>,
    watch: Arc<Watch>,
}

/// The body, and what watches it; none where it is there already.
pub fn watched(inner: Body, allowance: Allowance) -> (Body, Option<Arc<Watch>>) {
    if inner.is_end_stream() {
        return (inner, None);
    }
    let watch = Arc::new(Watch::default());
    let until = Instant::now() + allowance.whole;
    let body = Watched { inner, allowance, read: 0, until, pause: None, watch: watch.clone() };
    (Body::new(body), Some(watch))
}

impl Watched {
    fn fail(&self, ending: Ending) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.watch.end(ending);
        let why = match ending {
            Ending::Large => "it is larger than this address takes",
            Ending::Slow | Ending::Well => "it came too slowly",
        };
        Poll::Ready(Some(Err(why.into())))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.pause = None;
                self.read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.allowance.most.is_some_and(|most| self.read > most) {
                    return self.fail(Ending::Large);
                }
                if Instant::now() > self.until {
                    return self.fail(Ending::Slow);
                }
                if self.inner.is_end_stream() {
                    self.watch.end(Ending::Well);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.watch.end(Ending::Well);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.watch.end(Ending::Well);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending => {
                let next = self.until.min(Instant::now() + self.allowance.pause);
                let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(next)));
                match pause.as_mut().poll(cx) {
                    Poll::Ready(()) => self.fail(Ending::Slow),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Whoever waits for its end waits for nothing more; how it ended stays as it is.
        self.watch.ended.notify_one();
    }
}
