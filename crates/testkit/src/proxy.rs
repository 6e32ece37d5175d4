//! Between a program and its Postgres: passes everything on, until it is told to hang, to be gone, or to cut the connection
//! at a COMMIT.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinHandle,
};

/// Where a connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of the COMMIT.
    BeforeServer,
    /// The server commits, and its answer is lost.
    AfterServer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Hang,
    Gone,
}

pub struct Proxy {
    /// The database's URL through this proxy.
    pub url: String,
    mode: watch::Sender<Mode>,
    cut: Arc<Mutex<Option<Cut>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// # Panics
    /// Where the URL has no `user@host:port/`.
    pub async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("read the port").port();
        let server =
            url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("host and port").to_owned();
        let mode = watch::Sender::new(Mode::Pass);
        let cut: Arc<Mutex<Option<Cut>>> = Arc::default();
        let (now, armed, to) = (mode.clone(), cut.clone(), server.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *now.borrow() == Mode::Gone {
                    continue;
                }
                let (mode, armed, to) = (now.subscribe(), armed.clone(), to.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    forward(client, server, mode, armed).await;
                });
            }
        });
        Self { url: url.replace(&server, &format!("127.0.0.1:{port}")), mode, cut, task }
    }

    /// Nothing gets through, and nobody is told: as a server that is stopped.
    pub fn hang(&self) {
        self.mode.send_replace(Mode::Hang);
    }

    /// Every connection ends, and none is made: as a server that is gone.
    pub fn gone(&self) {
        self.mode.send_replace(Mode::Gone);
    }

    /// Passes everything on again.
    pub fn back(&self) {
        self.mode.send_replace(Mode::Pass);
    }

    /// The next COMMIT costs its connection.
    pub fn cut_next_commit(&self, cut: Cut) {
        *lock(&self.cut) = Some(cut);
    }

    /// Whether it has.
    pub fn has_cut(&self) -> bool {
        lock(&self.cut).is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(cut: &Mutex<Option<Cut>>) -> std::sync::MutexGuard<'_, Option<Cut>> {
    cut.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn forward(
    client: TcpStream,
    server: TcpStream,
    mode: watch::Receiver<Mode>,
    cut: Arc<Mutex<Option<Cut>>>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut gone = mode.clone();
    let answers = tokio::spawn(pump(from_server, to_client, mode.clone(), None));
    tokio::select! {
        // Dropping both ends closes both connections; the server still reads what it was sent.
        () = pump(from_client, to_server, mode, Some(cut)) => {}
        _ = gone.wait_for(|mode| *mode == Mode::Gone) => {}
    }
    answers.abort();
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    cut: Option<Arc<Mutex<Option<Cut>>>>,
) {
    let mut buffer = vec![0u8; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if mode.wait_for(|mode| *mode != Mode::Hang).await.is_err() {
            return;
        }
        let bytes = &buffer[..count];
        let commits = bytes.windows(7).any(|window| window == b"COMMIT\0");
        let lost = cut.as_ref().filter(|_| commits).and_then(|cut| lock(cut).take());
        if lost != Some(Cut::BeforeServer) && to.write_all(bytes).await.is_err() {
            return;
        }
        if lost.is_some() {
            return;
        }
    }
}
