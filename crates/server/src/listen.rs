//! The listening socket, and how it closes: without refusing anybody whose connection the system had already made.
//!
//! A socket that is closed resets the connections that wait in its queue, and a client takes that for a failed request. So
//! closing is: a filter drops what would begin a connection, what has begun is accepted, and then the queue is empty for
//! good. The clients whose beginning was dropped try again by themselves, are refused then, and go elsewhere. Connections
//! that are open are counted, so that the end need not wait for nobody.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockFilter, SockRef};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

/// After an error such as too many open files, which goes on until some are closed.
const PAUSE: Duration = Duration::from_secs(1);
/// For handshakes under way while the socket closes: longer than a round trip.
const HANDSHAKES: Duration = Duration::from_millis(10);
/// Of the TCP header: the byte with the flags, and the one that begins a connection.
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
/// Load the flags; where SYN is among them, drop; else pass all of it. In the words of classic BPF.
const NO_BEGINNINGS: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, FLAGS),
    SockFilter::new(0x45, 0, 1, SYN),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

pub struct Listener {
    state: State,
    close: CancellationToken,
    closed: CancellationToken,
    open: watch::Sender<usize>,
}

enum State {
    Open(TcpListener),
    /// Takes what has begun, until then.
    Closing(TcpListener, Instant),
    /// Takes what waits still.
    Emptying(std::net::TcpListener),
    Closed,
}

/// Says when to close, and how far that is.
#[derive(Clone)]
pub struct Closing {
    pub close: CancellationToken,
    pub closed: CancellationToken,
    open: watch::Receiver<usize>,
}

impl Closing {
    /// Until every connection has ended.
    pub async fn all_gone(&mut self) {
        // An error says that the listener is gone, and all its connections.
        let _ = self.open.wait_for(|open| *open == 0).await;
    }
}

impl Listener {
    pub fn new(listener: TcpListener) -> (Self, Closing) {
        let (close, closed, open) =
            (CancellationToken::new(), CancellationToken::new(), watch::Sender::new(0));
        let closing = Closing { close: close.clone(), closed: closed.clone(), open: open.subscribe() };
        (Self { state: State::Open(listener), close, closed, open }, closing)
    }

    fn connection(&self, stream: TcpStream, patience: Duration) -> Connection {
        // Small answers should not wait for more; a failure only costs that.
        let _ = stream.set_nodelay(true);
        self.open.send_modify(|open| *open += 1);
        Connection { stream, open: self.open.clone(), patience, stalled: None }
    }
}

impl State {
    fn begin_close(listener: TcpListener) -> Self {
        if let Err(error) = SockRef::from(&listener).attach_filter(&NO_BEGINNINGS) {
            tracing::warn!(%error, "filter new connections: some may be reset while the socket closes");
        }
        Self::Closing(listener, Instant::now() + HANDSHAKES)
    }

    fn empty(listener: TcpListener) -> Self {
        listener.into_std().map_or(Self::Closed, Self::Emptying)
    }
}

impl Listener {
    /// The next connection, which breaks when its client takes nothing of what there is for it for `patience`. Safe to be given up.
    pub async fn accept(&mut self, patience: Duration) -> (Connection, SocketAddr) {
        loop {
            let (accepted, next): (_, fn(TcpListener) -> State) = match &self.state {
                State::Open(listener) => tokio::select! {
                    () = self.close.cancelled() => (None, State::begin_close),
                    accepted = listener.accept() => (Some(accepted), State::Open),
                },
                State::Closing(listener, until) => tokio::select! {
                    () = tokio::time::sleep_until(*until) => (None, State::empty),
                    accepted = listener.accept() => (Some(accepted), State::Open),
                },
                State::Emptying(listener) => {
                    let accepted = listener.accept().and_then(|(stream, address)| {
                        stream.set_nonblocking(true)?;
                        Ok((TcpStream::from_std(stream)?, address))
                    });
                    match accepted {
                        Ok((stream, address)) => return (self.connection(stream, patience), address),
                        Err(error) if is_the_clients(&error) => {}
                        Err(_) => self.state = State::Closed,
                    }
                    continue;
                }
                State::Closed => {
                    self.closed.cancel();
                    std::future::pending().await
                }
            };
            match accepted {
                Some(Ok((stream, address))) => return (self.connection(stream, patience), address),
                Some(Err(error)) if is_the_clients(&error) => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, "accept a connection: will try again");
                    tokio::time::sleep(PAUSE).await;
                }
                None => match std::mem::replace(&mut self.state, State::Closed) {
                    State::Open(listener) | State::Closing(listener, _) => self.state = next(listener),
                    other => self.state = other,
                },
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A connection that is counted while it is open, and breaks when its client stops reading.
pub struct Connection {
    stream: TcpStream,
    open: watch::Sender<usize>,
    patience: Duration,
    /// Set while there is something to write and no room for it.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn written(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.send_modify(|open| *open -= 1);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);
